"""R36: the trace is read forward; nothing is skipped or taken twice, and cases do not double."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from sammanhang.access.audit import verify
from sammanhang.access.review import finding
from sammanhang.access.review.finding import find
from sammanhang.access.review.patterns import rules, span_of
from sammanhang.access.review.sample import chosen
from sammanhang.fhir.decode import decode
from sammanhang.kernel.clock import STOCKHOLM
from sammanhang.kernel.identifiers import PERSONNUMMER
from sammanhang.kernel.owner import PROVIDER as PROVIDER_TAG
from sammanhang.kernel.owner import UNIT as UNIT_TAG
from sammanhang.store.bulk import load

from .review_world import PROVIDER, UNIT, Trace, entry

pytestmark = pytest.mark.slow

PROTECTED = {
    "system": "http://hl7.se/fhir/ig/base/CodeSystem/SecurityLabel", "code": "sekretessmarkering",
}  # fmt: skip


def person(kind: str, id: str, given: str, family: str, number: str = "", street: str = "", **more):
    return {
        "resourceType": kind, "id": id, "name": [{"use": "official", "family": family, "given": [given]}],
        **({"identifier": [{"system": PERSONNUMMER, "value": number}]} if number else {}),
        **({"address": [{"use": "home", "line": [street], "postalCode": "503 30"}]} if street else {}),
        **more,
    }  # fmt: skip


def role(id: str, who: str, unit: str, code: str = "underskoterska"):
    tags = [{"system": PROVIDER_TAG, "code": PROVIDER}, {"system": UNIT_TAG, "code": unit}]
    return {
        "resourceType": "PractitionerRole", "id": id, "meta": {"tag": tags},
        "practitioner": {"reference": f"Practitioner/{who}"}, "organization": {"reference": f"Organization/{unit}"},
        "code": [{"coding": [{"system": "http://sammanhang.se/fhir/CodeSystem/role", "code": code}]}],
    }  # fmt: skip


PEOPLE = (
    person("Practitioner", "helena", "Helena", "Lund", "196804019807"),
    role("helena-1", "helena", UNIT),
    person("Patient", "helena", "Helena", "Lund", "196804019807", "Nygatan 31"),
    person("Patient", "ingrid", "Ingrid", "Lund", "194906302387", "Nygatan 31"),
    person("Practitioner", "amira", "Amira", "Haddad"),
    role("amira-1", "amira", UNIT),
    person("Practitioner", "bo", "Bo", "Ek"),
    role("bo-1", "bo", "SE-U2"),
    person("Patient", "bo", "Bo", "Ek"),
    {"resourceType": "Person", "id": "bo",
     "link": [{"target": {"reference": "Patient/bo"}}, {"target": {"reference": "Practitioner/bo"}}]},
    person("Patient", "svea", "Svea", "Andersson", "193711042386", "Ekåsvägen 14"),
    person("Patient", "hidden", "Karin", "Haddad", street="Box 2820", meta={"security": [PROTECTED]}),
)  # fmt: skip


@pytest.fixture
def dsn(empty_database):
    load(empty_database, (decode(json.dumps(p).encode()) for p in PEOPLE))
    return empty_database


def cases(dsn: str) -> dict[tuple[str, str], set[str]]:
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT c.actor, c.patient, array_agg(r.pattern) FROM access.review_case c"
            " JOIN access.review_reason r ON r.review_case = c.id GROUP BY c.id"
        ).fetchall()
    return {(a.removeprefix("Practitioner/"), p): set(found) for a, p, found in rows}


def test_own_record_family_home_and_colleagues_are_found(dsn):
    trace = Trace(dsn)
    trace.add(
        entry("helena", "helena"), entry("helena", "ingrid"), entry("helena", "svea"),
        entry("amira", "helena"), entry("amira", "bo"), entry("amira", "svea"), entry("amira", "hidden"),
        entry("amira", "nobody-there"), entry("gone", "svea"),
    )  # fmt: skip
    report = find(dsn)
    assert cases(dsn) == {
        ("helena", "helena"): {"own-record"},
        ("helena", "ingrid"): {"same-surname", "same-address"},
        ("amira", "helena"): {"colleague"},
        ("amira", "bo"): {"colleague"},
        ("amira", "hidden"): {"same-surname"},
    }
    assert report.cases == 5 and not report.unreadable
    assert verify(dsn).ok


def test_a_declared_reason_and_an_emergency_are_cases_and_say_why(dsn):
    Trace(dsn).add(
        entry("amira", "svea", rule="R3", purpose="consultation"),
        entry("amira", "svea", action="emergency", rule="R9", purpose="life, no-time",
              details={"step": 1, "said": "Larm"}),
        entry("amira", "svea", action="emergency", rule="R9", purpose="life, no-time",
              details={"step": 2, "said": "Larm", "opened": ["SE-X"]}),
    )  # fmt: skip
    find(dsn)
    assert cases(dsn) == {("amira", "svea"): {"no-relation", "emergency"}}
    with psycopg.connect(dsn) as connection:
        told: dict[str, Any] = dict(
            connection.execute("SELECT pattern, details FROM access.review_reason").fetchall()
        )
        ((weight, times),) = connection.execute(
            "SELECT weight, times FROM access.review_case"
        ).fetchall()
    assert told["no-relation"]["purpose"] == "consultation"
    assert told["emergency"]["said"] == "Larm" and told["emergency"]["opened"] == ["SE-X"]
    assert weight == rules("no-relation")["weight"] + rules("emergency")["weight"]
    assert times == 3


def test_a_public_person_is_found_only_by_the_care_provider_that_listed_them(dsn):
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "INSERT INTO access.public_person (provider, patient, reason, added_by, until) VALUES"
            " (%s, 'svea', 'Riksdagsledamot', 'x', NULL), ('SE-OTHER', 'ingrid', 'x', 'x', NULL),"
            " (%s, 'bo', 'x', 'x', '2020-01-01')",
            (PROVIDER, PROVIDER),
        )
    Trace(dsn).add(entry("amira", "svea"), entry("amira", "ingrid"))
    find(dsn)
    assert cases(dsn) == {("amira", "svea"): {"public-person"}}


def test_many_patients_are_counted_over_runs_and_over_chains(dsn):
    _, limit = span_of("many-patients", "underskoterska")
    now = datetime.now(UTC)
    one, other = Trace(dsn), Trace(dsn)
    for n in range(limit - 1):
        at = now - timedelta(minutes=30) + timedelta(minutes=n)
        (one, other)[n % 2].add(entry("amira", f"p{n}", at, assignment="amira-1"))
        if n % 5 == 0:
            find(dsn)
    find(dsn)
    assert cases(dsn) == {}
    one.add(entry("amira", "p999", now, assignment="amira-1"))
    find(dsn)
    assert cases(dsn) == {("amira", ""): {"many-patients"}}


def test_refusals_again_and_again_are_one_case(dsn):
    trace = Trace(dsn)
    for n in range(rules("refused-repeatedly")["refusals"] + 2):
        trace.add(entry("amira", f"p{n}", action="refuse", rule="R7", outcome="refused"))
        find(dsn)
    assert cases(dsn) == {("amira", ""): {"refused-repeatedly"}}


def test_what_is_found_again_grows_and_what_is_decided_opens_only_for_something_new(dsn):
    trace = Trace(dsn)
    trace.add(entry("amira", "bo"))
    find(dsn)
    trace.add(entry("amira", "bo"))
    find(dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        assert connection.execute("SELECT times FROM access.review_case").fetchall() == [(2,)]
        connection.execute("UPDATE access.review_case SET state = 'done', decided = now()")
        trace.add(entry("amira", "bo"))
        find(dsn)
        assert connection.execute("SELECT state FROM access.review_case").fetchall() == [("done",)]
        trace.add(entry("amira", "bo", rule="R3", purpose="consultation"))
        find(dsn)
        assert connection.execute("SELECT state FROM access.review_case").fetchall() == [("open",)]
        assert connection.execute("SELECT kind FROM access.review_step").fetchall() == [
            ("reopened",)
        ]


def test_another_emergency_after_the_review_is_reviewed_too(dsn):
    trace = Trace(dsn)
    step: dict[str, Any] = {
        "action": "emergency",
        "purpose": "life, no-time",
        "details": {"step": 1, "said": "x"},
    }
    trace.add(entry("amira", "svea", **step))
    find(dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("UPDATE access.review_case SET state = 'done', decided = now()")
        find(dsn)
        assert connection.execute("SELECT state FROM access.review_case").fetchall() == [("done",)]
        trace.add(entry("amira", "svea", **step))
        find(dsn)
        assert connection.execute("SELECT state FROM access.review_case").fetchall() == [("open",)]


def test_nothing_is_skipped_or_taken_twice_while_several_write_and_several_read(dsn, monkeypatch):
    monkeypatch.setattr(finding, "BATCH", 7)
    writers, each, done = 6, 40, threading.Event()

    def write(n: int) -> None:
        trace = Trace(dsn)
        for i in range(each):
            # a commit that takes long lets later ones pass it
            with trace.connection.transaction():
                trace.add(entry(f"w{n}", f"p{n}-{i}"), entry(f"w{n}", "bo"))
                if i % 10 == n:
                    trace.connection.execute("SELECT pg_sleep(0.02)")

    def read() -> int:
        taken = 0
        while not done.is_set():
            taken += find(dsn).entries
        return taken

    with ThreadPoolExecutor(writers + 2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        for w in [pool.submit(write, n) for n in range(writers)]:
            w.result()
        done.set()
        for r in readers:
            r.result()
    while find(dsn).entries:  # the last of it, and its own notes of new cases
        pass
    with psycopg.connect(dsn) as connection:
        ((opened,),) = connection.execute(
            "SELECT sum(n) FROM access.review_tally WHERE what = 'open'"
        ).fetchall()
        (recent,) = connection.execute(
            "SELECT count(*) FROM access.review_recent WHERE actor LIKE 'Practitioner/w%'"
        ).fetchone()  # type: ignore[misc]
        found = connection.execute(
            "SELECT times FROM access.review_case WHERE patient = 'bo'"
        ).fetchall()
    assert opened == writers * each * 2
    assert recent == writers * (each + 1)
    assert found == [(each,)] * writers


def test_a_run_that_is_broken_off_leaves_nothing_half_done(dsn, monkeypatch):
    trace = Trace(dsn)
    trace.add(entry("amira", "bo"))

    def broken(*_):
        raise psycopg.OperationalError("the plug was pulled")

    with monkeypatch.context() as patch:
        patch.setattr(finding, "keep_places", broken)
        with pytest.raises(psycopg.OperationalError):
            find(dsn)
    assert cases(dsn) == {}
    find(dsn)
    assert cases(dsn) == {("amira", "bo"): {"colleague"}}
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("SELECT what, n FROM access.review_tally").fetchall()
    assert rows == [("open", 1)]


def test_a_block_that_cannot_be_read_is_passed_and_counted(dsn):
    trace = Trace(dsn)
    trace.add(entry("amira", "bo"))
    with psycopg.connect(dsn) as connection:
        connection.execute("UPDATE audit.block SET entries = 'not an entry' WHERE chain = %s", (trace.chain.chain,))  # fmt: skip
    trace.add(entry("amira", "helena"))
    assert find(dsn).unreadable == 1
    assert cases(dsn) == {("amira", "helena"): {"colleague"}}


def test_the_sample_is_the_one_its_seed_gives_and_comes_when_the_day_is_over(dsn):
    yesterday = datetime.now(STOCKHOLM).replace(hour=12) - timedelta(days=1)
    day = yesterday.date()
    units = [f"SE-S{n}" for n in range(40)]
    traces = [Trace(dsn), Trace(dsn)]
    accesses = [(f"Practitioner/s{n % 3}", f"q{n}") for n in range(9)]
    for n, unit in enumerate(units):
        for actor, patient in accesses:
            one = entry(
                actor.removeprefix("Practitioner/"), patient, yesterday.astimezone(UTC), unit=unit
            )
            traces[n % 2].add(one)
        if n % 10 == 0:
            find(dsn, now=yesterday + timedelta(minutes=1))
    find(dsn, now=yesterday + timedelta(minutes=1))
    assert cases(dsn) == {}
    midnight = datetime(day.year, day.month, day.day, tzinfo=STOCKHOLM) + timedelta(days=1)
    find(dsn, now=midnight + timedelta(minutes=10))
    assert cases(dsn) == {}
    find(dsn, now=midnight + timedelta(minutes=40))
    with psycopg.connect(dsn) as connection:
        ((seed, closed),) = connection.execute(
            "SELECT seed, closed FROM access.review_draw"
        ).fetchall()
        drawn = connection.execute(
            "SELECT c.actor, c.patient FROM access.review_case c JOIN access.review_reason r"
            " ON r.review_case = c.id WHERE r.pattern = 'random-sample'"
        ).fetchall()
        left = connection.execute("SELECT count(*) FROM access.review_candidate").fetchone()
        times = connection.execute("SELECT DISTINCT times FROM access.review_case").fetchall()
    wanted = {access for unit in units for access in chosen(seed, unit, day, accesses)}
    assert wanted and set(drawn) == wanted
    assert times == [(0,)], "being drawn is no access"
    assert closed is not None and left == (0,)


def test_only_one_goes_through_the_log_at_a_time(dsn):
    with psycopg.connect(dsn) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (finding.LOCK,))
        assert find(dsn).busy
    assert not find(dsn).busy


def test_nothing_and_nobody_deletes_from_the_trace(dsn):
    """HSLF-FS 2016:40 4:9: kept five years. The roles of the server may add to the trace, no more."""
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT r.rolname, t.table_name, p.verb FROM information_schema.tables t,"
            " pg_roles r, unnest(ARRAY['DELETE', 'UPDATE', 'TRUNCATE']) AS p(verb)"
            " WHERE t.table_schema = 'audit' AND r.rolname LIKE 'sammanhang\_%'"
            " AND has_table_privilege(r.rolname, 'audit.' || t.table_name, p.verb)"
        ).fetchall()
    assert rows == []


def test_the_command_goes_through_the_log_and_tells_how_many_wait(dsn, monkeypatch, capsys, tmp_path):  # fmt: skip
    from sammanhang import cli

    monkeypatch.setattr(cli, "stop_on_signals", lambda: None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAMMANHANG_DATABASE_URL", dsn)
    assert cli.call(["access", "review"]) == cli.OK
    assert "Last gone through: never. Waiting: 0 cases." in capsys.readouterr().out
    Trace(dsn).add(entry("amira", "bo"))
    assert cli.call(["access", "review", "--find"]) == cli.OK
    out = capsys.readouterr().out
    assert "1 new cases" in out and "Waiting: 1 cases." in out
    with psycopg.connect(dsn) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (finding.LOCK,))
        assert cli.call(["access", "review", "--find"]) == cli.FAULT
