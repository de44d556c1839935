"""A worklist that lives: new work comes without a reload, nothing moves under the pointer, and keys do it all."""

import asyncio
import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import expect

from sammanhang.access.services import Services
from sammanhang.kernel import clock
from sammanhang.kernel.settings import Settings
from sammanhang.region.organisations import named
from sammanhang.work import commands
from sammanhang.work.testing import make_task, somebody

pytestmark = [pytest.mark.journey, pytest.mark.slow]
ROOT = Path(__file__).parents[2]
CENTRUM = named("Hemsjukvård Centrum, Borås").id


def in_a_thread(dsn, do):
    """Does something with work from elsewhere, as another process does: the browser's loop drives this thread."""

    async def inside():
        services = Services.make(Settings(base_url="http://127.0.0.1:8000"), dsn)
        await services.open()
        try:
            return await do(services)
        finally:
            await services.close()

    found = []
    thread = threading.Thread(target=lambda: found.append(asyncio.run(inside())))
    thread.start()
    thread.join(30)
    return found[0]


@pytest.fixture
def work(town):
    """`work(lambda services: …)`; what was open is gone afterwards."""
    yield lambda do: in_a_thread(town, do)
    with psycopg.connect(town, autocommit=True, options="-c role=sammanhang_writer") as db:
        db.execute("DELETE FROM store.other WHERE id IN (SELECT id FROM work.task WHERE open)")


def new(work, **more):
    return work(lambda services: make_task(services, CENTRUM, **more))


def connected(page):
    """Until the page listens."""
    page.wait_for_function("performance.getEntriesByType('resource').length > 0")
    page.wait_for_timeout(500)


@pytest.fixture
def nurse(person):
    person.log_in("Amira Haddad", "Centrum")
    return person


def test_new_work_is_seen_within_a_second_and_moves_nothing(nurse, work):
    there = new(work, priority="asap")
    page = nurse.page
    page.goto("/work")
    row = page.locator(f'[data-task="{there}"]')
    button = row.locator("[data-take]")
    button.hover()
    connected(page)
    before = row.bounding_box()
    came = new(work, priority="stat")
    began = time.monotonic()
    expect(page.locator("[data-news] b")).to_have_text("1 ny", timeout=2000)
    assert time.monotonic() - began < 1.0
    assert row.bounding_box() == before
    expect(page.locator(f'[data-task="{came}"]')).to_have_count(0)
    expect(page.locator("#said")).to_have_text("1 ny")
    expect(page.locator("[data-waiting]")).to_have_text("2")
    new(work)
    expect(page.locator("[data-news] b")).to_have_text("2 nya")
    nurse.press("n")
    expect(page.locator("[data-task]").first).to_have_attribute("data-task", came)
    expect(page.locator("[data-news]")).to_be_hidden()


def test_what_a_colleague_takes_changes_in_its_place(nurse, work):
    for _ in range(2):
        new(work)
    page = nurse.page
    page.goto("/work")
    id = page.locator("[data-task]").first.get_attribute("data-task")
    nurse.press("j", "x")
    connected(page)
    focused = page.evaluate("document.activeElement.href")

    async def take(services):
        jonas = await somebody(services, "jonas-falk")
        await commands.take(services.doors, jonas, id)

    work(take)
    row = page.locator(f'[data-task="{id}"]')
    expect(row.locator(".has")).to_contain_text("Jonas Falk", timeout=2000)
    expect(row.locator("[data-take]")).to_have_count(0)
    expect(row.locator("input")).to_be_checked()
    assert page.evaluate("document.activeElement.href") == focused


def test_two_nurses_press_take_at_once_and_one_is_told_who_has_it(nurse, work):
    id = new(work)
    page = nurse.page
    page.route(
        "**/work/events*", lambda route: route.abort()
    )  # it has not heard that a colleague was first
    page.goto("/work")

    async def take(services):
        jonas = await somebody(services, "jonas-falk")
        await commands.take(services.doors, jonas, id)

    work(take)
    page.locator(f'[data-task="{id}"] [data-take]').click()
    expect(page.locator("[role=alert]")).to_contain_text(
        "Jonas Falk, fysioterapeut har redan tagit uppgiften."
    )
    nurse.faults.clear()  # the stream that was cut off says so in the console


def test_everything_by_keyboard(nurse, work):
    for _ in range(3):
        new(work)
    page = nurse.page
    page.goto("/")
    nurse.press("g", "a")
    page.wait_for_url("**/work")
    nurse.press("j", "t")
    page.wait_for_url("**did=take**")
    expect(page.locator(".did")).to_contain_text("Du tog uppgiften.")
    expect(page.locator("[data-task] .has").first).to_contain_text("du")
    nurse.press("z")
    page.wait_for_url("**undone=1**")
    nurse.press("j", "x", "j", "x")
    expect(page.locator("[data-several]")).to_be_visible()
    nurse.press("t")
    page.wait_for_url("**did=take**")
    nurse.press("2")
    page.wait_for_url("**list=mine**")
    expect(page.locator("[data-task]")).to_have_count(2)
    nurse.press("j", "e")
    page.wait_for_url("**did=complete**")
    expect(page.locator(".did")).to_contain_text("Du gjorde klart uppgiften.")
    nurse.press("j", "Enter")
    page.wait_for_url(re.compile("/work/[0-9a-f-]{36}"))
    expect(page.locator("main h1")).to_have_text("Uppgift")
    assert nurse.clicks == 0


def test_the_start_page_lives_too_and_keeps_still_under_the_pointer(nurse, work):
    page = nurse.page
    page.goto("/")
    connected(page)
    id = new(work, priority="stat")
    expect(page.locator(f'.todo-row[data-task="{id}"]')).to_be_visible(timeout=3000)
    page.locator(".todo-row").first.hover()
    before = page.locator("[data-body]").inner_html()
    new(work, priority="stat")
    expect(page.locator("[data-news]")).to_be_visible(timeout=3000)
    rows = page.locator(".todo-row").count()
    page.locator("[data-news] button").click()
    expect(page.locator(".todo-row")).to_have_count(rows + 1)
    assert before


def test_without_scripts_the_list_is_taken_from_and_refreshed(signed_in, work):
    id = new(work)
    with contextlib.closing(
        signed_in("Amira Haddad", "Centrum", java_script_enabled=False)
    ) as window:
        page = window.new_page()
        page.goto("/work")
        new(work)
        page.click("[data-refresh]")
        assert page.locator("[data-task]").count() == 2
        page.locator(f'[data-task="{id}"] [data-take]').click()
        assert "Du tog uppgiften." in page.locator(".did").inner_text()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("language", ["sv", "en"])
def test_no_violation_and_nothing_wider_than_the_screen(
    signed_in, work, violations, width, language
):
    now = clock.now()
    id = new(work, priority="stat", at=now - timedelta(minutes=40))
    new(work, kind="care-request", priority="asap")

    async def take(services):
        me = await somebody(services, "amira-haddad", "Centrum")
        await commands.take(services.doors, me, id)

    work(take)
    faults = []
    window = signed_in("Amira Haddad", "Centrum", viewport={"width": width, "height": 844})
    page = window.new_page()
    page.goto(f"/settings/language/{language}")
    for address in (
        "/",
        "/work",
        "/work?list=mine",
        "/work?list=unit&late=1&kind=read",
        f"/work/{id}",
        "/work/absence",
    ):
        page.goto(address)
        if address == "/work":
            page.keyboard.press("j")
            page.keyboard.press("x")
        faults += [f"{address}: {v}" for v in violations(page)]
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > width:
            faults.append(f"{address}: {wide} wide")
        for button in page.locator(".tasks .next > *").all():
            box = button.bounding_box()
            if box["x"] < 0 or box["x"] + box["width"] > width:
                faults.append(f"{address}: {button.inner_text()} at {box}")
    page.goto("/settings/language/sv")
    window.close()
    head = signed_in("Goran Petrović", "Centrum", viewport={"width": width, "height": 844})
    page = head.new_page()
    page.goto("/operations/adrift")
    faults += violations(page)
    head.close()
    assert faults == []


def served(dsn, port):
    """A server on a port; ends with `kill`."""
    environment = {**os.environ, "SAMMANHANG_DATABASE_URL": dsn, "SAMMANHANG_PORT": str(port), "PYTHONPATH": str(ROOT / "src")}  # fmt: skip
    program = [
        sys.executable,
        "-m",
        "uvicorn",
        "sammanhang.web.app:create_app",
        "--factory",
        "--port",
        str(port),
    ]
    return subprocess.Popen([*program, "--log-level", "error"], cwd=ROOT, env=environment)


def test_the_page_goes_on_when_the_database_and_the_server_have_been_away(
    chromium, own_town, enter
):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = served(own_town, port)
    window = chromium.new_context(base_url=f"http://127.0.0.1:{port}", locale="sv-SE")
    try:
        page = window.new_page()
        for _ in range(300):
            with contextlib.suppress(Exception):
                page.goto("/health")
                break
            page.wait_for_timeout(100)
        enter(page, "Amira Haddad", "Centrum")
        page.goto("/work")
        connected(page)
        with psycopg.connect(own_town, autocommit=True) as db:
            db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")  # fmt: skip
        page.wait_for_timeout(1500)
        in_a_thread(own_town, lambda services: make_task(services, CENTRUM))
        expect(page.locator("[data-news] b")).to_have_text("1 ny", timeout=20_000)
        server.kill()
        server.wait()
        in_a_thread(own_town, lambda services: make_task(services, CENTRUM))  # while nobody serves
        server = served(own_town, port)
        expect(page.locator("[data-news] b")).to_have_text("2 nya", timeout=60_000)
    finally:
        window.close()
        server.kill()
        server.wait()
