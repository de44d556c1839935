"""The preflight finds one of each fault, tells what everybody will see, and reads as much as it must."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from sammanhang.access.actor import Actor
from sammanhang.access.preflight import Finding, Person, Preflight, Sums
from sammanhang.access.preflight_rows import reading
from sammanhang.kernel.content import content
from sammanhang.kernel.owner import PROVIDER, UNIT
from sammanhang.store.bulk import load

from .identity_world import practitioner, resource

KIND = "http://sammanhang.se/fhir/CodeSystem/organisation-type"
ROLE = "http://sammanhang.se/fhir/CodeSystem/role"
HSA = "urn:oid:1.2.752.29.4.19"
NOW = datetime.now(UTC)


def day(days: int) -> str:
    return (NOW + timedelta(days=days)).date().isoformat()


def organisation(id: str, kind: str, parent: str | None = None, **more: Any) -> Any:
    body: dict[str, Any] = {
        "resourceType": "Organization", "id": id, "name": f"Enhet {id}", "active": True,
        "type": [{"coding": [{"system": KIND, "code": kind}]}],
    }  # fmt: skip
    if parent is not None:
        body["partOf"] = {"reference": f"Organization/{parent}"}
    return resource({k: v for k, v in (body | more).items() if v is not None})


def person(id: str, hsa: tuple[str, ...] | None = None, **more: Any) -> Any:
    numbers = (f"SE2321000131-P{id.upper()}",) if hsa is None else hsa
    identifier = [{"system": HSA, "value": n} for n in numbers]
    return practitioner(
        id, id.title(), "Test", **({"identifier": identifier} if identifier else {}), **more
    )


def assigned(
    id: str, who: str, code: str | None = "sjukskoterska", unit: str | None = "ward", *, provider: str | None = "region",
    unit_tag: str | None = None, **more: Any,
) -> Any:  # fmt: skip
    tags = [(PROVIDER, provider), (UNIT, unit_tag or unit)]
    body: dict[str, Any] = {
        "resourceType": "PractitionerRole", "id": id, "active": True, "practitioner": {"reference": f"Practitioner/{who}"},
        "meta": {"tag": [{"system": s, "code": c} for s, c in tags if c]},
    }  # fmt: skip
    if unit:
        body["organization"] = {"reference": f"Organization/{unit}"}
    if code:
        body["code"] = [{"coding": [{"system": ROLE, "code": code}]}]
    if not body["meta"]["tag"]:
        del body["meta"]
    return resource(body | more)


def faulty_world() -> list[Any]:
    """Somebody for each thing that can be found, named by it, and Good to whom nothing is wrong."""
    people: list[Any] = [
        organisation("region", "provider"),
        organisation("ward", "unit", "region"),
        organisation("closed", "unit", "region", active=False),
        organisation("nameless", "unit", "region", name=" "),
        organisation("lonely", "unit"),
        organisation("round", "unit", "square"),
        organisation("square", "unit", "round"),
        organisation("county", "provider"),
        person("good"), assigned("r-good", "good"),
        person("no-assignment"),
        person("only-ended"), assigned("r-ended", "only-ended", period={"end": day(-9)}),
        assigned("r-ended2", "only-ended", active=False),
        person("not-begun"), assigned("r-later", "not-begun", period={"start": day(9)}),
        person("ends-soon"), assigned("r-soon", "ends-soon", period={"start": day(-9), "end": day(9)}),
        person("role-missing"), assigned("r-no-role", "role-missing", None),
        person("role-unknown"), assigned("r-odd-role", "role-unknown", "trollkarl"),
        person("role-without-rights"), assigned("r-none", "role-without-rights", "dataskyddsombud"),
        person("role-outside-care"), assigned("r-head", "role-outside-care", "rektor"),
        person("unit-missing"), assigned("r-nowhere", "unit-missing", unit="nowhere"),
        person("unit-inactive"), assigned("r-closed", "unit-inactive", unit="closed"),
        person("unit-without-provider"), assigned("r-round", "unit-without-provider", unit="round"),
        person("unit-without-start-page"), assigned("r-less", "unit-without-start-page", unit="nameless"),
        person("tags-missing"), assigned("r-untagged", "tags-missing", provider=None),
        person("tags-disagree"), assigned("r-county", "tags-disagree", provider="county"),
        person("person-inactive", active=False), assigned("r-gone", "person-inactive"),
        person("inactive", active=False), assigned("r-gone2", "inactive", period={"end": day(-9)}),
        assigned("r-ghost", "person-missing"),
        person("duplicate-hsa-id", ("SE2321000131-PSAME",)), assigned("r-same", "duplicate-hsa-id"),
        person("duplicate-hsa-id2", ("SE2321000131-PSAME",)), assigned("r-same2", "duplicate-hsa-id2"),
        person("several-hsa-ids", ("SE2321000131-PA", "SE2321000131-PB")), assigned("r-two", "several-hsa-ids"),
        person("no-identifier", ()), assigned("r-unknown", "no-identifier"),
        person("several-assignments"), assigned("r-one", "several-assignments"),
        assigned("r-other", "several-assignments", "lakare"),
        resource({"resourceType": "Patient", "id": "in-care", "name": [{"family": "X"}]}),
        resource({
            "resourceType": "Encounter", "id": "now", "status": "in-progress", "subject": {"reference": "Patient/in-care"},
            "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
            "meta": {"tag": [{"system": PROVIDER, "code": "region"}, {"system": UNIT, "code": "ward"}]},
            "period": {"start": day(-1)},
        }),
    ]  # fmt: skip
    return people


@pytest.fixture(scope="module")
def wrong(cluster: str, template: str) -> Iterator[str]:
    """A database with one of each fault."""
    name = f"preflight_{os.getpid()}"
    with psycopg.connect(cluster, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    dsn = make_conninfo(cluster, dbname=name)
    load(dsn, faulty_world())
    yield dsn
    with psycopg.connect(cluster, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def menu(actor: Actor) -> tuple[str, ...]:
    return ("Start",)


def run(dsn: str, **only: str) -> dict[str, Person]:
    with reading(dsn, **only) as rows:
        people = list(Preflight(rows, menu).people())
    assert [p.id for p in people] == sorted(p.id for p in people)
    return {p.id: p for p in people}


def test_each_thing_that_can_be_wrong_is_found_on_its_person(wrong: str) -> None:
    people = run(wrong)
    # `lonely` hangs free in the tree: two things are wrong with it.
    codes = {id: {f.code for f in p.findings} for id, p in people.items()}
    for code in content("rules/preflight")["findings"]:
        assert code in codes[code], (code, codes[code])
        assert codes[code] <= {code, "unit-without-start-page", "unit-without-provider"}, code
    assert codes["good"] == set()
    assert codes["duplicate-hsa-id2"] == {"duplicate-hsa-id"}


def test_who_is_well_sees_their_unit(wrong: str) -> None:
    people = run(wrong)
    (seen,) = people["good"].seen
    assert (seen.start, seen.menu, seen.patients) == ("whole", ("Start",), 1)
    assert (seen.read, seen.write, seen.rule, seen.until) == (True, True, "R2", None)
    assert seen.assignment.unit_name == "Enhet ward"
    (head,) = people["role-outside-care"].seen
    assert (head.start, head.read, head.patients, head.rule) == ("limited", False, 0, "R17")
    (soon,) = people["ends-soon"].seen
    assert soon.until is not None and not people["ends-soon"].faulty


@pytest.mark.asvs("v5.0.0-8.1.1")
def test_who_gets_in_is_who_the_log_in_lets_in(wrong: str) -> None:
    shut_out = {id for id, p in run(wrong).items() if not p.gets_in}
    assert shut_out == {
        "no-assignment", "only-ended", "not-begun", "role-missing", "tags-missing", "person-inactive", "inactive",
        "person-missing",
    }  # fmt: skip


def test_one_unit_or_one_person_is_looked_at_alone(wrong: str) -> None:
    assert set(run(wrong, person="good")) == {"good"}
    assert run(wrong, person="nobody") == {}
    assert set(run(wrong, unit="closed")) == {"unit-inactive"}
    assert run(wrong, unit="nowhere at all") == {}
    assert set(run(wrong, unit="ward", person="good")) == {"good"}
    # All of somebody's assignments are shown, although one led here.
    assert len(run(wrong, unit="ward")["several-assignments"].seen) == 2


def test_the_sums_end_in_a_plain_sentence(wrong: str) -> None:
    sums = Sums()
    for p in run(wrong).values():
        sums.add(p)
    assert sums.sentence("en") == (
        f"{sums.get_in} of {sums.people} will get in; {sums.faulty} have faults to mend."
    )
    assert sums.findings["no-assignment"] == 1
    assert Sums().sentence("sv") == "Ingen personal hittades."
    assert "inga fel" in Sums(people=3, get_in=3).sentence("sv")


def test_every_finding_has_words_and_somebody_to_mend_it() -> None:
    rules = content("rules/preflight")
    for code in rules["findings"]:
        for language in ("sv", "en"):
            assert Finding(code).said(language).endswith(".")
            assert Finding(code).mender(language)


def test_it_asks_as_many_questions_for_many_as_for_one(wrong: str) -> None:
    """However many people: one snapshot, five questions."""
    asked: list[str] = []
    real = psycopg.Cursor.execute
    real_server = psycopg.ServerCursor.execute

    def counted(self: Any, query: Any, *more: Any, **named: Any) -> Any:
        asked.append(str(query))
        return real(self, query, *more, **named)

    def counted_server(self: Any, query: Any, *more: Any, **named: Any) -> Any:
        asked.append(str(query))
        return real_server(self, query, *more, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(psycopg.Cursor, "execute", counted)
        patch.setattr(psycopg.ServerCursor, "execute", counted_server)
        run(wrong)
    assert len([q for q in asked if not q.startswith("SET")]) == 5


def test_the_command_tells_it_in_lines_or_json_and_ends_with_a_fault(
    wrong: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    from sammanhang import cli

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "stop_on_signals", lambda: None)
    monkeypatch.setenv("SAMMANHANG_DATABASE_URL", wrong)
    assert cli.call(["access", "preflight"]) == 1
    said = capsys.readouterr().out
    assert "Good Test (good, SE2321000131-PGOOD)" in said
    assert (
        "start page, menu Start, Work, Care request, Patients; 1 patients; reads and writes by R2"
        in said
    )
    assert "FAULT unit-inactive [r-closed]: The assignment's unit is closed. Mended by" in said
    assert said.rstrip().endswith("have faults to mend.")
    assert cli.call(["access", "preflight", "--only-faults"]) == 1
    assert "Good Test" not in capsys.readouterr().out
    assert cli.call(["access", "preflight", "--person", "good"]) == 0
    assert "1 of 1 will get in; no faults were found." in capsys.readouterr().out
    assert cli.call(["access", "preflight", "--unit", "no-such"]) == 1
    assert "No staff were found." in capsys.readouterr().out
    assert cli.call(["access", "preflight", "--json"]) == 1
    *lines, last = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert last["sums"]["people"] == len(lines)
    one = next(line for line in lines if line["id"] == "unit-inactive")
    assert one["findings"][0]["code"] == "unit-inactive" and one["findings"][0]["fault"] is True
    assert one["assignments"][0]["unit"] == "closed"
