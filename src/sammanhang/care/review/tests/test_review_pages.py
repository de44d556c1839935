"""Log review in the browser: the queue, one case, two steps to unjustified, and nobody reviews themselves."""

from __future__ import annotations

import json
import re

import psycopg
import pytest

from sammanhang.access.facts import PROTECTED_CODES, PROTECTED_SYSTEM
from sammanhang.fhir.decode import decode
from sammanhang.store.bulk import load

pytestmark = pytest.mark.usefixtures("clean")


@pytest.fixture
def town(own_town):
    """These tests leave cases behind, so they have a region of their own."""
    return own_town


R3 = {"rule": "R3", "purpose": "consultation"}


def cases_in(page) -> list[str]:
    return re.findall(r'<td><a href="(/review/cases/[^"]+)"', page.text)


async def test_only_a_log_reviewer_sees_any_of_it(as_):
    amira = await as_("Amira Haddad", "Centrum")
    for address in ("/review", "/review/public", "/review/figures", "/review/figures.csv",
                    "/review/outcomes.csv", "/review/cases/00000000-0000-0000-0000-000000000000"):  # fmt: skip
        refused = await amira.get(address)
        assert refused.status_code == 403, address
        assert "R36" in refused.text


async def test_the_queue_says_who_whose_and_why_in_plain_words(as_, did):
    did("helena-lund", "ingrid-lund")
    did("amira-haddad", "helena-lund", **R3)
    karl = await as_("Karl Östlund")
    page = await karl.get("/review")
    assert page.status_code == 200
    assert karl.queries <= 12
    for words in (
        "Helena Lund", "Undersköterska", "Hemsjukvård Centrum", "Ingrid Lund", "Samma adress", "Samma efternamn",
        "Patienten är folkbokförd på medarbetarens adress", "Amira Haddad", "Kollega", "2 att granska",
    ):  # fmt: skip
        assert words in page.text, words
    first, second = cases_in(page)
    assert page.text.index("Ingrid Lund") < page.text.index("Amira Haddad")
    narrowed = await karl.get("/review?pattern=colleague")
    assert cases_in(narrowed) == [second]
    case = await karl.get(second)
    assert "Jag är rådfrågad om patienten" in case.text and "R3" in case.text
    assert karl.queries <= 12
    assert first != second


async def test_a_reviewer_sees_only_the_own_care_providers_cases(as_, did):
    did("helena-lund", "ingrid-lund")
    did("karin-ek", "svea-andersson", **R3)
    karl = await as_("Karl Östlund")
    (mine,) = cases_in(await karl.get("/review"))
    karl.client.cookies.clear()
    annika = await as_("Annika Sjöberg")
    page = await annika.get("/review")
    (hers,) = cases_in(page)
    assert "Karin Ek" in page.text and "Helena Lund" not in page.text
    assert (await annika.get(mine)).status_code == 404
    assert (await annika.post(mine, {"do": "decide"}, page)).status_code == 404
    assert (await annika.get(hers)).status_code == 200
    assert (await annika.get("/review/cases/nothing")).status_code == 404


async def test_a_protected_name_is_masked_for_the_reviewer_too(as_, did, town):
    label = {"system": PROTECTED_SYSTEM, "code": PROTECTED_CODES[0]}
    hidden = {
        "resourceType": "Patient", "id": "hemlig", "meta": {"security": [label]},
        "name": [{"family": "Hemligsson", "given": ["Kim"]}],
    }  # fmt: skip
    load(town, [decode(json.dumps(hidden).encode())])
    did("karin-ek", "hemlig", **R3)
    annika = await as_("Annika Sjöberg")
    page = await annika.get("/review")
    (address,) = cases_in(page)
    for shown in (page, await annika.get(address)):
        assert "Skyddad uppgift" in shown.text and "Hemligsson" not in shown.text


async def test_what_is_justified_is_documented_and_leaves_the_queue(as_, did, town):
    did("helena-lund", "ingrid-lund")
    karl = await as_("Karl Östlund")
    (address,) = cases_in(await karl.get("/review"))
    page = await karl.get(address)
    wrong = await karl.post(address, {"do": "decide", "said": "<b>inget"}, page)
    assert wrong.status_code == 400
    assert "Välj ett utfall" in wrong.text and "&lt;b&gt;inget" in wrong.text
    wrong = await karl.post(address, {"do": "decide", "outcome": "justified", "said": " "}, page)
    assert wrong.status_code == 400 and "Skriv vad granskningen visade" in wrong.text
    done = await karl.post(
        address, {"do": "decide", "outcome": "justified", "said": "Planerat besök"}, page
    )
    assert done.url.path == "/review" and "Inget väntar på granskning" in done.text
    case = await karl.get(address)
    for words in ("Befogad", "Planerat besök", "Karl Östlund", "Granskningen är avslutad"):
        assert words in case.text, words
    again = await karl.post(address, {"do": "decide", "outcome": "ask", "said": "igen"}, page)
    assert again.status_code == 409
    with psycopg.connect(town) as connection:
        ((entries,),) = connection.execute(
            "SELECT convert_from(entries, 'UTF8') FROM audit.block"
            " WHERE convert_from(entries, 'UTF8') LIKE '%\"review\"%Planerat%'"
        ).fetchall()
    assert '"rule":"R36"' in entries and '"outcome":"justified"' in entries


async def test_unjustified_takes_two_steps_and_says_what_was_done(as_, did):
    did("helena-lund", "ingrid-lund")
    karl = await as_("Karl Östlund")
    (address,) = cases_in(await karl.get("/review"))
    page = await karl.get(address)
    given = {"do": "decide", "outcome": "unjustified", "said": "Ingen vård pågick"}
    wrong = await karl.post(address, given, page)
    assert wrong.status_code == 400 and "Ange vad som har gjorts" in wrong.text
    early = await karl.post(address, {"do": "confirm"}, page)
    assert early.status_code == 409 and "inget att bekräfta" in early.text
    page = await karl.post(address, given | {"measure-asked": "1", "measure-told": "1"}, page)
    assert page.url.path == address
    assert "Bekräfta att åtkomsten var obefogad" in page.text
    assert "Verksamhetschefen är underrättad" in page.text
    assert "Ska bekräftas" in (await karl.get("/review")).text
    page = await karl.post(address, {"do": "take", "why": "Läser om en gång"}, page)
    assert re.search(r"<p>”Ingen vård pågick”</p>", page.text)
    page = await karl.post(address, {"do": "confirm"}, page)
    assert page.url.path == "/review" and "Inget väntar" in page.text
    assert "Obefogad" in (await karl.get(address)).text


async def test_what_needs_to_be_looked_into_stays(as_, did):
    did("helena-lund", "ingrid-lund")
    karl = await as_("Karl Östlund")
    (address,) = cases_in(await karl.get("/review"))
    page = await karl.get(address)
    page = await karl.post(
        address, {"do": "decide", "outcome": "ask", "said": "Frågar henne i morgon"}, page
    )
    assert cases_in(page) == [address] and "Utreds" in page.text


async def test_nobody_reviews_their_own_accesses(as_, did):
    did("karl-ostlund", "helena-lund", **R3)
    did("amira-haddad", "helena-lund")
    karl = await as_("Karl Östlund")
    page = await karl.get("/review")
    assert len(cases_in(page)) == 1
    with psycopg.connect(karl.services.database.dsn) as connection:
        ((own,),) = connection.execute(
            "SELECT id FROM access.review_case WHERE actor = 'Practitioner/karl-ostlund'"
        ).fetchall()
    for answer in (
        await karl.get(f"/review/cases/{own}"),
        await karl.post(f"/review/cases/{own}", {"do": "decide", "outcome": "justified", "said": "ok"}, page),
    ):  # fmt: skip
        assert answer.status_code == 403
        assert "R36" in answer.text and "sina egna" in answer.text


async def test_a_case_is_handed_over_and_taken_back(as_, did, second_reviewer):
    did("helena-lund", "ingrid-lund")
    karl = await as_("Karl Östlund")
    (address,) = cases_in(await karl.get("/review"))
    page = await karl.get(address)
    to = "Practitioner/eva-granskar"
    assert f'value="{to}"' in page.text and "Practitioner/annika" not in page.text
    wrong = await karl.post(address, {"do": "hand-over", "to": "Practitioner/annika-sjoberg", "why": "x"}, page)  # fmt: skip
    assert wrong.status_code == 400
    page = await karl.post(address, {"do": "hand-over", "to": to, "why": "Jag känner henne"}, page)
    assert "Eva Granskar har ärendet" in page.text and "Jag känner henne" in page.text
    late = await karl.post(address, {"do": "decide", "outcome": "justified", "said": "ok"}, page)
    assert late.status_code == 409 and "ta över det först" in late.text
    page = await karl.post(address, {"do": "take"}, page)
    assert "Övertaget" in page.text and "Spara bedömningen" in page.text


async def test_an_emergency_tells_its_grounds_and_what_was_opened(as_, did):
    said = {"said": "Larm <i>kl 3</i>"}
    more = {"rule": "R9", "purpose": "life, no-time"}
    did("karin-ek", "svea-andersson", "emergency", details={"step": 1, **said}, **more)
    did("karin-ek", "svea-andersson", "emergency", minutes=50, details={"step": 2, "opened": ["SE-X"], **said}, **more)  # fmt: skip
    annika = await as_("Annika Sjöberg")
    page = await annika.get("/review?pattern=emergency")
    assert "Nödöppnade journalen" in page.text and "Fara för patientens liv" in page.text
    (address,) = cases_in(page)
    case = await annika.get(address)
    assert "Larm &lt;i&gt;kl 3&lt;/i&gt;" in case.text and "Öppnade: SE-X" in case.text
    assert "Det finns inte tid att fråga" in case.text


async def test_many_patients_are_one_case_that_names_each(as_, did):
    for n, patient in enumerate(["svea-andersson", "ingrid-lund", "olle-nystrom"] * 2):
        did("amira-haddad", patient, "refuse", minutes=60 + n, rule="R3", look=n == 5)
    karl = await as_("Karl Östlund")
    page = await karl.get("/review")
    (address,) = cases_in(page)
    assert "Nekad flera gånger" in page.text and "Flera patienter" in page.text
    case = await karl.get(address)
    for name in ("Svea Andersson", "Ingrid Lund", "Olle Nyström"):
        assert name in case.text
    assert "Försökte 6 gånger inom 60 minuter" in case.text


async def test_the_same_persons_other_hits_stand_beside(as_, did):
    did("helena-lund", "ingrid-lund")
    did("helena-lund", "helena-lund")
    karl = await as_("Karl Östlund")
    first, second = cases_in(await karl.get("/review"))
    assert second in (await karl.get(first)).text
    assert "Egen journal" in (await karl.get(first)).text


async def test_the_list_of_public_people_is_kept_by_its_care_provider(as_, did):
    karl = await as_("Karl Östlund")
    page = await karl.get("/review/public")
    assert "Ingen står på listan" in page.text
    wrong = await karl.post(
        "/review/public", {"number": "19000101-0000", "reason": "Riksdag"}, page
    )
    assert wrong.status_code == 400 and "Ingen har det personnumret" in wrong.text
    assert 'value="Riksdag"' in wrong.text
    passed = {"number": "19371104-2386", "reason": "Riksdagsledamot", "until": "2020-01-01"}
    assert "har passerat" in (await karl.post("/review/public", passed, page)).text
    page = await karl.post("/review/public", passed | {"until": ""}, page)
    assert "Svea Andersson" in page.text and "Riksdagsledamot" in page.text
    twice = await karl.post("/review/public", passed | {"until": ""}, page)
    assert twice.status_code == 409
    did("eva-holmgren", "svea-andersson")
    assert "Offentlig person" in (await karl.get("/review")).text
    (listed,) = re.findall(r'name="listed" value="([^"]+)"', page.text)
    karl.client.cookies.clear()
    annika = await as_("Annika Sjöberg")
    theirs = await annika.get("/review/public")
    assert "Svea" not in theirs.text
    refused = await annika.post("/review/public", {"do": "remove", "listed": listed}, theirs)
    assert refused.status_code == 404
    annika.client.cookies.clear()
    karl = await as_("Karl Östlund")
    page = await karl.post("/review/public", {"do": "remove", "listed": listed}, page)
    assert "Ingen står på listan" in page.text
