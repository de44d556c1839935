"""Identity numbers tried in series: limited, told, and in the trace."""

from __future__ import annotations

import json

import psycopg
import pytest

from sammanhang.access.actor import Actor, Assignment
from sammanhang.access.door import Doors
from sammanhang.access.lookups import looked_up, may_look_up
from sammanhang.kernel.content import content
from sammanhang.kernel.errors import TooMany

RULES = content("rules/lookups")


@pytest.fixture
def town(own_town):
    return own_town


def staff(id: str) -> Actor:
    """A nurse of a unit."""
    held = Assignment(f"{id}-1", "sjukskoterska", "Ssk", "SE-U", "U", "SE-P", "P")
    return Actor("staff", f"Practitioner/{id}", id, 3, held)


async def numbers(n: int) -> list[str]:
    """Well-formed identity numbers that nobody here has."""
    found = []
    for serial in range(n * 10):
        nine = (
            f"500101{238 + serial // 1000:03d}"[:9]
            if serial < 1
            else f"{500101 + serial // 28:06d}238"
        )
        digits = [int(c) * (2 - i % 2) for i, c in enumerate(nine)]
        check = -sum(d // 10 + d % 10 for d in digits) % 10
        day = nine[4:6]
        if "01" <= day <= "28":
            found.append(f"19{nine}{check}")
        if len(found) == n:
            break
    return found


@pytest.mark.asvs("v5.0.0-2.4.1", "v5.0.0-2.3.2", "v5.0.0-16.3.3")
async def test_trying_number_after_number_ends_and_is_seen(as_, town, services):
    amira = await as_("Amira Haddad", "Centrum")
    most = RULES["most_not_found"]
    some = await numbers(most)
    for number in some:
        page = await amira.search(number)
        assert page.status_code == 200 and "Ingen hittades" in page.text
    page = await amira.search("193711042386")
    assert page.status_code == 429
    assert "Många personnummer på kort tid" in page.text and "Svea" not in page.text
    bar = await amira.client.post(
        "/command",
        data={"csrf": _csrf(page.text), "q": "193711042386"},
        headers={"hx-request": "true"},
    )
    assert bar.status_code == 200 and "Många personnummer" in bar.text and "Svea" not in bar.text
    # Care goes on: by name, and in the records of one's own.
    assert "Svea Andersson" in (await amira.search("svea andersson")).text
    assert (await amira.get("/patients/svea-andersson")).status_code == 200
    with psycopg.connect(town) as connection:
        rows = connection.execute(
            "SELECT convert_from(entries, 'UTF8') FROM audit.block ORDER BY at"
        )
        lines = [json.loads(line) for (text,) in rows for line in text.splitlines()]
    refused = [x for x in lines if x["action"] == "refuse" and x.get("rule") == "LOOKUP"]
    assert len(refused) == 2
    assert refused[0]["details"]["not_found"] == most and refused[0]["count"] == most
    assert refused[0]["unit"] and refused[0]["actor"].startswith("Practitioner/")


@pytest.mark.asvs("v5.0.0-2.3.2")
async def test_many_found_are_limited_too_each_person_by_themself(services, town):
    doors = Doors(services.database, services.audit)
    for _ in range(RULES["most"]):
        await may_look_up(doors, staff("busy"))
        await looked_up(services.database, staff("busy"), numbers=1)
    with pytest.raises(TooMany) as told:
        await may_look_up(doors, staff("busy"))
    assert 0 < told.value.retry_after <= RULES["minutes"] * 60 + 1
    await may_look_up(doors, staff("other"))
    with psycopg.connect(town, autocommit=True) as connection:
        connection.execute("UPDATE access.lookup SET at = at - interval '2 hours'")
    await may_look_up(doors, staff("busy"))


def _csrf(text: str) -> str:
    import html
    import re

    found = re.search(r'name="csrf" value="([^"]*)"', text)
    assert found is not None
    return html.unescape(found[1])
