"""Care requests as the resident reads them: what happens next, who decided, whom to call, in every state."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from sammanhang.access import consents
from sammanhang.access.facts import PROTECTED_CODES, PROTECTED_SYSTEM
from sammanhang.access.rules import DISCLOSURE
from sammanhang.access.rules.decision import NOT_TO_PATIENT
from sammanhang.access.services import Services
from sammanhang.access.writing import Changes
from sammanhang.care.messages import writing as messages
from sammanhang.care.messages.errors import NobodyReads
from sammanhang.care.requests import receiving, sending
from sammanhang.care.requests.receiving import FirstVisit
from sammanhang.care.requests.request import around
from sammanhang.care.requests.sending import Written
from sammanhang.care.requests.states import STATES
from sammanhang.fhir.indexing import coded
from sammanhang.fhir.r4 import Coding
from sammanhang.kernel import clock
from sammanhang.kernel.content import content
from sammanhang.portal.visits import MARGIN
from sammanhang.region.organisations import named
from sammanhang.web import show, testing
from sammanhang.web.testing import Browser
from sammanhang.work import tasks, units
from sammanhang.work.deadlines import Deadline
from sammanhang.work.escalation import escalate_due
from sammanhang.work.testing import somebody

pytestmark = pytest.mark.slow  # the whole suite has it; `make check` stays quick

SVEA, GRETA, INGRID = "svea-andersson", "greta-lindgren", "ingrid-lund"
CENTRUM, BRAMHULT = named("Hemsjukvård Centrum, Borås"), named("Hemsjukvård Brämhult, Borås")
HOME = Written("hemsjukvard", CENTRUM.id, "urgent", "Yrsel och två fall <i hemmet>", "Vägning tre gånger i veckan", ground="samtycke")  # fmt: skip
Log = Callable[..., Awaitable[Browser]]


@pytest.fixture
def town(own_town: str) -> str:
    """These tests send requests, so they have a region of their own."""
    return own_town


class Staff:
    """Karin at the health centre and Amira at home care, each with a record open."""

    def __init__(self, services: Services) -> None:
        self.services = services

    async def at(self, who: str, unit: str = "", patient: str = SVEA) -> Any:
        return await self.services.doors.open_record(
            await somebody(self.services, who, unit), patient
        )

    async def karin(self, patient: str = SVEA) -> Any:
        return await self.at("karin-ek", patient=patient)

    async def amira(self, unit: str = "Centrum") -> Any:
        return await self.at("amira-haddad", unit)

    async def sent(self, written: Written = HOME, patient: str = SVEA) -> str:
        return await sending.send(await self.karin(patient), "", written)

    async def until(self, state: str) -> str:
        """A request that has come to a state."""
        id = await self.sent()
        if state == "withdrawn":
            await sending.withdraw(await self.karin(), id, "Svea är inlagd")
        elif state == "rejected":
            await receiving.reject(await self.amira(), id, "Kan besöka vårdcentralen själv")
        elif state == "redirected":
            await receiving.redirect(await self.amira(), id, BRAMHULT.id, "Svea bor i Brämhult")
        elif state == "received":
            await receiving.receive(await self.amira(), id)
        elif state == "more-information":
            await receiving.ask(await self.amira(), id, "Har hon nyckelgömma?")
        elif state != "sent":
            await receiving.accept(await self.amira(), id, "Vi kommer gärna")
        if state in ("planned", "answered", "closed"):
            await receiving.plan(await self.amira(), id, FirstVisit(VISIT, 60))
        if state == "in-progress":
            await receiving.start(await self.amira(), id)
        if state in ("answered", "closed"):
            await receiving.answer(await self.amira(), id, "Inskriven. Vägning tre gånger.")
        if state == "closed":
            await sending.close(await self.karin(), id)
        return id


VISIT = (clock.now() + timedelta(days=2)).replace(hour=9, minute=0, second=0, microsecond=0)


@pytest.fixture
def staff(services: Services) -> Staff:
    return Staff(services)


def words(page: Any) -> str:
    """What stands in the page's main part, as it is read."""
    main = re.search(r"<main.*?</main>", page.text, re.S)
    assert main is not None, page.text[:500]
    return " ".join(re.sub(r"<[^>]+>", " ", main[0]).replace("&#34;", '"').split())


def test_every_state_and_kind_has_words_in_both_languages() -> None:
    texts = content("texts/care_requests")
    kinds = content("routing/requests")["kinds"]
    assert set(texts["states"]) == set(STATES)
    assert set(kinds) <= set(texts["kinds"])
    filled = dict.fromkeys(("sender", "receiver", "unit", "what", "whom", "by", "visit"), "x")
    for state, said in texts["states"].items():
        for part in ("word", "now", "next", "by", "late"):
            for language in ("sv", "en"):
                assert isinstance(said[part][language] % filled, str)
                needed = part in ("word", "now") or (part == "next" and state != "draft")
                assert said[part][language] or not needed, (state, part, language)
    for kind in texts["kinds"].values():
        for part in ("title", "what", "plan", "visit"):
            assert kind[part]["sv"] % filled and kind[part]["en"] % filled
    for text in (*texts["after_a_no"], texts["worse"], texts["hidden"]):
        assert text["sv"] % filled and text["en"] % filled


SAID = {
    "sent": ("Skickad", "har bett om hemsjukvård åt dig", "Hemsjukvården i Borås ska läsa begäran och svara", "Hemsjukvården i Borås svarar senast"),
    "received": ("Mottagen", "ska bestämma om det blir ja eller nej", "Amira Haddad, sjuksköterska, Hemsjukvård Centrum, Borås"),
    "more-information": ("En fråga väntar på svar", "De har frågat Vårdcentralen Södra torget", "Frågan ska vara besvarad senast"),
    "accepted": ("Svaret är ja", "Hemsjukvården i Borås har sagt ja till hemsjukvård", "planerar det första besöket", "Beslut: ja", "Vi kommer gärna"),
    "rejected": ("Svaret är nej", "Beslut: nej", "Kan besöka vårdcentralen själv", "patientnämnden", "kan skicka en ny begäran"),
    "redirected": ("Skickad vidare", "skickad vidare till Hemsjukvård Brämhult, Borås", "Svea bor i Brämhult"),
    "planned": ("Besök planerat", "kl. ", "Hemsjukvården i Borås kommer hem till dig.", "Amira Haddad, sjuksköterska", "Det första besöket"),
    "in-progress": ("Pågår", "har börjat med hemsjukvård", "Svaret kommer senast"),
    "answered": ("Besvarad", "Inskriven. Vägning tre gånger.", "ska läsa svaret", "Svaret läses"),
    "closed": ("Klar", "Inskriven. Vägning tre gånger.", "Inget mer ska hända"),
    "withdrawn": ("Tillbakatagen", "Svea är inlagd", "Undrar du varför"),
}  # fmt: skip


@pytest.mark.parametrize("state", [s for s in STATES if s != "draft"])
async def test_each_state_is_told_in_plain_words_with_whom_to_call(
    staff: Staff, as_: Log, state: str
) -> None:
    id = await staff.until(state)
    svea = await as_("Svea Andersson", kind="resident")
    page = await svea.get(f"/me/requests/{id}")
    assert page.status_code == 200
    assert svea.queries <= 12
    text = words(page)
    for said in (*SAID[state], "Yrsel och två fall &lt;i hemmet&gt;", "Vägning tre gånger i veckan", "Karin Ek, läkare"):  # fmt: skip
        assert said in text, (said, text)
    assert 'href="tel:' in page.text and "påmin" not in text
    assert text.count(" Nu ") == (state not in ("rejected", "closed", "withdrawn"))
    assert "nyckelgömma" not in text  # what staff ask each other is not shown here
    for raw in ("%(", "ServiceRequest", "Organization/"):
        assert raw not in text
    english = await svea.get(f"/me/requests/{id}", headers={"cookie": _english(svea)})
    assert 'lang="en"' in english.text and 'lang="sv">Yrsel' in english.text
    for swedish in ("besöket", "begäran", "Nästa", "senast", "Ring ", "sjuksköterska", "läkare"):
        assert swedish not in _in_english(english), swedish


def _in_english(page: Any) -> str:
    """The main part of a page without what is marked as Swedish."""
    rest = re.sub(r'<(\w+)[^>]*lang="sv".*?</\1>', "", page.text, flags=re.S)
    return str(rest.partition("<main")[2].partition("</main")[0])


def _english(browser: Browser) -> str:
    kept = [f"{c.name}={c.value}" for c in browser.client.cookies.jar if "language" not in c.name]
    secure = any(c.name.startswith("__Host-") for c in browser.client.cookies.jar)
    return "; ".join([*kept, f"{'__Host-' if secure else ''}language=en"])


async def test_the_first_page_says_what_happens_next_and_what_is_going_on(
    staff: Staff, as_: Log
) -> None:
    svea = await as_("Svea Andersson", kind="resident")
    before = await svea.get("/me")
    id = await staff.until("planned")
    page = await svea.get("/me")
    assert svea.queries <= 12
    text = words(page)
    assert "Det här är på gång" in text
    assert f'href="/me/requests/{id}"' in page.text
    assert "Ansvarig nu: hemsjukvården i Borås" in text
    assert "Det här är på gång" not in words(before) or len(text) > len(words(before))
    late = await staff.sent()
    await _due(staff, late, hours=-30)
    text = words(await svea.get("/me"))
    assert "Svaret är försenat" in text


@pytest.mark.parametrize("address", ["/me", "/me/requests", "/me/requests/{id}"])
async def test_a_page_asks_at_most_twelve_questions_also_the_first_time(
    staff: Staff, as_: Log, address: str
) -> None:
    id = await staff.until("planned")
    svea = await as_("Svea Andersson", kind="resident")
    units._known.clear()  # as after a start
    assert (await svea.get(address.format(id=id))).status_code == 200
    assert 0 < svea.queries <= 12


async def test_what_is_late_is_said_and_who_has_been_reminded(staff: Staff, as_: Log) -> None:
    id = await staff.sent()
    await _due(staff, id, hours=-30)
    svea = await as_("Svea Andersson", kind="resident")
    text = words(await svea.get(f"/me/requests/{id}"))
    assert "Svaret är försenat. Det skulle ha kommit" in text
    assert "Du kan ringa och fråga." in text
    assert "påmin" not in text  # nobody has been yet
    await escalate_due(staff.services.doors)
    text = words(await svea.get(f"/me/requests/{id}"))
    assert "Enhetens ansvariga är påminda." in text


async def _due(staff: Staff, id: str, hours: int) -> None:
    """Moves the deadline of a request, and the steps up with it."""
    record = await staff.amira()
    found = await around(record, id)
    stored = found.tasks[-1]
    task, by = stored.resource, timedelta(hours=hours)
    old = tasks.deadline_of(task)
    assert old is not None
    gap = clock.now() + by - old
    steps = tuple(type(s)(s.step, s.function, s.at + gap) for s in tasks.steps_of(task))
    tasks.set_deadline(task, Deadline(old + gap, steps))
    changes = Changes.by(record)
    changes.update(stored, task)
    await changes.commit("test")


async def test_a_draft_is_never_shown(staff: Staff, as_: Log) -> None:
    id = await sending.save(await staff.karin(), "", Written("hemsjukvard", reason="Halvskriven"))
    svea = await as_("Svea Andersson", kind="resident")
    assert (await svea.get(f"/me/requests/{id}")).status_code == 404
    for address in ("/me", "/me/requests"):
        page = await svea.get(address)
        assert id not in page.text and "Halvskriven" not in page.text


async def test_what_is_not_for_the_patient_stays_hidden(staff: Staff, as_: Log) -> None:
    """R22: the label hides the request, and an answer that is labelled leaves no trace on the page."""
    id, answered = await staff.sent(), await staff.until("answered")
    karin, amira = await staff.karin(), await staff.amira()
    for record, stored in ((karin, (await around(karin, id)).stored), (amira, (await around(amira, answered)).answers[0])):  # fmt: skip
        resource = stored.resource
        resource.meta.security = [Coding(system=DISCLOSURE, code=NOT_TO_PATIENT)]
        changes = Changes.by(record)
        changes.update(stored, resource)
        await changes.commit("test")
    svea = await as_("Svea Andersson", kind="resident")
    assert (await svea.get(f"/me/requests/{id}")).status_code == 404
    assert id not in (await svea.get("/me")).text
    page = await svea.get(f"/me/requests/{answered}")
    assert page.status_code == 200
    assert "Inskriven" not in page.text and "Svaret</h2>" not in page.text


async def test_another_persons_request_is_as_if_it_were_not_there(staff: Staff, as_: Log) -> None:
    id = await staff.sent()
    jonas = await as_("Jonas Lindgren", kind="resident")
    others, absent = await jonas.get(f"/me/requests/{id}"), await jonas.get("/me/requests/nobody")
    assert others.status_code == absent.status_code == 404
    assert words(others) == words(absent)
    for stranger in (f"/me/family/{SVEA}/requests/{id}", f"/me/family/{SVEA}/requests"):
        refused = await jonas.get(stranger)
        assert refused.status_code == 403 and "Yrsel" not in refused.text
    amira = await as_("Amira Haddad", "Centrum")
    assert (await amira.get(f"/me/requests/{id}")).status_code == 404


SCHOOL = Written("region-till-elevhalsa", reason="Huvudvärk i skolan", question="Uppföljning hos skolsköterskan", ground="samtycke")  # fmt: skip


async def test_a_father_reads_of_his_childs_request_in_the_childs_name(
    staff: Staff, as_: Log
) -> None:
    await staff.services.doors.declare(
        await somebody(staff.services, "karin-ek"), GRETA, "new-contact"
    )
    id = await staff.sent(SCHOOL, GRETA)
    jonas = await as_("Jonas Lindgren", kind="resident")
    start = await jonas.get(f"/me/family/{GRETA}")
    assert jonas.queries <= 12
    assert f'href="/me/family/{GRETA}/requests/{id}"' in start.text
    page = await jonas.get(f"/me/family/{GRETA}/requests/{id}")
    assert page.status_code == 200 and jonas.queries <= 12
    text = words(page)
    assert "har bett om uppföljning i skolan åt Greta" in text
    assert "Elevhälsan i Borås ska läsa begäran och svara" in text
    assert "åt dig" not in text and "Till barnets sida" in text
    assert (await jonas.get(f"/me/requests/{id}")).status_code == 404


async def test_a_guardian_reads_no_more_from_the_age_the_law_says(staff: Staff, as_: Log) -> None:
    """Saga is 13 and Elis 12: of the one her father reads nothing, of the other he does (R23)."""
    ids = {}
    for child in ("saga-berglund", "elis-berglund"):
        await staff.services.doors.declare(
            await somebody(staff.services, "karin-ek"), child, "new-contact"
        )
        ids[child] = await staff.sent(SCHOOL, child)
    anton = await as_("Anton Berglund", kind="resident")
    for child, status in (("saga-berglund", 403), ("elis-berglund", 200)):
        for address in (
            f"/me/family/{child}/requests/{ids[child]}",
            f"/me/family/{child}/requests",
        ):
            page = await anton.get(address)
            assert page.status_code == status, address
            assert ("uppföljning i skolan" in page.text.lower()) == (status == 200)


async def test_a_person_with_protected_identity_reads_their_own(
    staff: Staff, as_: Log, town: str
) -> None:
    await staff.services.doors.declare(
        await somebody(staff.services, "karin-ek"), INGRID, "new-contact"
    )
    id = await staff.sent(HOME, INGRID)
    ingrid = await as_("Ingrid Lund", kind="resident")
    protect(town, INGRID)
    page = await ingrid.get(f"/me/requests/{id}")
    assert page.status_code == 200
    for said in ("Vägning tre gånger", "åt dig", "Hemsjukvård Centrum, Borås"):
        assert said in page.text


async def test_of_a_child_with_protected_identity_nothing_tells_where_care_is_given(
    staff: Staff, as_: Log, town: str
) -> None:
    elis = "elis-berglund"
    await staff.services.doors.declare(
        await somebody(staff.services, "karin-ek"), elis, "new-contact"
    )
    id = await staff.sent(SCHOOL, elis)
    told = await messages.write(await staff.karin(elis), messages.Written("Huvudvärk", "Hör av er"))
    anton = await as_("Anton Berglund", kind="resident")
    protect(town, elis)
    assert (await anton.get(f"/me/family/{elis}/messages/{told}")).status_code == 404
    for address in ("", "/requests", f"/requests/{id}", "/messages"):
        page = await anton.get(f"/me/family/{elis}{address}")
        assert page.status_code == 200
        text = words(page)
        for secret in ("Södra torget", "Elevhälsan", "Borås", "Karin", "Huvudvärk", "tel:", "Elis"):
            assert secret not in text, (address, secret)
        if address.endswith(id):
            assert "Identiteten är skyddad" in text and "åt barnet" in text
    with pytest.raises(NobodyReads):
        await messages.write(await staff.karin(elis), messages.Written("Huvudvärk", "Hör av er"))


def protect(town: str, patient: str) -> None:
    """Marks a person's identity as protected, as the register would."""
    with psycopg.connect(town) as connection:
        changed = connection.execute(
            "UPDATE store.patient SET labels = coalesce(labels, '{}') || %s::bigint[] WHERE id = %s",
            ([coded(PROTECTED_SYSTEM, PROTECTED_CODES[0])[1]], patient),
        )
        assert changed.rowcount == 1


async def test_every_request_has_its_place_also_when_it_is_old(staff: Staff, as_: Log) -> None:
    id = await staff.until("closed")
    svea = await as_("Svea Andersson", kind="resident")
    assert f"/me/requests/{id}" in (await svea.get("/me")).text
    page = await svea.get("/me/requests")
    assert page.status_code == 200 and f"/me/requests/{id}" in page.text
    assert svea.queries <= 12


async def test_a_visit_is_shown_with_its_day_and_who_comes(staff: Staff, as_: Log) -> None:
    id = await staff.until("planned")
    svea = await as_("Svea Andersson", kind="resident")
    text = words(await svea.get(f"/me/requests/{id}"))
    day = show.capitalize_first(show.long_day(VISIT))
    assert f"Nästa steg {day} kl. {show.time(VISIT)} Hemsjukvården i Borås kommer hem till dig. Amira Haddad, sjuksköterska." in text  # fmt: skip


async def test_cards_are_told_apart_and_those_that_have_ended_stand_below(
    staff: Staff, as_: Log
) -> None:
    long = "Omläggning av sår på vänster underben varje dag, " * 4
    ended, open = await staff.until("closed"), await staff.sent(replace(HOME, question=long))
    svea = await as_("Svea Andersson", kind="resident")
    for address in ("/me", "/me/requests"):
        page = await svea.get(address)
        going, earlier = page.text.partition("Tidigare</h2>")[::2]
        assert f"/me/requests/{open}" in going and f"/me/requests/{ended}" not in going
        assert f"/me/requests/{ended}" in earlier and f"/me/requests/{open}" not in earlier
        text = words(page)
        assert f"Skickad {show.plain_day(clock.now())}." in text
        assert "Vägning tre gånger i veckan" in text
        assert "Omläggning av sår på vänster underben varje dag," in text
        assert long.strip() not in text


async def test_of_attachments_it_is_said_what_the_receiver_does_not_see(
    staff: Staff, as_: Log
) -> None:
    record = await staff.karin()
    chosen = (await record.resources("Condition", limit=1))[0]
    id = await staff.sent(replace(HOME, attachments=(f"Condition/{chosen.id}",)))
    svea = await as_("Svea Andersson", kind="resident")
    text = words(await svea.get(f"/me/requests/{id}"))
    assert "1 uppgift valdes ur journalen" in text and "ditt samtycke" not in text
    rights = await svea.get("/me/consents")
    for c in await consents.held(staff.services.doors, SVEA):
        if c.kind == "sammanhallen-dokumentation":
            await svea.post("/me/consents", {"do": "end", "consent": c.id}, rights)
    page = await svea.get(f"/me/requests/{id}")
    assert "Utan ditt samtycke ser hemsjukvården i Borås inte det som valdes." in words(page)
    assert 'href="/me/consents"' in page.text


async def test_in_english_what_is_written_in_swedish_is_marked(staff: Staff, as_: Log) -> None:
    await staff.sent()
    svea = await as_("Svea Andersson", kind="resident")
    page = await svea.get("/me", headers={"cookie": _english(svea)})
    assert "Home care in Borås will answer by" in words(page)
    assert re.search(r'<span lang="sv">[^<]*tablett', page.text)
    for swedish in ("tablett", "Vägning", "Återbesök", "läkare", "sjuksköterska"):
        assert swedish not in _in_english(page), swedish


async def test_what_has_happened_since_the_last_visit_is_new(
    staff: Staff, as_: Log, town: str
) -> None:
    def row(page: Any, id: str) -> str:
        return str(page.text.partition(f'href="/me/requests/{id}"')[2].partition("</a>")[0])

    read = await staff.sent()
    await (await as_("Svea Andersson", kind="resident")).get("/me")
    await asyncio.sleep(MARGIN.total_seconds())
    changed, sent = await staff.sent(), await staff.sent()
    await receiving.receive(await staff.amira(), changed)
    testing._cookies.pop((town, "Svea Andersson", ""))  # she logs in anew
    svea = await as_("Svea Andersson", kind="resident")
    for _time in range(2):
        page = await svea.get("/me")
        assert svea.queries <= 12
        assert ">Nytt<" in row(page, changed) and ">Nytt<" in row(page, sent)
        assert row(page, read) and ">Nytt<" not in row(page, read)
