"""Who has read my record: sentences a worried person understands, what is new, and a question that is answered."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from sammanhang.access.actor import Actor
from sammanhang.access.door import Doors
from sammanhang.access.extract import extract
from sammanhang.access.review import cases
from sammanhang.access.review.cases import Outcome
from sammanhang.access.staff import assignments_of
from sammanhang.kernel.content import content
from sammanhang.portal.log import _sentence
from sammanhang.region.staff import named_people
from sammanhang.store.trace import INSERT_BLOCK, OPEN_CHAIN, Chain, Entry, stamp

LOG = "/me/log"


@pytest.fixture
def town(own_town):
    """These tests leave a trace and questions behind, so they have a region of their own."""
    return own_town


def did(
    town: str, who: str, action: str = "open", *, times: int = 1, days: int = 0, **more
) -> None:
    held = named_people()[who].assignments[0]
    values = {"rule": "R2", "provider": held.unit.provider, "unit": held.unit.id, **more}
    at = datetime.now(UTC).replace(hour=9, minute=0) - timedelta(days=days)
    with psycopg.connect(town, autocommit=True, options="-c role=sammanhang_writer") as connection:
        row = connection.execute(OPEN_CHAIN).fetchone()
        assert row is not None
        chain = Chain(row[0], 0, row[1])
        entries = [
            Entry(
                at=stamp(at + timedelta(minutes=90 * n)), actor=f"Practitioner/{who}", action=action,
                patient="svea-andersson", assignment=held.id, request=f"{who}{days}{n}", **values,
            )
            for n in range(times)
        ]  # fmt: skip
        connection.execute(INSERT_BLOCK, chain.block(entries))


async def reviewer(services, who: str) -> Actor:
    (held,) = await assignments_of(services.database, who)
    return Actor("staff", f"Practitioner/{who}", "Annika", 3, held)


async def test_each_line_is_a_sentence_and_says_what_it_means(as_, town):
    did(town, "amira-haddad", times=3, days=3)
    did(town, "karin-ek", days=3, rule="R3", purpose="consultation")
    did(town, "tomas-ryd", "emergency", days=2, rule="R9", purpose="life, unconscious")
    did(town, "lina-berg", "refuse", days=1, rule="R7")
    svea = await as_("Svea Andersson", kind="resident")
    page = await svea.get(LOG)
    text = re.sub(r"<[^>]+>", "", page.text)
    assert re.search(
        r"En medarbetare på Hemsjukvård Centrum, Borås, [^.]+, öppnade din journal tre gånger, kl\. \d\d:\d\d–\d\d:\d\d\.",
        text,
    ), text
    assert "Du får vård där." in text
    assert "Skäl som angavs: ”Jag är rådfrågad om patienten”." in text
    assert "Varje nödöppning granskas efteråt" in text and "Fara för patientens liv" in text
    assert "Journalen visades inte" in text
    for name in ("Amira", "Karin", "Tomas", "Lina"):
        assert name not in text


async def test_a_guardian_is_called_one(as_, town):
    jonas = await as_("Jonas Lindgren", kind="resident")
    await jonas.get("/me/family/greta-lindgren")
    found = await extract(jonas.services.doors, "greta-lindgren", datetime(2026, 1, 1, tzinfo=UTC))
    assert [_sentence(a).partition(" öppnade")[0] for a in found] == ["Din vårdnadshavare"]
    assert found[0].provider_id == ""


async def test_what_came_since_the_last_visit_is_new(as_, town):
    svea = await as_("Svea Andersson", kind="resident")
    with psycopg.connect(town, autocommit=True) as connection:
        connection.execute("DELETE FROM access.log_seen")
        did(town, "amira-haddad", days=5)
        assert "Nytt" not in (await svea.get(LOG)).text, "the first time everything is new"
        connection.execute("UPDATE access.log_seen SET seen = now() - interval '4 days'")
    did(town, "karin-ek", days=4)
    did(town, "karin-ek", days=0)
    page = await svea.get(LOG)
    assert page.text.count(">Nytt<") >= 1 and "sedan du senast tittade" in page.text
    assert page.text.count(">Nytt<") == (await svea.get(LOG)).text.count(">Nytt<"), "within a visit"


async def test_a_question_is_reviewed_and_its_answer_comes_back(as_, town, services):
    did(town, "karin-ek", days=6, rule="R3", purpose="follow-up")
    svea = await as_("Svea Andersson", kind="resident")
    page = await svea.get(LOG)
    day = next(
        part for part in page.text.split("<section") if "Jag följer upp vård jag deltagit i" in part
    )
    (address,) = re.findall(r'href="(/me/log/ask/[0-9a-f]+)"', day)
    form = await svea.get(address)
    assert "följer upp" in form.text and form.status_code == 200
    wrong = await svea.post(address, {"said": "  "}, form)
    assert wrong.status_code == 400 and "Skriv vad du undrar" in wrong.text
    asked = {"said": "Jag har <b>aldrig</b> varit där"}
    page = await svea.post(address, asked, form)
    assert page.url.path == LOG
    assert "Vårdgivaren granskar besöket" in page.text
    assert "&lt;b&gt;aldrig&lt;/b&gt;" in page.text and "<b>aldrig" not in page.text
    assert (await svea.post(address, asked, form)).status_code == 409

    annika = await reviewer(services, "annika-sjoberg")
    (case,) = (await cases.waiting(services.doors, annika, pattern="resident-asks")).cases
    assert (case.actor, case.patient) == ("Practitioner/karin-ek", "svea-andersson")
    given = Outcome("justified", "Hon följde upp efter besöket")
    with pytest.raises(Exception, match="Answer the patient"):
        await cases.decide(services.doors, annika, case.id, given)
    answer = "Läkaren följde upp ditt besök i september."
    await cases.decide(services.doors, annika, case.id, Outcome("justified", "Ok", (), answer))
    page = await svea.get(LOG)
    assert answer in page.text and "Vårdgivaren granskar" not in page.text
    assert "Ok</" not in page.text, "what reviewers write to each other is theirs"


async def test_an_answer_to_what_was_unjustified_comes_when_it_is_confirmed(as_, town, services):
    did(town, "oskar-nystrom", days=7)
    svea = await as_("Svea Andersson", kind="resident")
    page = await svea.get(LOG)
    address = re.findall(r'href="(/me/log/ask/[0-9a-f]+)"', page.text)[-1]
    await svea.post(address, {"said": "Vem var det?"}, page)
    doors: Doors = services.doors
    annika = await reviewer(services, "annika-sjoberg")
    (case,) = (await cases.waiting(doors, annika, pattern="resident-asks")).cases
    given = Outcome(
        "unjustified", "Nyfiken", ("asked", "patient-told"), "Det var fel. Vi beklagar."
    )
    await cases.decide(doors, annika, case.id, given)
    assert "Vi beklagar" not in (await svea.get(LOG)).text
    await cases.confirm(doors, annika, case.id)
    assert "Vi beklagar" in (await svea.get(LOG)).text


async def test_nobody_asks_about_a_line_that_is_not_theirs(as_, town):
    svea = await as_("Svea Andersson", kind="resident")
    page = await svea.get(LOG)
    line = re.findall(r"/me/log/ask/([0-9a-f]+)", page.text)[0]
    svea.client.cookies.clear()
    lars = await as_("Lars Andersson", kind="resident")
    for address in (f"/me/log/ask/{line}", "/me/log/ask/nothing"):
        assert (await lars.get(address)).status_code == 404
        assert (await lars.post(address, {"said": "x"}, await lars.get(LOG))).status_code == 404
    lars.client.cookies.clear()
    amira = await as_("Amira Haddad", "Centrum")
    assert (await amira.get(f"/me/log/ask/{line}")).status_code == 404


async def test_questions_that_wait_are_not_without_end(as_, town):
    most = content("rules/log_review")["open_questions_of_a_resident"]
    for n in range(most + 1):
        did(town, "amira-haddad", days=20 + n)
    svea = await as_("Svea Andersson", kind="resident")
    page = await svea.get(LOG)
    addresses = re.findall(r'href="(/me/log/ask/[0-9a-f]+)"', page.text)
    answers = [
        (await svea.post(a, {"said": "Vem?"}, page)).status_code for a in addresses[-most - 1 :]
    ]
    assert set(answers[:most]) == {200} and answers[-1] == 409
