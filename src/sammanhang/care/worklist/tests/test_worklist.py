"""What a nurse, her colleague and her head see of the unit's work, and what they can do with it."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from sammanhang.access.facts import PROTECTED
from sammanhang.fhir.r4 import Reference, Task
from sammanhang.kernel import clock
from sammanhang.region.organisations import named
from sammanhang.store.types import NUMBER
from sammanhang.web.people import Person
from sammanhang.web.worklist import whom_of
from sammanhang.work import commands, tasks
from sammanhang.work.escalation import escalate_due
from sammanhang.work.testing import make_task, somebody, task_now

CENTRUM = named("Hemsjukvård Centrum, Borås").id
BRAMHULT = named("Hemsjukvård Brämhult, Borås").id


def text(page: Any) -> str:
    """What stands on a page, without its tags."""
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.text)))


async def holder(services: Any, id: str) -> str:
    """Who has a task now."""
    taken = tasks.taken_by(await task_now(services, id))
    return (taken.display or "") if taken is not None else ""


def row(page: Any, id: str) -> str:
    """The row of a task."""
    found = re.search(rf'<tr data-item data-task="{id}".*?</tr>', page.text, re.S)
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", found[0]))) if found else ""


def shown(page: Any) -> list[str]:
    return re.findall(r'<tr data-item data-task="([^"]+)"', page.text)


async def test_a_nurse_sees_what_waits_oldest_deadline_first_in_at_most_six_queries(as_, services):
    now = clock.now()
    later = await make_task(services, CENTRUM, priority="routine")
    soon = await make_task(services, CENTRUM, priority="stat", at=now - timedelta(minutes=10))
    amira = await as_("Amira Haddad", "Centrum")
    page = await amira.get("/work")
    page = await amira.get("/work")
    assert page.status_code == 200 and amira.queries <= 6
    ids = shown(page)
    assert ids.index(soon) < ids.index(later)
    said = row(page, soon)
    assert "Svea Andersson" in said and "89 år" in said
    assert "Akut" in said and "min kvar" in said and "ingen än" in said and "från Test" in said
    assert "Akut" not in row(page, later) and "Inom några veckor" not in row(page, later)
    assert " style=" not in page.text and "<script>" not in page.text


async def test_each_list_shows_its_own_and_the_filters_narrow_it(as_, services):
    mine = await make_task(services, CENTRUM)
    eva_has = await make_task(services, CENTRUM)
    rehab = await make_task(services, CENTRUM, function="rehab")
    late = await make_task(services, CENTRUM, kind="read", priority="asap", at=clock.now() - timedelta(hours=5))  # fmt: skip
    amira_ = await somebody(services, "amira-haddad", "Centrum")
    jonas = await somebody(services, "jonas-falk")
    await commands.take(services.doors, amira_, mine)
    await commands.take(services.doors, jonas, eva_has)
    amira = await as_("Amira Haddad", "Centrum")
    todo = shown(await amira.get("/work"))
    assert mine in todo and late in todo and eva_has not in todo and rehab not in todo
    assert shown(await amira.get("/work?list=mine")) == [mine]
    unit = await amira.get("/work?list=unit")
    assert {mine, eva_has, late} <= set(shown(unit)) and rehab not in shown(unit)
    assert "Jonas Falk" in row(unit, eva_has) and "du" in row(unit, mine).split()
    assert rehab in shown(await amira.get("/work?list=unit&all=1"))
    assert late in shown(await amira.get("/work?late=1"))
    assert mine not in shown(await amira.get("/work?late=1"))
    assert mine not in shown(await amira.get("/work?free=1"))
    assert late in shown(await amira.get("/work?priority=asap"))
    assert shown(await amira.get("/work?kind=read")) == [late]
    assert "försenad 1 tim" in row(await amira.get("/work?kind=read"), late)
    assert "Inget passar filtret" in text(await amira.get("/work?kind=message"))
    # what is not known in an address is left out
    assert (await amira.get("/work?list=x&priority=zz&kind=%00&from=-1")).status_code == 200


async def test_anothers_units_task_is_never_shown_and_looks_as_if_it_were_not_there(as_, services):
    elsewhere = await make_task(services, BRAMHULT)
    amira = await as_("Amira Haddad", "Centrum")
    for address in ("/work", "/work?list=unit&all=1", f"/work/rows?ids={elsewhere}"):
        assert elsewhere not in (await amira.get(address)).text
    there, absent = await amira.get(f"/work/{elsewhere}"), await amira.get("/work/absent")
    assert there.status_code == absent.status_code == 404
    assert text(there).replace(elsewhere, "") == text(absent).replace("absent", "")


async def test_work_about_no_patient_is_opened_taken_and_ticked_off_like_any_other(as_, services):
    fridge = Reference(reference="Device/kylskap-3", display="Kylskåp 3")
    id = await make_task(services, CENTRUM, patient="", about=fridge)
    plain = await make_task(services, CENTRUM, patient="", kind="care-request")
    amira = await as_("Amira Haddad", "Centrum")
    listed = await amira.get("/work?list=unit")
    assert "Kylskåp 3" in row(listed, id) and "ingen patient" in row(listed, plain)
    assert f'href="/work/{id}"' in listed.text
    page = await amira.get(f"/work/{id}")
    assert page.status_code == 200 and amira.queries <= 10
    assert "Kylskåp 3" in text(page) and "Till journalen" not in text(page)
    taken = await amira.post(f"/work/{id}", {"do": "take", "stay": "1"}, page)
    assert "Du tog uppgiften." in text(taken)
    done = await amira.post(f"/work/{id}", {"do": "complete"}, taken)
    assert "Du gjorde klart uppgiften." in text(done) and id not in shown(done)
    # there is no page where what is about no patient is done
    page = await amira.get(f"/work/{plain}")
    await amira.post(f"/work/{plain}", {"do": "cancel", "said": "Dubblett"}, page)
    assert (await task_now(services, plain)).status == "cancelled"


async def test_anothers_units_work_about_no_patient_looks_absent(as_, services):
    elsewhere = await make_task(services, BRAMHULT, patient="")
    amira = await as_("Amira Haddad", "Centrum")
    there, absent = await amira.get(f"/work/{elsewhere}"), await amira.get("/work/absent")
    assert there.status_code == absent.status_code == 404
    assert text(there).replace(elsewhere, "") == text(absent).replace("absent", "")
    assert elsewhere not in (await amira.get("/work?list=unit&all=1")).text


async def test_who_is_no_part_of_care_has_no_worklist(as_):
    david = await as_("David Wallin")
    page = await david.get("/work")
    assert page.status_code == 403
    assert 'href="/work"' not in (await david.get("/")).text


async def test_a_task_is_taken_from_the_list_and_the_taking_undone(as_, services):
    id = await make_task(services, CENTRUM)
    amira = await as_("Amira Haddad", "Centrum")
    page = await amira.get("/work?list=unit")
    taken = await amira.post("/work", {"take": id, "back": "list=unit"}, page)
    assert (
        taken.url.path == "/work" and "Du tog uppgiften." in text(taken) and "Ångra" in taken.text
    )
    assert "du" in row(taken, id).split() and "Klart" in row(taken, id)
    undone = await amira.post("/work", {"do": "hand-back", "task": id, "undo": "1"}, taken)
    assert "Ångrat." in text(undone)
    assert tasks.taken_by(await task_now(services, id)) is None


async def test_of_two_who_press_take_one_has_it_and_the_other_is_told_who(as_, services, own_town):
    id = await make_task(services, CENTRUM)
    amira = await as_("Amira Haddad", "Centrum")
    page = await amira.get("/work")
    jonas_ = await somebody(services, "jonas-falk")
    await commands.take(services.doors, jonas_, id)
    told = await amira.post("/work", {"take": id}, page)
    assert told.status_code == 409
    assert "Jonas Falk, fysioterapeut har redan tagit uppgiften." in text(told)


async def test_several_are_taken_and_handed_over_together(as_, services):
    ids = [await make_task(services, CENTRUM) for _ in range(3)]
    jonas = await somebody(services, "jonas-falk")
    await commands.take(services.doors, jonas, ids[2])
    amira = await as_("Amira Haddad", "Centrum")
    page = await amira.get("/work?list=unit")
    nothing = await amira.post("/work", {"do": "take"}, page)
    assert nothing.status_code == 400 and "Välj minst en uppgift." in text(nothing)
    told = await amira.post("/work", {"do": "take", "task": ids}, page)
    assert "2 uppgifter är gjorda." in text(told) and "Jonas Falk" in text(told)
    choose = await amira.post("/work", {"do": "hand-over", "task": ids[:2]}, told)
    assert "2 uppgifter lämnas över." in text(choose) and "Jonas Falk, fysioterapeut" in choose.text
    done = await amira.post("/work", {"do": "hand-over", "task": ids[:2], "to": jonas.assignment.id}, choose)  # fmt: skip
    assert "Du lämnade över uppgiften. 2 uppgifter." in text(done)
    for id in ids:
        assert (await holder(services, id)).startswith("Jonas Falk")


async def test_the_page_of_a_task_tells_its_story_and_the_way_up(as_, services):
    at = clock.now()
    id = await make_task(services, CENTRUM, priority="stat", at=at)
    amira = await as_("Amira Haddad", "Centrum")
    await escalate_due(services.doors, at + timedelta(minutes=24))
    page = await amira.get(f"/work/{id}")
    assert page.status_code == 200 and amira.queries <= 10
    said = text(page)
    for words in ("Svea Andersson", "19371104-2386", "Test skapade uppgiften", "Sammanhang påminnelse",
                  "Om ingen gör något", "Kollegor på enheten", "Enhetens ansvariga"):  # fmt: skip
        assert words.replace(" :", ":") in said.replace(" :", ":"), words
    assert len(re.findall(r'<li class="taken">', page.text)) == 1


async def test_what_is_wrong_is_said_on_the_task_with_what_was_typed(as_, services):
    id = await make_task(services, CENTRUM)
    amira = await as_("Amira Haddad", "Centrum")
    page = await amira.get(f"/work/{id}")
    wrong = await amira.post(
        f"/work/{id}", {"do": "delegate", "to": "nobody", "said": "Väg Svea"}, page
    )
    assert wrong.status_code == 400
    assert (
        "Ingen med det uppdraget arbetar på enheten nu." in text(wrong) and "Väg Svea" in wrong.text
    )
    wrong = await amira.post(f"/work/{id}", {"do": "cancel", "said": " "}, wrong)
    assert wrong.status_code == 400 and "Skriv varför." in text(wrong)
    wrong = await amira.post(f"/work/{id}", {"do": "hand-back", "said": "x" * 3000}, wrong)
    assert wrong.status_code == 400 and "högst 2000" in text(wrong)
    none = await amira.post(f"/work/{id}", {"do": "burn"}, wrong)
    assert none.status_code == 404


async def test_what_was_done_by_mistake_is_opened_again_by_who_did_it_for_a_while(as_, services):
    id = await make_task(services, CENTRUM)
    amira_ = await somebody(services, "amira-haddad", "Centrum")
    jonas_ = await somebody(services, "jonas-falk")
    amira = await as_("Amira Haddad", "Centrum")
    page = await amira.get(f"/work/{id}")
    done = await amira.post(f"/work/{id}", {"do": "complete"}, page)
    assert "Du gjorde klart uppgiften." in text(done) and id not in shown(done)
    with pytest.raises(Exception, match="Only who closed"):
        await commands.reopen(services.doors, jonas_, id)
    undone = await amira.post("/work", {"do": "reopen", "task": id, "undo": "1"}, done)
    assert "Ångrat." in text(undone) and id in shown(undone)
    task = await task_now(services, id)
    assert task.status == "requested" and tasks.deadline_of(task) is not None
    with pytest.raises(Exception, match="open already"):
        await commands.reopen(services.doors, amira_, id)
    await commands.cancel(services.doors, amira_, id, "Behövs inte")
    clock_was = clock.now
    clock.now = lambda: clock_was() + timedelta(minutes=16)  # type: ignore[assignment]
    try:
        with pytest.raises(Exception, match="within 15 minutes"):
            await commands.reopen(services.doors, amira_, id)
    finally:
        clock.now = clock_was  # type: ignore[assignment]


async def test_handing_over_is_undone_to_whom_it_was(as_, services):
    id = await make_task(services, CENTRUM)
    jonas = await somebody(services, "jonas-falk")
    amira = await as_("Amira Haddad", "Centrum")
    page = await amira.get(f"/work/{id}")
    page = await amira.post(f"/work/{id}", {"do": "take", "stay": "1"}, page)
    assert page.url.path == f"/work/{id}"
    done = await amira.post(f"/work/{id}", {"do": "hand-over", "to": jonas.assignment.id}, page)
    to = re.search(r'name="to" value="([^"]+)"', done.text)
    assert to is not None
    await amira.post("/work", {"do": "hand-over", "task": id, "to": to[1], "undo": "1"}, done)
    assert "Amira Haddad" in await holder(services, id)


async def test_what_comes_up_is_seen_by_those_it_comes_up_to(as_, services):
    at = clock.now() - timedelta(minutes=50)
    id = await make_task(services, CENTRUM, priority="stat", at=at, function="rehab")
    amira = await as_("Amira Haddad", "Centrum")
    assert id not in shown(await amira.get("/work"))
    await escalate_due(services.doors, at + timedelta(minutes=31))
    page = await amira.get("/work")
    assert "Kollegor på enheten" in row(page, id)


async def test_a_protected_person_is_masked_in_the_list(as_, services, own_town):
    with psycopg.connect(own_town) as connection:
        found = connection.execute(
            "SELECT id, convert_from(body, 'UTF8')::jsonb #>> '{name,0,family}' FROM store.patient"
            " WHERE type = %s AND labels && %s::bigint[] LIMIT 1",
            (NUMBER["Patient"], list(PROTECTED)),
        ).fetchone()
    assert found is not None
    id = await make_task(services, CENTRUM, patient=found[0])
    amira = await as_("Amira Haddad", "Centrum")
    said = row(await amira.get("/work"), id)
    assert "Skyddad uppgift" in said and found[1] not in said


async def test_the_start_page_counts_and_shows_the_five_most_urgent(as_, services):
    for _ in range(6):
        await make_task(services, CENTRUM, priority="asap")
    amira = await as_("Amira Haddad", "Centrum")
    await amira.get("/")
    page = await amira.get("/")
    assert amira.queries <= 12
    assert page.text.count('class="todo-row"') == 5
    assert re.search(r"data-waiting>\d+<", page.text)
    counts = (await amira.get("/work/counts")).json()
    assert counts["waiting"] >= 6 and amira.queries == 1


async def test_a_list_that_was_shown_is_in_the_trace_with_how_many(as_, services):
    await make_task(services, CENTRUM)
    amira = await as_("Amira Haddad", "Centrum")
    page = await amira.get("/work")
    async with services.database.writing() as connection:
        cursor = await connection.execute("SELECT convert_from(entries, 'UTF8') FROM audit.block ORDER BY at DESC LIMIT 3")  # fmt: skip
        said = "".join(r[0] for r in await cursor.fetchall())
    assert '"worklist"' in said and f'"count":{len(shown(page))}' in said.replace(" ", "")


async def test_rows_a_page_asks_for_by_itself_keep_no_session_from_locking(as_, own_town, services):
    amira = await as_("Amira Haddad", "Centrum")
    await amira.get("/work")
    with psycopg.connect(own_town, autocommit=True) as connection:
        connection.execute("UPDATE access.session SET last_seen = now() - interval '5 minutes'")
        for address in ("/work/rows", "/work/counts", "/work/todo"):
            assert (await amira.get(address)).status_code == 200
        ((seen,),) = connection.execute("SELECT min(now() - last_seen) FROM access.session").fetchall()  # fmt: skip
        assert seen > timedelta(minutes=4)
        connection.execute("UPDATE access.session SET last_seen = now() - interval '11 minutes'")
        answer = await amira.get("/work/rows", headers={"hx-request": "true"})
        assert answer.status_code == 401 and answer.headers["x-session"] == "locked"
        connection.execute("UPDATE access.session SET last_seen = now()")


@pytest.mark.parametrize(
    ("reference", "whom"),
    [
        ("Patient/a", "Skyddad identitet"), ("Patient/b", "vårdnadshavare"),
        ("RelatedPerson/c", "närstående"), ("Practitioner/d", "Dan"),
    ],
)  # fmt: skip
def test_residents_are_named_as_the_row_may_name_them(reference: str, whom: str) -> None:
    person = Person("a", "Skyddad identitet", "", "", "9 år", "", "", "", "", True, "")
    task = Task(status="requested", intent="order", requester=Reference(reference=reference, display="Dan"))  # fmt: skip
    assert whom_of(task, person) == whom
    assert whom_of(task, None) in ("invånare", whom)
