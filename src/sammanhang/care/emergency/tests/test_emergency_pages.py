"""Emergency access in the browser: two steps, a banner while it lasts, and the owner's answer."""

from __future__ import annotations

import re

import psycopg
import pytest

from sammanhang.access import consents
from sammanhang.access.actor import Actor

SVEA = "/patients/svea-andersson"
NISSE = "/patients/nisse-nod"


@pytest.fixture
def town(own_town):
    """These tests leave emergencies behind, so they have a region of their own."""
    return own_town


DECLARED = {
    "step": "declare", "danger": "life", "unable": "unconscious", "said": "Hittad medvetslös i hemmet",
}  # fmt: skip


@pytest.mark.asvs("v5.0.0-2.3.1")
async def test_danger_is_declared_first_and_then_what_is_needed_is_opened(amira):
    way = await amira.get(f"{NISSE}/hidden")
    assert f"{NISSE}/emergency" in way.text
    page = await amira.get(f"{NISSE}/emergency")
    assert "Vad är faran?" in page.text
    assert 'name="party"' not in page.text
    before = (await amira.get(NISSE)).text
    assert "Nödöppning pågår" not in before

    page = await amira.post(f"{NISSE}/emergency", DECLARED, page)
    assert "Nödöppning pågår till" in page.text
    party = re.search(r'name="party" value="([^"]+)"', page.text)
    assert party is not None
    page = await amira.post(f"{NISSE}/emergency", {"step": "open", "party": party[1]}, page)
    assert "Öppnat" in page.text
    chart = await amira.get(NISSE)
    assert "Nödöppning pågår till" in chart.text
    assert amira.queries <= 9
    page = await amira.get(f"{NISSE}/emergency")
    chart = await amira.post(f"{NISSE}/emergency", {"step": "end"}, page)
    assert chart.url.path == NISSE
    assert "Nödöppning pågår" not in chart.text
    assert f"{NISSE}/hidden#no-consent" in chart.text


async def test_what_was_typed_stays_when_something_is_wrong(amira):
    page = await amira.get(f"{NISSE}/emergency")
    wrong = await amira.post(
        f"{NISSE}/emergency", DECLARED | {"danger": "", "said": "<b>oro"}, page
    )
    assert wrong.status_code == 400
    assert "Välj fara" in wrong.text
    assert "&lt;b&gt;oro" in wrong.text and "<b>oro" not in wrong.text
    assert re.search(r'value="unconscious" required checked', wrong.text)
    assert "Nödöppning pågår" not in (await amira.get(NISSE)).text


async def test_another_providers_block_is_only_asked_about(amira):
    page = await amira.get(f"{SVEA}/emergency")
    page = await amira.post(f"{SVEA}/emergency", DECLARED, page)
    assert "spärrat hos vårdgivaren" in page.text
    form = re.search(r'value="ask">.*?name="party" value="([^"]+)"', page.text, re.DOTALL)
    assert form is not None
    refused = await amira.post(f"{SVEA}/emergency", {"step": "open", "party": form[1]}, page)
    assert refused.status_code == 403
    assert "R10" in refused.text
    page = await amira.get(f"{SVEA}/emergency")
    page = await amira.post(
        f"{SVEA}/emergency", {"step": "ask", "party": form[1], "said": "Läkemedel"}, page
    )
    assert "Vårdgivaren är tillfrågad" in page.text
    assert "spärrade uppgifter" in (await amira.get(SVEA)).text
    await amira.post(f"{SVEA}/emergency", {"step": "end"}, page)


@pytest.mark.asvs("v5.0.0-8.2.1")
async def test_only_an_officer_answers(amira):
    page = await amira.get("/lifts")
    assert page.status_code == 403
    assert "R11" in page.text


async def test_r5_an_officer_lifts_an_inner_block_with_consent(as_, town, services):
    maria = await as_("verksamhetschef södra torget")
    await maria.get("/")
    with psycopg.connect(town) as connection:
        ((provider,),) = connection.execute(
            "SELECT assignment ->> 'provider' FROM access.session WHERE name = 'Maria Lund'"
            " AND assignment IS NOT NULL LIMIT 1"
        ).fetchall()
    svea = Actor("resident", "Patient/svea-andersson", "Svea", 3)
    facts, _ = await services.doors.facts(svea, "svea-andersson")
    unit = min(u for p, u in facts.sources if p == provider and u and u != p)
    await consents.block(services.doors, svea, "svea-andersson", unit)

    page = await maria.get("/lifts")
    page = await maria.post("/lifts", {"number": "19371104-2386"}, page)
    assert "är spärrad." in page.text
    target = re.search(r'<option value="([^"]+)"', page.text)
    assert target is not None
    lift = {
        "number": "193711042386", "patient": "svea-andersson", "unit": unit, "for_unit": target[1], "hours": "",
        "said": "Samtyckte vid besöket",
    }  # fmt: skip
    page = await maria.post("/lifts", lift, page)
    assert page.status_code == 400 and "Samtyckte vid besöket" in page.text
    page = await maria.post("/lifts", lift | {"hours": "24"}, page)
    assert page.status_code == 200
    with psycopg.connect(town) as connection:
        rows = connection.execute("SELECT party, for_party, rule FROM access.lift").fetchall()
    assert rows == [(unit, target[1], "R5")]
    nobody = await maria.post("/lifts", {"number": "191212121212"}, page)
    assert "Ingen hittades" in nobody.text
