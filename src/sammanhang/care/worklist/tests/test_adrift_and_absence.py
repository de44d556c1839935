"""Nothing adrift, for those who run the system and for heads; and work that moves with who is away."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sammanhang.access.clients import create_client
from sammanhang.access.tokens import issue_client_token
from sammanhang.care.worklist.tests.test_worklist import BRAMHULT, CENTRUM, holder, text
from sammanhang.kernel import clock
from sammanhang.work import commands, moving
from sammanhang.work.adrift import WHY
from sammanhang.work.errors import NoSuchColleague
from sammanhang.work.escalation import escalate_due
from sammanhang.work.outbox import Delivery, Receiver, add, register, shut, silent
from sammanhang.work.testing import make_task, somebody
from sammanhang.work.units import units_of


async def test_in_a_healthy_region_the_page_is_empty_and_calm(as_, services):
    await make_task(services, CENTRUM)
    david = await as_("David Wallin")
    await david.get("/operations/adrift")
    page = await david.get("/operations/adrift")
    assert page.status_code == 200 and david.queries <= 4
    assert "Inget är på drift" in text(page)
    assert 'href="/operations/adrift"' in (await david.get("/")).text


async def test_an_administrator_sees_all_units_and_nothing_about_patients(as_, services):
    nobody = await make_task(services, BRAMHULT, function="elevhalsa")
    late = await make_task(services, CENTRUM, priority="stat", at=clock.now() - timedelta(days=1))
    await make_task(services, CENTRUM, kind="distribute")
    await escalate_due(services.doors)
    david = await as_("David Wallin")
    page = await david.get("/operations/adrift")
    said = text(page)
    assert "Hemsjukvård Brämhult" in said and "Hemsjukvård Centrum" in said
    assert "Alla steg uppåt är tagna" in said and "Ring enheten" in said
    assert "Svea" not in said and nobody not in page.text and late not in page.text
    numbers = (await david.get("/operations/adrift.json")).json()
    assert set(numbers["why"]) == set(WHY)
    assert (
        numbers["why"]["no-owner"] >= 1 and numbers["why"]["top"] >= 1 and numbers["unrouted"] == 1
    )
    assert numbers["undelivered"] == 0


async def test_what_other_systems_have_not_received_is_shown_with_whom_to_call_and_no_words_of_theirs(
    as_, services
):
    units = await units_of(services.database)
    provider = units.by_id[CENTRUM].provider
    at = clock.now() - timedelta(minutes=10)
    lab = Receiver("lab", "ready", "Labbets system", provider, "http://127.0.0.1:9", [], 5, 1, False, None)  # fmt: skip
    async with services.database.writing() as connection:
        await register(connection, lab)
        await add(connection, [Delivery("lab", at, f"Task/{n}", CENTRUM) for n in range(2)])
        await connection.execute(
            "UPDATE work.receiver SET error = 'HTTP 500: Svea saknas' WHERE address = 'lab'"
        )
    for reader in (david := await as_("David Wallin"), await as_("Goran Petrović")):
        page = await reader.get("/operations/adrift")
        said = text(page)
        assert "<h1>På drift</h1>" in page.text
        assert "Labbets system" in said and "HTTP 500" in said and "Svea" not in said
        assert units.name(provider) in said
    assert (await david.get("/operations/adrift.json")).json()["undelivered"] == 2
    assert (await silent(services.database, sender=BRAMHULT)) == []
    async with services.database.writing() as connection:
        await shut(connection, "lab", "HTTP 410: Svea")
    assert "Inget skickas längre dit" in text(await david.get("/operations/adrift"))
    async with services.database.writing() as connection:
        await connection.execute("DELETE FROM work.delivery WHERE address = 'lab'")


async def test_a_head_sees_their_own_unit_with_links_and_others_nothing(as_, services):
    here = await make_task(services, CENTRUM, priority="stat", at=clock.now() - timedelta(days=1))
    there = await make_task(services, BRAMHULT, priority="stat", at=clock.now() - timedelta(days=1))
    await escalate_due(services.doors)
    head = await as_("Goran Petrović")
    page = await head.get("/operations/adrift")
    assert f'href="/work/{here}"' in page.text and there not in page.text
    assert "Uppe hos mig" in text(await head.get("/work"))
    up = await head.get("/work?list=up")
    assert here in up.text
    amira = await as_("Amira Haddad", "Centrum")
    refused = await amira.get("/operations/adrift")
    assert refused.status_code == 403 and "enhetens ansvariga" in text(refused)
    assert "Uppe hos mig" not in text(await amira.get("/work"))
    assert (await amira.get("/operations/adrift.json")).status_code == 403


async def test_a_monitor_reads_the_numbers_with_a_token(browser, services, own_town):
    browser.client.cookies.clear()
    address = "/operations/adrift.json"
    assert (await browser.get(address)).status_code == 401
    forged = await browser.get(address, headers={"authorization": "Bearer x"})
    assert forged.status_code == 401 and "invalid_token" in forged.headers["www-authenticate"]

    async def ask(scopes: list[str], **more: Any) -> int:
        client, _ = create_client(own_town, f"Monitor {scopes}", scopes, **more)
        token, _ = await issue_client_token(services.database, services.settings, client, scopes)
        return (
            await browser.get(address, headers={"authorization": f"Bearer {token}"})
        ).status_code

    assert await ask(["system/*.rs"], everything=True) == 200
    assert await ask(["system/Observation.rs"], provider="SE2321000131-X") == 403


async def test_a_nurse_notes_her_own_absence_and_her_work_goes_to_the_substitute(as_, services):
    id = await make_task(services, CENTRUM)
    me = await somebody(services, "amira-haddad", "Centrum")
    jonas = await somebody(services, "jonas-falk")
    await commands.take(services.doors, me, id)
    amira = await as_("Amira Haddad", "Centrum")
    page = await amira.get("/work/absence")
    today = clock.today().isoformat()
    form = {"do": "note", "whose": me.assignment.id, "first": today, "last": today, "substitute": jonas.assignment.id}  # fmt: skip
    wrong = await amira.post("/work/absence", {**form, "last": "i morgon"}, page)
    assert wrong.status_code == 400 and "Skriv dagarna som 2026-12-24." in text(wrong)
    wrong = await amira.post("/work/absence", {**form, "last": "2020-01-01"}, page)
    assert wrong.status_code == 400 and "Sista dagen ska komma efter" in text(wrong)
    noted = await amira.post("/work/absence", form, page)
    assert "Frånvaron är sparad" in text(noted) and "ersätts av Jonas Falk" in text(noted)
    assert await moving.move_for_absences(services.doors) >= 1
    assert (await holder(services, id)).startswith("Jonas Falk")
    (absence,) = await moving.absences(services.doors, [me.assignment.id])
    ended = await amira.post("/work/absence", {"do": "end", "absence": absence.id, "assignment": me.assignment.id}, noted)  # fmt: skip
    assert "Ingen på enheten har angett frånvaro." in text(ended)


async def test_for_others_only_a_head_notes_it(as_, services):
    me = await somebody(services, "amira-haddad", "Centrum")
    jonas = await somebody(services, "jonas-falk")
    elsewhere = await somebody(services, "amira-haddad", "Brämhult")
    goran = await somebody(services, "goran-petrovic")
    now = clock.now()
    until = now + timedelta(days=1)
    with pytest.raises(moving.NotYoursToNote):
        await moving.note_absence(services.doors, me, jonas.assignment.id, now, until)
    for whom in (elsewhere.assignment.id, "nobody"):
        with pytest.raises(NoSuchColleague):
            await moving.note_absence(services.doors, goran, whom, now, until)
    id = await moving.note_absence(services.doors, goran, jonas.assignment.id, now, until)
    with pytest.raises(moving.NotYoursToNote):
        await moving.end_absence(services.doors, me, id, jonas.assignment.id)
    # an id with another's assignment ends nothing
    await moving.end_absence(services.doors, me, id, me.assignment.id)
    assert [a.id for a in await moving.absences(services.doors, [jonas.assignment.id])] == [id]
    amira = await as_("Amira Haddad", "Centrum")
    page = await amira.get("/work/absence")
    form = {"do": "note", "whose": jonas.assignment.id, "first": "2030-01-01", "last": "2030-01-02"}
    refused = await amira.post("/work/absence", form, page)
    assert refused.status_code == 403 and "Frånvaro anges av personen själv" in text(refused)
    await moving.end_absence(services.doors, goran, id, jonas.assignment.id)
