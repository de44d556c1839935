"""A physician writes a care request: nothing typed is lost, nothing known is typed again, nothing is sent twice."""

from __future__ import annotations

import asyncio
import html
import re
from typing import Any

import psycopg
import pytest

from sammanhang.care.requests import request as fhir

from .filling import GOOD, SVEA, changed, does, fields_of, post, sent, words, written

pytestmark = pytest.mark.slow  # the whole suite has it; `make check` stays quick

SEND, DRAFT = f"{SVEA}/requests/send", f"{SVEA}/requests/draft"


@pytest.fixture
async def karin(as_):
    """A physician at Svea's health centre."""
    return await as_("Karin Ek")


async def stored(services, id: str, kind: str = "ServiceRequest"):
    """A resource as it is stored now."""
    from sammanhang.access.staff import resources

    return (await resources(services.database, kind, {id})).get(id)


async def test_what_the_record_knows_stands_there_with_source_and_date(karin):
    page = await karin.get(f"{SVEA}/requests/new?kind=hemsjukvard")
    fields = dict(fields_of(page, "/requests/send"))
    assert fields["form.narstaende"] == "Lars Andersson (Son), 070-000 00 34"
    assert "Hjärtsvikt" in fields["form.diagnoser"] and "Furosemid" in fields["form.lakemedel"]
    assert "Från journalen: Katz ADL-index, 18 november, Vårdcentralen Södra torget" in words(page)
    assert fields["to"] and "Patientens hemkommun" in page.text
    assert "Metformin pågår och eGFR är under 45" in page.text
    assert "Samtycke finns" in page.text


async def test_the_record_speaks_for_kinds_and_they_come_first(karin):
    page = await karin.get(f"{SVEA}/requests/new")
    assert "Downton 4 av 11" in page.text and "Fallrisk hos en äldre person" in page.text
    assert page.text.index("Rehabilitering") < page.text.index("Hjälpmedel")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("reason", "Skriv varför du skickar begäran."), ("question", "Skriv vad du vill att mottagaren gör."),
        ("priority", "Välj hur bråttom det är."), ("ground", "Välj på vilken grund"),
        ("form.ta-sig-till-mottagning", "Välj ett svar."),
    ],
)  # fmt: skip
async def test_what_is_missing_is_said_at_its_place_and_everything_typed_stays(karin, name, says):
    without: dict[str, Any] = {name: None}
    fields = await written(karin, **without)
    page = await post(karin, SEND, [*fields, ("do", "send")])
    assert page.status_code == 400 and says in page.text
    again = dict(fields_of(page, "/requests/send"))
    assert {n: again.get(n) for n in GOOD if n != name} == {
        n: v for n, v in GOOD.items() if n != name
    }
    assert again["id"] == dict(fields)["id"]
    place = "f-form_2e_ta-sig-till-mottagning" if name.startswith("form.") else name
    assert f'href="#{place}"' in page.text and f'id="{place}"' in page.text
    assert karin.queries <= 12


async def test_everything_missing_is_said_at_once_in_english_too(karin):
    await karin.get("/settings/language/en")
    without: dict[str, Any] = dict.fromkeys(GOOD)
    fields = await written(karin, **without)
    page = await post(karin, SEND, [*fields, ("do", "send")])
    await karin.get("/settings/language/sv")
    assert page.status_code == 400
    for says in (
        "Write why you send the request.",
        "Write what you want the receiver to do.",
        "Choose how urgent it is.",
        "Choose an answer.",
    ):
        assert says in page.text, says
    assert not re.search(
        r"[åäöÅÄÖ]",
        re.sub(
            r"Södra|Hemsjukvård|Borås|Brämhult|Ekåsvägen",
            "",
            " ".join(re.findall(r'<p><a href="#[^"]+">([^<]+)', page.text)),
        ),
    )


@pytest.mark.parametrize("do", ["send", "save"])
async def test_a_text_that_is_too_long_is_refused_and_kept(karin, do, services):
    fields = await written(karin, reason="Yrsel. " * 4000)
    page = await post(karin, SEND, [*fields, ("do", do)])
    assert page.status_code == 400 and "Texten är längre än 20000 tecken." in page.text
    assert dict(fields_of(page, "/requests/send"))["reason"].startswith("Yrsel. Yrsel.")
    assert await stored(services, dict(fields)["id"]) is None
    part = await post(karin, DRAFT, fields, part=True)
    assert part.status_code == 400 and "Texten är längre än 20000 tecken." in part.text


async def test_a_draft_saves_itself_and_is_taken_up_again_by_a_colleague(karin, as_):
    fields = await written(karin, question="")
    part = await post(karin, DRAFT, fields, part=True)
    assert "Utkast sparat" in part.text and "<html" not in part.text and karin.queries <= 6
    id = dict(fields)["id"]
    listed = await karin.get("/requests?box=outgoing&view=drafts")
    assert f"{SVEA}/requests/{id}/edit" in listed.text
    oskar = await as_("Oskar Nyström")
    page = await oskar.get(f"{SVEA}/requests/{id}/edit")
    again = dict(fields_of(page, "/requests/send"))
    assert again["reason"] == GOOD["reason"] and again["priority"] == "urgent"
    page = await post(
        oskar, SEND, [*changed(fields_of(page, "/requests/send"), **GOOD), ("do", "send")]
    )
    assert page.url.path == f"{SVEA}/requests/{id}" and "Oskar Nyström, läkare" in page.text


async def test_without_script_a_draft_is_saved_by_its_button_with_the_form(karin):
    fields = await written(karin, reason="Halvt skrivet <b>&")
    page = await post(karin, SEND, [*fields, ("do", "save")])
    assert page.url.path.endswith("/edit") and "Utkast sparat" in page.text
    again = dict(fields_of(page, "/requests/send"))
    assert (
        again["reason"] == "Halvt skrivet <b>&"
        and again["form.ta-sig-till-mottagning"] == GOOD["form.ta-sig-till-mottagning"]
    )
    page = await post(karin, SEND, [*fields_of(page, "/requests/send"), ("do", "discard")])
    assert page.url.path == SVEA
    gone = await karin.get(f"{SVEA}/requests/{again['id']}")
    assert again["id"] not in (await karin.get("/requests?box=outgoing&view=drafts")).text
    assert gone.status_code in (200, 404)


async def test_a_double_click_sends_once(karin, services):
    fields = [*await written(karin, reason="Dubbelklick"), ("do", "send")]
    pages = await asyncio.gather(*(post(karin, SEND, fields) for _ in range(3)))
    pages.append(await post(karin, SEND, fields))  # and the page sent anew from the history
    assert {p.status_code for p in pages} == {200}
    assert {p.url.path for p in pages} == {f"{SVEA}/requests/{dict(fields)['id']}"}
    listed = await karin.get("/requests?box=outgoing&view=them")
    assert listed.text.count(dict(fields)["id"]) == 1


async def test_what_was_sent_in_another_tab_is_said_and_what_stands_here_is_kept(karin):
    fields = await written(karin)
    first = await post(karin, SEND, [*fields, ("do", "send")])
    for address, part in ((SEND, False), (DRAFT, True), (DRAFT, False)):
        page = await post(
            karin, address, [*changed(fields, reason="Något annat"), ("do", "send")], part=part
        )
        assert page.status_code == 409 and "redan skickad" in page.text, address
        if not part:
            assert "Något annat" in page.text and first.url.path in page.text
            again = dict(fields_of(page, "/requests/send"))
            assert again["id"] != dict(fields)["id"]
    assert "Något annat" not in (await karin.get(first.url.path)).text
    sent_anew = await post(karin, SEND, [*fields_of(page, "/requests/send"), ("do", "send")])
    assert (
        sent_anew.url.path == f"{SVEA}/requests/{again['id']}" and "Något annat" in sent_anew.text
    )


async def test_a_draft_of_one_patient_is_never_sent_for_another(karin, services):
    fields = await written(karin)
    await post(karin, DRAFT, fields, part=True)
    id = dict(fields)["id"]
    await services.doors.declare(await _actor(services), "mona-lind", "new-contact")
    for address in ("/patients/mona-lind/requests/send", "/patients/mona-lind/requests/draft"):
        page = await post(karin, address, [*fields, ("do", "send")])
        assert page.status_code in (400, 404, 409), (address, words(page)[-3000:])
    assert (await karin.get(f"/patients/mona-lind/requests/{id}")).status_code == 404
    assert (await stored(services, id)).subject.reference == "Patient/svea-andersson"
    assert fhir.state_of(await stored(services, id)) == "draft"


async def _actor(services):
    from sammanhang.work.testing import somebody

    return await somebody(services, "karin-ek")


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"kind": "nonsens"}, 400), ({"id": "../../x"}, 404), ({"id": ""}, 404), ({"id": "a" * 65}, 404),
        ({"to": "SE-nobody"}, 400), ({"to": "SE2321000131-E090000000002"}, 400), ({"priority": "sist"}, 400),
        ({"ground": "nyfikenhet"}, 400), ({"csrf": "wrong"}, 403), ({"csrf": None}, 403),
        ({"form.ta-sig-till-mottagning": "kanske"}, 400), ({"kind": "akut"}, 400),
    ],
)  # fmt: skip
async def test_what_no_page_offers_is_refused_and_nothing_is_stored(
    karin, services, change, status
):
    fields = await written(karin)
    page = await post(karin, SEND, [*changed(fields, **change), ("do", "send")])
    assert page.status_code == status, page.text[:300]
    assert await stored(services, dict(fields)["id"]) is None


async def test_attachments_are_references_to_this_record_and_nothing_else(karin, services):
    fields = [
        *await written(karin),
        ("attach", "Patient/greta-lindgren"),
        ("attach", "x"),
        ("attach", "Condition/nobody"),
        ("do", "send"),
    ]
    page = await post(karin, SEND, fields)
    request = await stored(services, dict(fields)["id"])
    assert page.status_code == 200
    assert "Observation/svea-andersson-downton" in fhir.attachments_of(request)
    assert "Greta" not in page.text


async def test_an_open_request_of_the_same_kind_is_said_before_another_is_written_and_counted(
    karin, services
):
    first = await sent(karin, reason="Den första")
    for address in (f"{SVEA}/requests/new", f"{SVEA}/requests/new?kind=hemsjukvard"):
        page = await karin.get(address)
        assert first in page.text, address
    assert "pågående begäran" in page.text
    assert first not in (await karin.get(f"{SVEA}/requests/new?kind=rehabilitering")).text
    second = await sent(karin, reason="Den andra")
    response = await stored(services, await form_id(services, second), "QuestionnaireResponse")
    assert counts_of(response)["duplicates"] >= 1


async def form_id(services, address: str) -> str:
    request = await stored(services, address.rpartition("/")[2])
    return fhir.form_of(request).partition("/")[2]


def counts_of(response) -> dict[str, int]:
    from sammanhang.care.requests.retyped import COUNTS

    found = next(e for e in response.extension if e.url == COUNTS)
    return {p.url: p.valueInteger for p in found.extension}


async def test_what_is_typed_though_the_record_had_it_is_counted_and_summed(karin, services):
    from datetime import timedelta

    from sammanhang.care.requests.retyped import retyped
    from sammanhang.kernel import clock

    # the fall risk is emptied, saved so, and typed by hand
    fields = await written(karin, **{"form.fallrisk": ""})
    page = await post(karin, SEND, [*fields, ("do", "save")])
    fields = changed(
        fields_of(page, "/requests/send"),
        **{
            "form.adl": "Katz D",
            "form.trycksar": "",
            "form.nyckel": "Nyckelgömma",
            "form.fallrisk": "4 av 11",
            "anyway": "yes",
        },
    )
    page = await post(karin, SEND, [*fields, ("do", "send")])
    assert page.status_code == 200
    response = await stored(
        services, await form_id(services, page.url.path), "QuestionnaireResponse"
    )
    counts = counts_of(response)
    assert counts["changed"] == 1 and counts["removed"] == 1 and counts["retyped"] == 1
    assert counts["kept"] == 5 and counts["typed"] == 2, counts
    from sammanhang.work.testing import somebody

    actor, sender = await somebody(services, "stina-berg"), await _actor(services)
    now = clock.now()
    sums = await retyped(services, actor, now - timedelta(days=1), now + timedelta(days=1))
    (mine,) = [s for s in sums if s.unit == sender.assignment.unit]
    assert "vardbegaran-hemsjukvard" in mine.form and mine.sent >= 1 and mine.counts.retyped >= 1
    assert mine.counts.prefilled >= 7
    assert await retyped(services, actor, now + timedelta(days=1), now + timedelta(days=2)) == []


async def test_the_trace_tells_the_counts_and_never_the_words(karin, own_town):
    await sent(karin, reason="Hemligt skäl")
    with psycopg.connect(own_town) as connection:
        rows = [bytes(r[0]) for r in connection.execute("SELECT entries FROM audit.block")]
    assert any(b"request-send" in r and b'"retyped"' in r for r in rows)
    assert not any("Hemligt skäl".encode() in r for r in rows)


async def test_an_assistant_writes_a_draft_and_a_colleague_sends_it(as_):
    eva = await as_("Eva Holmgren")
    page = await eva.get(f"{SVEA}/requests/new?kind=lakarbedomning")
    assert 'value="send"' not in page.text and "En kollega som fattar beslutet skickar" in page.text
    fields = changed(fields_of(page, "/requests/send"), reason="Svullna ben", question="Bedöm", priority="asap", ground="samtycke",
                     **{"form.hur": "http://sammanhang.se/fhir/CodeSystem/care-request-answer|telefon"})  # fmt: skip
    page = await post(eva, SEND, [*fields, ("do", "send")])
    assert (
        page.status_code == 403
        and "Din roll fattar inte det beslutet" in page.text
        and "Svullna ben" in page.text
    )
    page = await post(eva, SEND, [*fields, ("do", "save")])
    assert page.url.path.endswith("/edit")
    amira = await as_("Amira Haddad", "Centrum")
    page = await amira.get(page.url.path)
    page = await post(amira, SEND, [*fields_of(page, "/requests/send"), ("do", "send")])
    assert page.status_code == 200 and "Vårdcentralen Södra torget" in page.text


async def test_who_has_no_record_rights_sees_no_lists_and_no_requests(as_, karin):
    address = await sent(karin)
    for name in ("Mikael Strand", "Annika Sjöberg", "David Wallin"):
        other = await as_(name)
        for place in ("/requests", f"{SVEA}/requests/new", address):
            page = await other.get(place)
            assert page.status_code == (404 if place == "/requests" else 403), (name, place)
            assert (
                "Yrsel" not in page.text
                and 'href="/requests"' not in page.text.partition("<main")[0]
            )


async def test_where_someone_with_protected_identity_lives_goes_into_no_request(karin, services):
    await services.doors.declare(await _actor(services), "mona-lind", "new-contact")
    mona = "/patients/mona-lind"
    page = await karin.get(f"{mona}/requests/new?kind=hemsjukvard")
    fields = dict(fields_of(page, "/requests/send"))
    assert fields["form.boende"] == "" and not re.search(r"\bMona\b|\bLind\b", page.text)
    assert "Skyddad uppgift" in page.text and "Journalen säger inte vilken enhet" in page.text
    address = await sent(karin, patient=mona)
    for place in (address, f"{address}?print=1", "/requests?box=outgoing"):
        page = await karin.get(place)
        assert "Skyddad uppgift" in html.unescape(page.text), place
        assert not re.search(r"\bMona\b|\bLind\b", page.text), place


async def test_each_page_asks_the_database_little(karin):
    """The first of each fills what the process keeps (units, names); the second is what it costs."""
    found = {}
    address = await sent(karin)
    fields = await written(karin)
    id = dict(fields)["id"]
    await post(karin, DRAFT, fields, part=True)
    places = {
        "list": "/requests", "choose": f"{SVEA}/requests/new", "compose": f"{SVEA}/requests/new?kind=hemsjukvard",
        "edit": f"{SVEA}/requests/{id}/edit", "one": address, "print": f"{address}?print=1",
    }  # fmt: skip
    for name, place in places.items():
        await karin.get(place)
        await karin.get(place)
        found[name] = karin.queries
    await post(karin, DRAFT, changed(fields, reason="Mer"), part=True)
    found["autosave"] = karin.queries
    assert found == {
        "list": 4,
        "choose": 4,
        "compose": 5,
        "edit": 7,
        "one": 6,
        "print": 6,
        "autosave": 4,
    }


async def test_withdrawing_right_after_sending_is_two_clicks_and_a_reason(karin):
    address = await sent(karin)
    page = await karin.get(f"{address}?done=send")
    assert "Skickat till Hemsjukvård Centrum, Borås." in page.text
    undo = re.search(r'<a href="([^"]+)">Ångra', page.text)
    assert undo is not None
    page = await karin.get(html.unescape(undo[1]))
    assert re.search(r'id="act-withdraw" open', page.text)
    page = await does(karin, address, "withdraw", text="Fel patient")
    assert "Begäran är återkallad." in page.text and ">Ångra<" not in page.text


async def test_a_unit_that_is_closed_for_a_time_has_another_receive_for_it(karin, as_, monkeypatch):
    from sammanhang.kernel import clock
    from sammanhang.work import routing

    closed, other = "SE2120001561-E000101000001", "SE2120001561-E000101000002"
    today = clock.today().isoformat()
    known = routing.content("routing/requests")
    away = {"unit": closed, "substitute": other, "from": today, "until": today}
    rules = {**known, "substitutes": [away]}
    monkeypatch.setattr(routing, "content", lambda name: rules)
    page = await karin.get(f"{SVEA}/requests/new?kind=hemsjukvard")
    assert "Tar emot i stället för Hemsjukvård Centrum, Borås" in page.text
    assert dict(fields_of(page, "/requests/send"))["to"] == other
    fields = changed(await written(karin), to=closed)
    part = await post(karin, f"{SVEA}/requests/draft", fields, part=True)
    assert (
        "Hemsjukvård Centrum, Borås tar inte emot nu. Begäran går till Hemsjukvård Brämhult"
        in part.text
    )
    address = await sent(karin, to=closed)
    assert "Hemsjukvård Centrum, Borås tar inte emot nu" in (await karin.get(address)).text
    amira = await as_("Amira Haddad", "Brämhult")
    assert address in (await amira.get("/requests")).text
