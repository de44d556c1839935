"""What the pages of a care request cost the database: counted exactly, twelve at most (architecture 8)."""

from __future__ import annotations

import pytest

from .filling import changed, fields_of, post

SVEA = "/patients/svea-andersson"
CAN = "http://sammanhang.se/fhir/CodeSystem/care-request-answer|nej"
WRITTEN = {
    "reason": "Yrsel, två fall", "question": "Vägning", "priority": "urgent", "ground": "samtycke",
    "form.ta-sig-till-mottagning": CAN,
}  # fmt: skip


@pytest.fixture
def town(own_town):
    return own_town


async def test_every_page_of_act_one_asks_the_database_twelve_questions_at_most(as_):
    karin, asked = await as_("Karin Ek"), {}

    async def count(someone, name: str, address: str):
        await someone.get(address)  # what is kept by the process is there
        page = await someone.get(address)
        assert page.status_code == 200, name
        asked[name] = someone.queries
        return page

    await count(karin, "chart", SVEA)
    await count(karin, "choose", f"{SVEA}/requests/new")
    compose = await count(karin, "compose", f"{SVEA}/requests/new?kind=hemsjukvard")
    fields = changed(fields_of(compose, "/requests/send"), **WRITTEN)
    sent = await post(karin, f"{SVEA}/requests/send", [*fields, ("do", "send")])
    address = sent.url.path
    await count(karin, "sender's request", address)
    amira = await as_("Amira Haddad", "Centrum")
    for name, at in (
        ("start", "/"),
        ("worklist", "/work"),
        ("requests", "/requests"),
        ("receiver's request", address),
    ):
        await count(amira, name, at)
    svea = await as_("Svea Andersson", kind="Patient")
    await count(svea, "resident's request", f"/me/requests/{address.rpartition('/')[2]}")
    assert max(asked.values()) <= 12, asked
    assert asked == {
        "chart": 7, "choose": 4, "compose": 5, "sender's request": 6, "start": 11, "worklist": 4, "requests": 4,
        "receiver's request": 6, "resident's request": 4,
    }  # fmt: skip
