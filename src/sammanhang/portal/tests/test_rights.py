"""The resident finds out who read the record, withdraws consent and blocks: at once, and in the trace."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime

import pytest

from sammanhang.access.extract import months_ago

SVEA = "/patients/svea-andersson"


@pytest.fixture
def town(own_town):
    """These tests change consents, so they have a region of their own."""
    return own_town


async def test_who_has_read_is_told_by_unit_and_day(as_, services):
    amira = await as_("Amira Haddad", "Centrum")
    await amira.get(SVEA)
    amira.client.cookies.clear()
    svea = await as_("Svea Andersson", kind="resident")
    page = await svea.get("/me/log")
    assert page.status_code == 200
    assert "Hemsjukvård Centrum" in page.text
    assert "öppnade din journal" in page.text
    assert "Amira" not in page.text
    assert svea.queries <= 8
    file = await svea.get("/me/log.csv")
    assert file.headers["content-type"].startswith("text/csv")
    rows = list(csv.reader(io.StringIO(file.text.lstrip("\ufeff")), delimiter=";"))
    assert rows[0][1] == "Enhet"
    assert any("Centrum" in row[1] and row[3] == "öppnade din journal" for row in rows[1:])


async def test_a_consent_is_withdrawn_and_a_block_set_and_lifted(as_, services):
    svea = await as_("Svea Andersson", kind="resident")
    page = await svea.get("/me/consents")
    assert "Det du har sagt ja till" in page.text
    before = (await services.doors.facts(svea_actor(), "svea-andersson"))[0]
    party = re.search(r'name="party" value="([^"]+)"', page.text)
    assert party is not None

    page = await svea.post("/me/consents", {"do": "block", "party": party[1]}, page)
    facts = (await services.doors.facts(svea_actor(), "svea-andersson"))[0]
    assert {b.party for b in facts.blocks} - {b.party for b in before.blocks} == {party[1]}
    own = re.search(r'name="consent" value="([^"]+)"><button>Ta bort spärren', page.text)
    assert own is not None
    page = await svea.post("/me/consents", {"do": "end", "consent": own[1]}, page)
    after = (await services.doors.facts(svea_actor(), "svea-andersson"))[0]
    assert set(after.blocks) == set(before.blocks)

    given = re.search(r'name="consent" value="([^"]+)"><button>Ta tillbaka', page.text)
    assert given is not None and before.consented
    await svea.post("/me/consents", {"do": "end", "consent": given[1]}, page)
    now = (await services.doors.facts(svea_actor(), "svea-andersson"))[0]
    assert now.consented < before.consented


@pytest.mark.parametrize(
    "form",
    [{"do": "end", "consent": "nothing"}, {"do": "block", "party": "SE-nobody"}, {"do": "other"}],
)
async def test_what_is_not_there_changes_nothing(as_, form):
    svea = await as_("Svea Andersson", kind="resident")
    page = await svea.get("/me/consents")
    assert (await svea.post("/me/consents", form, page)).status_code == 404


async def test_staff_have_no_part_in_it(as_):
    amira = await as_("Amira Haddad", "Centrum")
    for address in ("/me/log", "/me/log.csv", "/me/consents"):
        assert (await amira.get(address)).status_code == 404


@pytest.mark.parametrize(
    ("now", "months", "then"),
    [
        (datetime(2026, 3, 31, tzinfo=UTC), 1, datetime(2026, 2, 28, tzinfo=UTC)),
        (datetime(2026, 1, 15, tzinfo=UTC), 12, datetime(2025, 1, 15, tzinfo=UTC)),
        (datetime(2026, 1, 15, tzinfo=UTC), 1, datetime(2025, 12, 15, tzinfo=UTC)),
        (datetime(2024, 2, 29, tzinfo=UTC), 12, datetime(2023, 2, 28, tzinfo=UTC)),
    ],
)
def test_so_many_months_ago(now, months, then):
    assert months_ago(months, now) == then


def svea_actor():
    from sammanhang.access.actor import Actor

    return Actor("resident", "Patient/svea-andersson", "Svea", 3)
