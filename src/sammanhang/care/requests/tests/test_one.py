"""Both sides see one request as a living thing; each does what the table says, and nobody else does anything."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from sammanhang.care.requests.states import TRANSITIONS
from sammanhang.kernel import clock
from sammanhang.work.escalation import escalate_due
from sammanhang.work.testing import somebody

from .filling import SVEA, changed, does, fields_of, post, sent, words, written

pytestmark = pytest.mark.slow  # the whole suite has it; `make check` stays quick

BRAMHULT = "Brämhult"
CENTRUM = "Centrum"


@pytest.fixture
async def karin(as_):
    """A physician at Svea's health centre."""
    return await as_("Karin Ek")


async def act(browser, address, **fields):
    """A verb sent as it is, whether or not the page offers it."""
    page = await browser.get(address)
    csrf = re.search(r'name="csrf" value="([^"]*)"', page.text)
    return await post(browser, address, [("csrf", csrf[1] if csrf else ""), *fields.items()])


def state(page) -> str:
    found = re.search(r'data-state="([^"]+)"', page.text)
    return found[1] if found else ""


async def test_the_whole_way_over_the_pages(as_, karin):
    address = await sent(karin)
    amira = await as_("Amira Haddad", CENTRUM)
    page = await amira.get(address)
    assert (
        state(page) == "sent" and "Väntar på oss" in page.text and "Karin Ek, läkare" in page.text
    )
    page = await does(amira, address, "receive")
    assert state(page) == "received" and "Du har tagit emot begäran." in page.text
    page = await does(amira, address, "ask", text="Har hon nyckelgömma?\nOch hund?")
    assert state(page) == "more-information" and "Frågan är skickad." in page.text
    karin = await as_("Karin Ek")
    page = await karin.get(address)
    assert "Har hon nyckelgömma?\nOch hund?" in page.text and re.search('id="act-reply"', page.text)
    page = await does(karin, address, "reply", text="Koden är hos sonen")
    assert state(page) == "received"
    amira = await as_("Amira Haddad", CENTRUM)
    assert state(await does(amira, address, "accept")) == "accepted"
    page = await amira.get(address)
    assert "Skriv in i hemsjukvård och planera första besöket" in page.text
    page = await does(amira, address, "plan")
    assert state(page) == "planned" and "Besöket är bokat." in page.text
    assert '<summary class="btn">Ändra besöket' in page.text
    page = await does(amira, address, "plan", time="13:00")
    assert state(page) == "planned" and "13:00" in words(page)
    assert state(await does(amira, address, "start")) == "in-progress"
    page = await does(amira, address, "write-back", text="Vi har varit där")
    assert "Vi har varit där" in page.text and state(page) == "in-progress"
    page = await does(amira, address, "answer", text="Inskriven. Vägning tre gånger i veckan.")
    assert state(page) == "answered"
    karin = await as_("Karin Ek")
    assert state(await does(karin, address, "close")) == "closed"
    documents = await karin.get(f"{SVEA}/documents")
    assert "Svar på vårdbegäran, hemsjukvård" in documents.text
    listed = await karin.get("/requests?box=outgoing&view=ended")
    assert address in listed.text and "Avslutad" in listed.text


async def test_work_to_read_says_in_the_list_what_came_of_the_request(as_, karin):
    for verb, said in (("reject", "Avslagen: läs skälet"), ("answer", "Besvarad: läs svaret")):
        karin = await as_("Karin Ek")
        address = await sent(karin)
        amira = await as_("Amira Haddad", CENTRUM)
        if verb == "answer":
            page = await does(amira, address, "accept")
            assert "Jonas Falk" in page.text and "Karl Östlund" not in page.text
        await does(amira, address, verb, text="Hon har redan hjälp")
        karin = await as_("Karin Ek")
        assert said in words(await karin.get("/work"))


async def test_both_sides_read_each_step_up_also_those_before_a_new_deadline(as_, karin, services):
    address = await sent(karin)
    steps = (
        "påminde: Samordnare",
        "tog det ett steg upp: Kollegor på enheten",
        "tog det ett steg upp: Enhetens ansvariga",
    )
    await escalate_due(services.doors, clock.now() + timedelta(days=1))
    await escalate_due(services.doors, clock.now() + timedelta(days=7))
    amira = await as_("Amira Haddad", CENTRUM)
    await does(amira, address, "accept")
    for name in ("Amira Haddad", "Karin Ek"):
        reader = await as_(name, CENTRUM if name[0] == "A" else "")
        said = words(await reader.get(address))
        assert [s in said for s in steps] == [True] * 3 and reader.queries <= 12


async def test_who_had_received_it_reads_in_the_list_that_it_was_taken_back(as_, karin):
    address = await sent(karin)
    await does(await as_("Amira Haddad", CENTRUM), address, "receive")
    await does(await as_("Karin Ek"), address, "withdraw", text="Fel patient")
    amira = await as_("Amira Haddad", CENTRUM)
    assert "Återkallad: läs skälet" in words(await amira.get("/work"))


@pytest.mark.parametrize("verb", sorted(v for v in TRANSITIONS if v != "send"))
async def test_a_unit_that_is_neither_side_reads_and_does_nothing(as_, karin, services, verb):
    address = await sent(karin)
    actor = await somebody(services, "amira-haddad", BRAMHULT)
    await services.doors.declare(actor, "svea-andersson", "new-contact")
    other = await as_("Amira Haddad", BRAMHULT)
    page = await other.get(address)
    assert page.status_code == 200 and "Du läser." in page.text
    assert 'name="do"' not in page.text.partition('id="live"')[2].partition("</main>")[0]
    page = await act(other, address, do=verb, text="Hej", to="x")
    assert page.status_code in (400, 403, 404, 409)
    assert state(await other.get(address)) == "sent"


@pytest.mark.parametrize(
    ("fields", "status", "says"),
    [
        ({"do": "reject", "text": "  "}, 400, "Skriv något först."),
        ({"do": "ask", "text": "x" * 20_001}, 400, "Texten är längre än 20000 tecken."),
        ({"do": "redirect", "text": "Fel", "to": ""}, 400, "Välj en annan enhet än den egna"),
        ({"do": "redirect", "text": "Fel", "to": "SE2120001561-E000101000001"}, 400, "Välj en annan enhet än den egna"),
        ({"do": "redirect", "text": "Fel", "to": "SE-x"}, 400, "tar inte emot den här sortens begäran"),
        ({"do": "nonsens"}, 404, ""), ({}, 404, ""),
        ({"do": "send"}, 404, ""), ({"do": "close"}, 409, "Det går inte i det läge begäran är nu"),
        ({"do": "answer", "text": "Klart"}, 409, "Det går inte i det läge begäran är nu"),
        ({"do": "withdraw", "text": "Ångrar"}, 409, "Det går inte i det läge begäran är nu"),
    ],
)  # fmt: skip
async def test_what_cannot_be_done_says_why_and_changes_nothing(as_, karin, fields, status, says):
    address = await sent(karin)
    amira = await as_("Amira Haddad", CENTRUM)
    page = await act(amira, address, **fields)
    assert page.status_code == status and says in page.text
    assert state(await amira.get(address)) == "sent"


@pytest.mark.parametrize(
    ("day", "time", "minutes"),
    [("igår", "10:00", "60"), ("2020-01-01", "10:00", "60"), ("9999-12-31", "23:59", "480"), ("0001-01-01", "00:00", "60"),
     ("2026-02-30", "10:00", "60"), (None, "25:00", "60"), (None, "10:00", "0"), (None, "10:00", "lång"), (None, "", "60")],
)  # fmt: skip
async def test_a_time_that_is_none_is_said_and_what_was_typed_stays(as_, karin, day, time, minutes):
    address = await sent(karin)
    amira = await as_("Amira Haddad", CENTRUM)
    await does(amira, address, "accept")
    day = day or (clock.today() + timedelta(days=3)).isoformat()
    page = await does(amira, address, "plan", day=day, time=time, minutes=minutes)
    assert (
        page.status_code == 400 and "Skriv dagen som" in page.text and f'value="{day}"' in page.text
    )
    assert state(page) == "accepted"


async def test_a_text_is_kept_when_somebody_was_there_before(as_, karin):
    address = await sent(karin)
    await does(karin, address, "withdraw", text="Fel patient")
    amira = await as_("Amira Haddad", CENTRUM)
    page = await act(amira, address, do="ask", text="Har hon nyckel?")
    assert (
        page.status_code == 409
        and "Någon kan ha hunnit före" in page.text
        and "Har hon nyckel?" in page.text
    )
    assert state(page) == "withdrawn" and "Fel patient" in page.text


async def test_a_form_without_its_token_does_nothing(as_, karin):
    address = await sent(karin)
    amira = await as_("Amira Haddad", CENTRUM)
    page = await post(amira, address, [("do", "accept"), ("csrf", "wrong")])
    assert page.status_code == 403 and state(await amira.get(address)) == "sent"


async def test_an_assistant_receives_and_asks_and_leaves_the_decision(as_, karin):
    address = await sent(karin)
    eva = await as_("Eva Holmgren")
    page = await eva.get(address)
    offered = set(re.findall(r'name="do" value="([^"]+)"', page.text))
    assert offered == {"receive", "ask", "write-back"}
    page = await act(eva, address, do="accept")
    assert page.status_code == 403 and "Din roll fattar inte det beslutet" in page.text
    assert state(await does(eva, address, "receive")) == "received"


async def test_sent_on_it_is_the_other_units_and_no_longer_ones_own(as_, karin):
    address = await sent(karin)
    amira = await as_("Amira Haddad", CENTRUM)
    other = next(
        v
        for v, n in re.findall(r'<option value="([^"]+)">([^<]+)', (await amira.get(address)).text)
        if BRAMHULT in n
    )
    page = await does(amira, address, "redirect", to=other, text="Bor i Brämhult")
    assert page.url.path == "/requests" and "Begäran är skickad vidare." in page.text
    page = await amira.get(address)
    assert state(page) == "redirected" and "Du läser." in page.text
    there = await as_("Amira Haddad", BRAMHULT)
    assert address in (await there.get("/requests?box=incoming&view=us")).text
    assert state(await does(there, address, "accept")) == "accepted"


async def test_without_consent_the_receiver_sees_the_request_and_how_much_is_not_shown(
    as_, karin, services
):
    """Arvid has not consented to the shared record."""
    patient = await _without_consent(karin, services)
    page = await karin.get(f"{patient}/requests/new?kind=hemsjukvard")
    assert "Utan det ser mottagaren bara det som står i begäran." in page.text
    address = await sent(karin, patient=patient)
    attached = (await karin.get(address)).text.count("/documents?read=") + 0
    amira = await as_("Amira Haddad", CENTRUM)
    page = await amira.get(address)
    assert page.status_code == 200 and "Yrsel, två fall" in page.text
    if attached:
        assert "visas inte" in page.text and "/documents?read=" not in page.text
    assert "till det saknas samtycke till sammanhållen journal" in page.text


async def _without_consent(karin, services) -> str:
    """A resident listed at Karin's unit, living in Borås, without consent."""
    found = re.findall(r'href="(/patients/[^"/]+)"', (await karin.get("/")).text)
    for patient in dict.fromkeys(found):
        page = await karin.get(f"{patient}/requests/new?kind=hemsjukvard")
        if 'name="shares"' in page.text and CENTRUM in page.text:
            return patient
    pytest.skip("everybody has consented")


async def test_print_has_who_whom_and_by_whom(karin):
    address = await sent(karin)
    page = await karin.get(f"{address}?print=1")
    said = words(page)
    assert (
        "19371104-2386" in page.text
        and "Utskrivet" in said
        and "av Karin Ek, Vårdcentralen Södra torget" in said
    )
    assert (
        "Hemsjukvård Centrum, Borås" in said and "Lars Andersson" in said and "<thead>" in page.text
    )
    assert 'name="do"' not in page.text


async def test_the_list_is_by_priority_and_searched_without_an_address(as_, karin):
    one = await sent(karin, priority="routine", question="Snart Ångström")
    two = await sent(karin, priority="stat")
    page = await karin.get("/requests?box=outgoing&view=them")
    assert page.text.index(two) < page.text.index(one)
    assert re.search(r'<tbody class="level stat">', page.text) and 'data-tab="5"' in page.text
    assert "data-print" in page.text
    fields = [(n, v) for n, v in fields_of(page, "/requests") if n != "q"]
    page = await post(karin, "/requests", [*fields, ("q", "snart ångström")], part=True)
    assert one in page.text and two not in page.text and "<html" not in page.text
    page = await post(karin, "/requests", [*fields, ("q", "19371104")])
    assert one in page.text and "19371104" not in str(page.url)
    page = await karin.get("/requests?box=outgoing&view=them&q=193711042386")
    assert page.text.count("/requests/0") >= 2 and 'value="193711042386"' not in page.text
    page = await post(karin, "/requests", [*fields, ("q", "<script>")])
    assert "&lt;script&gt;" in page.text and "<script>" not in page.text


async def test_the_reason_is_searched_too_and_what_has_ended_is_hinted_at(as_, karin):
    address = await sent(karin, reason="Svindlande höjd")
    page = await karin.get("/requests?box=outgoing&view=them")
    fields = [(n, v) for n, v in fields_of(page, "/requests") if n != "q"]
    assert address in (await post(karin, "/requests", [*fields, ("q", "svindlande")])).text
    amira = await as_("Amira Haddad", CENTRUM)
    await does(amira, address, "reject", text="Det går inte")
    karin = await as_("Karin Ek")
    page = await post(karin, "/requests", [*fields, ("q", "svindlande")])
    assert address not in page.text and "1 avslutad begäran passar också." in page.text


async def test_a_no_is_read_where_it_stands_and_written_anew(as_, karin):
    address = await sent(karin, reason="Såromläggning <nu>", question="Två gånger i veckan")
    amira = await as_("Amira Haddad", CENTRUM)
    await does(amira, address, "reject", text="Hon kan komma hit")
    karin = await as_("Karin Ek")
    page = await karin.get(address)
    head = page.text[page.text.index('class="card now"') : page.text.index("request-body")]
    assert "Hon kan komma hit" in head and "Jag har läst skälet" in page.text
    again = re.search(r'href="([^"]+)">Skriv en ny med samma innehåll', page.text)
    assert again
    new = await karin.get(again[1].replace("&amp;", "&"))
    assert "Såromläggning &lt;nu&gt;" in new.text and "Två gånger i veckan" in new.text
    page = await does(karin, address, "acknowledge")
    assert "Noterat att du har läst skälet." in page.text
    assert "Jag har läst skälet" not in (await karin.get(address)).text


async def test_the_very_same_is_sent_again_only_when_that_is_meant(karin):
    first = await sent(karin, reason="Samma ord", question="Samma sak")
    fields = [f for f in await written(karin, reason="Samma ord", question="Samma sak") if f[0] != "anyway"]  # fmt: skip
    page = await post(karin, f"{SVEA}/requests/send", [*fields, ("do", "send")])
    assert page.status_code == 409 and "Samma begäran är redan skickad" in page.text
    assert f'href="{first}"' in page.text and "Skicka ändå" in page.text
    page = await post(karin, f"{SVEA}/requests/send", [*fields_of(page, "/requests/send"), ("do", "send")])  # fmt: skip
    assert page.status_code == 200 and page.url.path != first
    again = await karin.get(f"{SVEA}/requests/send")
    assert again.url.path == f"{SVEA}/requests/new"


async def test_each_list_says_what_its_emptiness_means(as_):
    lina = await as_("Lina Berg")
    for place, says in (
        ("box=incoming&view=us", "Ingen begäran väntar på er."),
        ("box=outgoing&view=drafts", "Inga utkast är sparade"),
        ("box=outgoing", "välj Ny vårdbegäran"),
        ("box=nonsens&view=nonsens", "Ingen begäran har kommit"),
    ):
        assert says in (await lina.get(f"/requests?{place}")).text


async def test_people_whose_names_are_alike_are_marked_in_the_list(karin, monkeypatch):
    from sammanhang.care.requests import pages

    await sent(karin)
    monkeypatch.setattr(pages, "mark_similar", lambda people: [_alike(p) for p in people])
    assert "liknande namn" in (await karin.get("/requests?box=outgoing")).text


def _alike(person):
    from dataclasses import replace

    return replace(person, similar=True)


async def test_another_care_providers_draft_is_not_there(as_, karin):
    fields = await written(karin)
    id = dict(fields)["id"]
    await post(karin, f"{SVEA}/requests/draft", fields, part=True)
    amira = await as_("Amira Haddad", CENTRUM)
    for place in (f"{SVEA}/requests/{id}", f"{SVEA}/requests/{id}/edit"):
        assert (await amira.get(place)).status_code == 404
    page = await amira.get(f"{SVEA}/requests/new?kind=lakarbedomning")
    stolen = changed(fields_of(page, "/requests/send"), id=id, reason="Annat", question="Annat", priority="asap", ground="samtycke",
                     **{"form.hur": "http://sammanhang.se/fhir/CodeSystem/care-request-answer|telefon"})  # fmt: skip
    page = await post(amira, f"{SVEA}/requests/send", [*stolen, ("do", "send")])
    assert page.status_code in (400, 404, 409)
