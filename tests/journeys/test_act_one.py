"""Svea, act one: the happy way, counted, and the unhappy ones, each in real browsers with the jobs at work."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, expect

from sammanhang.access.clients import register
from sammanhang.access.clients_registration import Registration
from sammanhang.access.services import Services
from sammanhang.kernel import clock
from sammanhang.kernel.content import FOLDER
from sammanhang.kernel.settings import Settings
from sammanhang.region.organisations import named
from sammanhang.web.testing import small_region
from sammanhang.work import outbox
from sammanhang.work.adrift import Adrift, adrift

from ..simulators.municipality import SCOPES, Municipality
from . import act_one
from .act_one import HOME_CARE, NEWS, SVEA, Stage, act, came, listens, play, sends, state, todo
from .conftest import Person, serving
from .counts import ACT_ONE
from .recorder import Recorder

pytestmark = [pytest.mark.journey, pytest.mark.slow]
OTHER_UNIT = "Hemsjukvård Brämhult, Borås"
ON_LIST = "[data-task]:has-text('Svea Andersson')"


@pytest.fixture(scope="module")
def before(cluster: str, template: str) -> Iterator[str]:
    """A small region where Svea has no home care yet."""
    yield from small_region(cluster, template, enrolled=False)


@pytest.fixture(scope="module")
def address(before: str) -> Iterator[str]:
    """A server there, with its jobs."""
    yield from serving(before, jobs=True)


@pytest.fixture(scope="module")
def known() -> dict[tuple[str, str], Any]:
    """Who has logged in already."""
    return {}


@pytest.fixture
def stage(chromium, address: str, known) -> Iterator[Stage]:
    """The people of the story at windows of their own; a fault in a page's script fails the test."""
    made = Stage(chromium, address, known=known)
    yield made
    assert made.close() == []


@pytest.fixture
def own_stage(chromium, before: str, tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    """A server where the region has decided otherwise: `own_stage({"routing/requests": {...}})`, what differs by file."""
    ends: list[Callable[[], Any]] = []

    def made(changed: dict[str, dict[str, Any]], *, jobs: bool = False) -> Stage:
        for name, values in changed.items():
            path = tmp_path / f"{name}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            shipped = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
            path.write_text(json.dumps(shipped | values), "utf-8")
        server = serving(before, jobs=jobs, content=tmp_path)
        stage = Stage(chromium, next(server))
        ends.extend((stage.close, lambda: next(server, None)))
        return stage

    yield made
    assert [found for end in ends if (found := end())] == []


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Runs something asynchronous beside the browser's own loop."""
    with ThreadPoolExecutor(1) as beside:
        return beside.submit(asyncio.run, work).result()


def adrift_in(dsn: str, later: timedelta = timedelta()) -> list[Adrift]:
    """What nobody can be counted on for, now or later if nothing is done."""

    async def look() -> list[Adrift]:
        services = Services.make(Settings(), dsn)
        await services.open()
        try:
            return await adrift(services.database, clock.now() + later)
        finally:
            await services.close()

    return run(look())


def opens(someone: Person, address: str) -> None:
    """A request, straight by its address."""
    someone.page.goto(address)


def on_list(someone: Person, address: str) -> None:
    """From their worklist to a request of Svea's, by its button."""
    someone.page.goto("/work")
    someone.click(f'[data-task] a[data-go][href="{address}"]')


def test_svea_gets_home_care_and_every_step_costs_what_the_table_says(stage, before):
    recorder = Recorder()
    address = play(stage, recorder)
    assert recorder.counts == ACT_ONE
    writes = recorder.steps[1].counts
    assert writes.clicks <= 8  # issue 4: the request, beyond typing
    assert all(s.counts.clicks <= 3 for s in recorder.steps if s is not recorder.steps[1])
    assert recorder.waited_ms["the open worklist shows the request"] < NEWS
    svea = stage.people[-1].page
    shown = svea.inner_text("main")
    assert "Beslut: ja" in shown and "Amira Haddad, sjuksköterska" in shown  # what, and by whom
    assert "Hemsjukvården i Borås kommer hem till dig" in shown and "kl. 10:00" in shown  # and next
    amira = stage.people[1]
    opens(
        amira, f"/patients/{SVEA}"
    )  # enrolled: the chart opens without any reason being asked for
    expect(amira.page.locator("main")).to_contain_text("Hälsoproblem")
    assert adrift_in(before) == []
    for page in act_one.weigh(stage, address):  # the architecture's budgets, first page, compressed
        assert 0 < page.kilobytes <= 150 and 0 <= page.scripts <= 50, page
    _today(amira, address)


def _today(amira: Person, address: str) -> None:
    """The visit is moved to later today: then it is among the day's visits on the start page."""
    later = clock.now().astimezone(clock.STOCKHOLM) + timedelta(minutes=2)
    if later.date() != clock.today():
        return  # the day ends as this is tested
    opens(amira, address)
    amira.click("#act-plan > summary")
    form = amira.page.locator("form:has(input[name=do][value=plan])")
    form.locator("input[name=day]").fill(f"{later:%Y-%m-%d}")
    form.locator("input[name=time]").fill(f"{later:%H:%M}")
    with amira.page.expect_navigation():
        amira.click("form:has(input[name=do][value=plan]) button")
    amira.page.goto("/")
    visits = amira.page.locator("section.card", has_text="Dagens besök")
    expect(visits).to_contain_text("Svea Andersson")
    amira.page.goto("/work")
    expect(todo(amira)).to_contain_text(f"{later:%H:%M}")


def test_a_request_that_is_rejected_is_read_by_who_sent_it_and_by_svea(stage, before):
    karin, address = sends(stage)
    amira = stage.enter("Amira Haddad", "Centrum")
    on_list(amira, address)
    act(amira, "reject", "Distriktssköterskan på vårdcentralen kan väga henne.")
    state(karin, "Avslagen")  # her window is open
    expect(karin.page.locator("main")).to_contain_text("Distriktssköterskan på vårdcentralen")
    karin.page.goto("/work")  # and it is hers to read, so that it is not lost
    row = karin.page.locator(f'{ON_LIST}:has(a[href="{address}"])')
    expect(row).to_contain_text("Avslagen: läs skälet")
    row.locator("[data-done]").click()
    expect(karin.page.locator(f'[data-task]:not(.closed) a[href="{address}"]')).to_have_count(0)
    svea = stage.enter("Svea Andersson", resident=True)
    svea.page.goto(f"/me/requests/{address.rpartition('/')[2]}")
    expect(svea.page.locator("main")).to_contain_text("Beslut: nej")
    expect(svea.page.locator("main")).to_contain_text("Distriktssköterskan på vårdcentralen")
    assert adrift_in(before) == []


def test_a_request_that_is_sent_on_waits_at_the_other_unit(stage, before):
    karin, address = sends(stage)
    amira, there = stage.enter("Amira Haddad", "Centrum"), stage.enter("Amira Haddad", "Brämhult")
    there.page.goto("/work")
    listens(there)
    on_list(amira, address)
    amira.click("details:has(input[name=do][value=redirect]) > summary")
    amira.page.select_option("form:has(input[value=redirect]) select[name=to]", label=OTHER_UNIT)
    sent_on = amira.page.evaluate("Date.now()")
    act(amira, "redirect", "Svea bor i Brämhult.")
    came(there, sent_on)
    state(karin, "Skickad vidare")
    expect(karin.page.locator(".now-facts")).to_contain_text(OTHER_UNIT)
    amira.page.goto("/work")
    assert amira.page.locator(f'a[data-go][href="{address}"]').count() == 0
    on_list(there, address)
    act(there, "accept")
    state(karin, "Accepterad")
    assert adrift_in(before) == []


def test_a_request_that_is_withdrawn_while_it_is_open_asks_for_nothing_more(stage, before):
    karin, address = sends(stage)
    amira = stage.enter("Amira Haddad", "Centrum")
    on_list(amira, address)
    amira.click("details:has(input[name=do][value=ask]) > summary")
    amira.page.fill("form:has(input[value=ask]) textarea", "Hur ofta ska hon vägas?")
    act(karin, "withdraw", "Svea är inlagd på SÄS.")
    newer = amira.page.locator("#newer button")  # she writes: nothing moves until she says so
    newer.wait_for(timeout=NEWS)
    expect(amira.page.locator(".now-state")).to_contain_text("Skickad")
    newer.click()
    expect(amira.page.locator(".now-state")).to_contain_text("Återkallad")
    expect(amira.page.locator("main")).to_contain_text("Svea är inlagd på SÄS.")
    expect(amira.page.locator("main")).to_contain_text("Hur ofta ska hon vägas?")  # not lost
    assert amira.page.locator("form:has(input[value=accept])").count() == 0
    assert adrift_in(before) == []


SECONDS = 1 / 60  # of a minute: the times of an emergency, as a region might set them for a play


def test_a_request_nobody_answers_goes_up_step_by_step_and_ends_on_the_list_of_operations(
    own_stage, stage, before
):
    shipped = json.loads((FOLDER / "routing/deadlines.json").read_text("utf-8"))
    kinds, way_up = shipped["kinds"], shipped["way_up"]
    kinds["care-request"]["within"]["stat"] = {"minutes": 4 * SECONDS}
    way_up[2]["after"]["stat"], way_up[3]["after"]["stat"] = (
        {"minutes": 4 * SECONDS},
        {"minutes": 8 * SECONDS},
    )
    shipped["adrift_after"]["stat"] = {"minutes": 12 * SECONDS}
    own = own_stage({"routing/deadlines": {**shipped, "kinds": kinds, "way_up": way_up}})
    karin, address = sends(own, "stat")
    head = own.enter("Goran Petrović")
    head.page.goto("/work?list=up")
    facts = karin.page.locator(".now-facts")
    for said in ("Kollegor på enheten", "Enhetens ansvariga", "Driftens lista"):
        expect(facts).to_contain_text(f"Har gått vidare till: {said}", timeout=30_000)
    head.page.reload()
    expect(head.page.locator(f'{ON_LIST}:has(a[href="{address}"])')).to_contain_text("försenad")
    david = own.enter("David Wallin")
    expect(operations(david)).to_contain_text("Alla steg uppåt är tagna")
    page = david.page.inner_text("main")
    assert HOME_CARE in page and "Svea" not in page  # where, and nothing about whom
    (one,) = [a for a in adrift_in(before, timedelta(hours=2)) if a.priority == "stat"]
    assert one.why == "top" and one.owner == named(HOME_CARE).id
    amira = stage.enter("Amira Haddad", "Centrum")
    on_list(amira, address)
    act(amira, "accept")  # somebody does it after all, and nothing is adrift
    assert adrift_in(before) == []


def operations(david: Person) -> Locator:
    """The page of operations once it says that something is adrift; looked at again until then."""
    for _try in range(40):
        david.page.goto("/operations/adrift")
        if "Alla steg" in david.page.inner_text("main"):
            break
        david.page.wait_for_timeout(500)
    return david.page.locator("main")


def test_a_unit_that_is_closed_has_its_substitute(own_stage, stage, before):
    closed = {
        "unit": named(HOME_CARE).id, "substitute": named(OTHER_UNIT).id, "from": "2026-01-01", "until": "2099-12-31",
    }  # fmt: skip
    own = own_stage({"routing/requests": {"substitutes": [closed]}})
    karin, address = sends(own)
    expect(karin.page.locator(".now-facts")).to_contain_text(OTHER_UNIT)
    there = stage.enter("Amira Haddad", "Brämhult")
    on_list(there, address)
    act(there, "accept")
    state(karin, "Accepterad")
    assert adrift_in(before) == []


def test_without_consent_the_receiver_sees_what_was_written_and_what_to_do_about_the_rest(
    stage, before
):
    svea = stage.enter("Svea Andersson", resident=True)
    svea.page.goto("/me/consents")
    svea.page.locator("li:has-text('Borås') form:has(input[value=end]) button").first.click()
    svea.page.wait_for_load_state()
    _, address = sends(stage)
    amira = stage.enter("Amira Haddad", "Centrum")
    on_list(amira, address)
    main = amira.page.locator("main")
    expect(main).to_contain_text(act_one.REASON)
    expect(main).to_contain_text("Mottagaren ser det som står här men inte avsändarens journal")
    expect(main).to_contain_text("4 bifogade uppgifter visas inte")
    assert "Besöksanteckning" not in amira.page.inner_text("main")
    act(amira, "accept")  # care does not wait for it
    amira.click("a[href*='/consents?kind=sammanhallen-dokumentation']")
    amira.page.check("input[name=informed]")
    amira.page.locator("form:has(input[value=record]) .btn-main").click()
    amira.page.wait_for_load_state()
    opens(amira, address)
    expect(main).to_contain_text("Besöksanteckning")
    expect(main).not_to_contain_text("visas inte")
    assert adrift_in(before) == []


@pytest.fixture
def beside() -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """A loop beside the browser's own, for a system that serves meanwhile; runs something in it to its end."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield lambda work: asyncio.run_coroutine_threadsafe(work, loop).result(60)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


async def until(true: Callable[[], Coroutine[Any, Any, bool]]) -> None:
    """Waits until something is true, half a minute at most."""
    async with asyncio.timeout(30):
        while not await true():  # noqa: ASYNC110 (it asks another process)
            await asyncio.sleep(0.1)


def test_a_receiver_whose_system_is_down_is_seen_as_such_and_catches_up(
    own_stage, address, before, beside, tmp_path
):
    late = {"undelivered_after_seconds": 1, "error_after_seconds": 1}  # instead of a minute
    own = own_stage({"rules/delivery": late})
    folder = tmp_path / "memory"
    folder.mkdir()
    town = Municipality(folder, base=own.address, client="boras")
    register(before, Registration(
        "Borås omsorgssystem", method="private_key_jwt", jwks=town.keys(), id="boras", scopes=SCOPES,
        provider=named(HOME_CARE).provider,
    ))  # fmt: skip
    up = town.up()
    beside(up.__aenter__())

    async def subscribed() -> None:
        town.http = httpx.AsyncClient(timeout=20)
        id = await town.subscribe()

        async def active() -> bool:
            return bool((await town.status(id))["status"] == "active")

        await until(active)

    beside(subscribed())
    beside(up.__aexit__(None, None, None))  # it goes down
    karin, sent = sends(own)
    note = karin.page.locator(".now .note")
    david = own.enter("David Wallin")
    for _try in range(40):
        karin.page.wait_for_timeout(250)
        karin.page.reload()
        if note.count():
            break
    expect(note).to_contain_text("Har inte nått Borås omsorgssystem")
    david.page.goto("/operations/adrift")
    expect(david.page.locator("main")).to_contain_text("inte framme hos andra system")
    assert town.received() == {}
    up = town.up()
    beside(up.__aenter__())  # an hour later, as it were

    async def caught_up() -> bool:
        return len(town.received()) > 0 and await nothing_waits()

    async def nothing_waits() -> bool:
        services = Services.make(Settings(), before)
        await services.open()
        try:
            return not await outbox.undelivered(
                services.database, now=clock.now() + timedelta(hours=1)
            )
        finally:
            await services.close()

    beside(until(caught_up))
    karin.page.reload()
    expect(note).to_have_count(0)
    assert set(town.received().values()) == {1}  # each once, none left out

    async def ends() -> None:
        assert town.http is not None
        await town.http.aclose()

    beside(ends())
    beside(up.__aexit__(None, None, None))
    assert sent and adrift_in(before) == []
