"""What the rules are set to is seen by who administers, with what a coming change would have done."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from sammanhang.kernel import clock
from sammanhang.kernel.content import FOLDER, use_own

DAY = (clock.today() + timedelta(days=40)).isoformat()


@pytest.fixture
def town(own_town):
    """Patients are opened here."""
    return own_town


@pytest.fixture
def later(tmp_path):
    """The region has decided that residents need a still stronger log-in, in forty days."""
    (tmp_path / "rules").mkdir()
    made = json.loads((FOLDER / "rules" / "assurance.json").read_text("utf-8"))
    made |= {"valid_from": DAY, "staff_record": 4}
    (tmp_path / "rules" / "assurance.json").write_text(json.dumps(made), "utf-8")
    use_own(tmp_path)
    yield
    use_own(None)


async def test_each_rule_with_its_source_and_numbers(as_):
    david = await as_("David Wallin")
    page = await david.get("/rules")
    assert page.status_code == 200
    for said in ("rules/ages", "guardian_until", "1177 journalen", "SVOD 2022:913 3 kap."):
        assert said in page.text
    assert "Ändras" not in page.text


async def test_what_a_coming_version_would_have_changed(as_, services, later):
    amira = await as_("Amira Haddad", "Centrum")
    await amira.get("/patients/svea-andersson")
    david = await as_("David Wallin")
    page = await david.get("/rules")
    assert f"Ändras {DAY}" in page.text and "staff_record: 3 → <b>4</b>" in page.text
    tried = await david.get(f"/rules?try=rules/assurance&day={DAY}")
    assert "nekas i stället för att visas" in tried.text
    assert "R2 → R1" in tried.text and "Sjuksköterska" in tried.text
    for nonsense in ("rules/assurance&day=1999-01-01", "rules/nothing&day=2026-01-01"):
        assert (await david.get(f"/rules?try={nonsense}")).status_code == 404


async def test_who_does_not_administer_is_refused(as_):
    amira = await as_("Amira Haddad", "Centrum")
    assert (await amira.get("/rules")).status_code == 403
