"""The same answer by every way to the data, with both walls and with row-level security alone.

A hundred and twenty-eight patients (relation, consent, blocks, lifted, age, lasting inability) meet staff of three
kinds in every state of declared reason and emergency. What each row should do is read from the tables of outcomes
in docs/reference/access-rules.md. Every cell is searched; every fifth goes all the ways, pages and print among them.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any, NamedTuple

import httpx
import psycopg
import pytest
import pytest_asyncio

from sammanhang.access import door, sessions
from sammanhang.access.actor import Actor, Assignment
from sammanhang.access.rules import DISCLOSURE
from sammanhang.access.services import Services
from sammanhang.access.tests.outcomes import outcome
from sammanhang.fhir.indexing import self_hash
from sammanhang.kernel import clock
from sammanhang.kernel.settings import Settings
from sammanhang.operate.testing import _copy
from sammanhang.rest import gate
from sammanhang.rest.app import fhir_app
from sammanhang.web.app import create_app

from .api import ACTORS, Api, bundle, entry, observation, owned, patient, pretended
from .test_access import consent, visit

pytestmark = pytest.mark.slow
OWN, A, B = "SE-M-OWN", "SE-M-A", "SE-M-B"
HERE, THERE, A_UNIT, B_UNIT = "SE-M-HERE", "SE-M-THERE", "SE-M-A1", "SE-M-B1"
ROWS = {"here": (OWN, HERE), "there": (OWN, THERE), "a": (A, A_UNIT), "b": (B, B_UNIT)}
EVERY = 5  # each so many-th cell goes every way


class Who(NamedTuple):
    """A member of staff and the state they are in towards every patient."""

    role: str
    loa: int
    declared: str
    emergency: str

    @property
    def id(self) -> str:
        return f"{self.role}-{self.loa}-{self.declared}-{self.emergency}"


class Person(NamedTuple):
    """A patient and what is recorded about them."""

    relation: bool
    consent: bool
    inner: bool
    outer: bool
    lifted: bool
    child: bool
    incapable: bool

    @property
    def id(self) -> str:
        return "m-" + "".join("ny"[x] for x in self)


STAFF = [
    Who(role, 3, declared, emergency)
    for role in ("lakare", "bistandshandlaggare", "skolkurator")
    for declared in ("none", "new-contact", "consultation")
    for emergency in ("none", "declared", "opened")
] + [Who("lakare", 2, "none", "none"), Who("lakare", 2, "new-contact", "opened")]
PEOPLE = [Person(*p) for p in itertools.product((False, True), repeat=7)]
CELLS = list(itertools.product(STAFF, PEOPLE))


def says(who: Who, p: Person, row: str) -> str:
    """What the table in the docs says: shown, hidden or refused."""
    blocked = (p.inner and row == "there") or (p.outer and row == "a")
    return outcome(
        {"lakare": "health", "bistandshandlaggare": "assessor"}.get(who.role, "other"),
        "strong" if who.loa >= 3 else "weak",
        "relation" if p.relation else {"new-contact": "reason", "consultation": "task"}.get(who.declared, "none"),
        {"here": "own unit", "there": "other unit"}.get(row, "other provider"),
        "none" if not blocked else "lifted" if p.lifted else "blocked",
        who.emergency,
        "consent" if p.consent else "exception" if p.child or p.incapable else "none",
        "minor" if p.child else "adult",
    ).said  # fmt: skip


def seen(who: Who, p: Person) -> list[str] | None:
    """The rows shown; None when the record is refused."""
    said = {row: says(who, p, row) for row in ROWS}
    if "refused" in said.values():
        assert set(said.values()) == {"refused"}
        return None
    return [row for row in ROWS if said[row] == "shown"]


def things() -> Iterator[dict[str, Any]]:
    """Every patient with one observation, one condition and one document at each unit, tied to one another."""
    for party in {x for pair in ROWS.values() for x in pair}:
        yield {"resourceType": "Organization", "id": party, "name": f"Enhet {party}"}
    for p in PEOPLE:
        subject = {"reference": f"Patient/{p.id}"}
        yield patient(
            p.id, "Matris", birthDate=f"{clock.today().year - (6 if p.child else 60)}-01-01"
        )
        for row, (provider, unit) in ROWS.items():
            others = [{"reference": f"Observation/{p.id}-{r}"} for r in ROWS if r != row]
            more = {"hasMember": others, "effectiveDateTime": "2026-03-01"}
            yield owned(
                observation(f"{p.id}-{row}", subject["reference"], f"mx-{row}", **more),
                provider,
                unit,
            )
            concept = {
                "text": f"Diagnos {p.id} {row}.",
                "coding": [{"system": "http://mx", "code": row}],
            }
            active = {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/condition-clinical",
                        "code": "active",
                    }
                ]
            }
            yield owned(
                {
                    "resourceType": "Condition",
                    "id": f"{p.id}-{row}",
                    "subject": subject,
                    "code": concept,
                    "clinicalStatus": active,
                },
                provider,
                unit,
            )
        if p.relation:
            yield visit(f"{p.id}-v", subject, OWN, HERE) | {"status": "in-progress"}
        if p.consent:
            yield consent(f"{p.id}-c", subject, "sammanhallen-dokumentation", OWN)
        if p.inner:
            yield consent(f"{p.id}-i", subject, "inre-sparr", THERE)
        if p.outer:
            yield consent(f"{p.id}-o", subject, "yttre-sparr", A)
        if p.incapable:
            ground = consent(f"{p.id}-b", subject, "sammanhallen-dokumentation", OWN)
            ground["category"][0]["coding"][0]["code"] = "beslutsoformogen"
            yield ground  # fmt: skip


def actor(who: Who) -> Actor:
    return Actor("staff", f"Practitioner/{who.id}", who.id, who.loa, Assignment(f"as-{who.id}", who.role, who.role, HERE, HERE, OWN, OWN))  # fmt: skip


def states(dsn: str) -> None:
    """What staff have declared and what has been lifted, as the pages would have stored it."""
    until = clock.now() + timedelta(hours=4)
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
        for who, p in CELLS:
            a, patient_ = actor(who), self_hash("Patient", p.id)
            assert a.assignment is not None
            if who.declared != "none":
                cursor.execute(
                    "INSERT INTO access.declared (actor, assignment, patient, reason, until) VALUES (%s, %s, %s, %s, %s)",
                    (a.id, a.assignment.id, patient_, who.declared, until),
                )
            if who.emergency != "none":
                parties = [A, B, THERE] if who.emergency == "opened" else []
                cursor.execute(
                    "INSERT INTO access.emergency (actor, assignment, unit, provider, patient, patient_id, danger, unable,"
                    " said, until, parties) VALUES (%s, %s, %s, %s, %s, %s, 'life', 'no-time', 'x', %s, %s)",
                    (a.id, a.assignment.id, HERE, OWN, patient_, p.id, until, parties),
                )
        for p in PEOPLE:
            if p.lifted:
                cursor.executemany(
                    "INSERT INTO access.lift (patient, party, for_party, rule, granted_by, said, until)"
                    " VALUES (%s, %s, %s, 'R11', 'x', 'x', %s)",
                    [
                        (self_hash("Patient", p.id), A, OWN, until),
                        (self_hash("Patient", p.id), THERE, HERE, until),
                    ],
                )


_worlds: dict[str, bool] = {}


@pytest.fixture(scope="module")
def database(cluster: str, template: str) -> Iterator[str]:
    yield from _copy(cluster, template)


class World:
    """The API and the pages on the matrix's database; `page` is asked as a member of staff."""

    def __init__(self, api: Api, pages: httpx.AsyncClient) -> None:
        self.api, self.pages = api, pages

    async def page(self, who: str, path: str) -> httpx.Response:
        return await self.pages.get(path, headers={"x-who": who})


@pytest_asyncio.fixture
async def world(database: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    for who in STAFF:
        monkeypatch.setitem(ACTORS, who.id, actor(who))

    async def logged_in(request: Any, **_: Any) -> Any:
        known = ACTORS[request.headers["x-who"]]
        return sessions.Session("x", known, "active", b"k" * 32, b"s" * 32)

    monkeypatch.setattr(sessions, "current", logged_in)
    services = Services.make(Settings(), database)
    await services.open()
    transport = httpx.ASGITransport(
        app=fhir_app(services, authenticate=pretended), root_path="/fhir"
    )
    pages = httpx.ASGITransport(app=create_app(services))
    async with (
        httpx.AsyncClient(transport=transport) as http,
        httpx.AsyncClient(transport=pages, base_url="http://127.0.0.1:8000") as browser,
    ):
        api = Api(services, http)
        if database not in _worlds:
            everything = list(things())
            for i in range(0, len(everything), 400):
                await api.store(*everything[i : i + 400])
            states(database)
            _worlds[database] = True
        yield World(api, browser)
    await services.close()


@pytest.fixture(params=["both walls", "row-level security alone"])
def wall(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param != "both walls":
        monkeypatch.setattr(gate, "predicate", lambda scope, alias, tokens=True: ("true", []))
        monkeypatch.setattr(door, "predicate", lambda scope, alias, tokens=True: ("true", []))
    return str(request.param)


async def test_every_cell_searched(world: World, wall: str) -> None:
    wrong = []
    for who, p in CELLS:
        expected = seen(who, p)
        reply = await world.api.as_(who.id).get(f"Observation?patient={p.id}")
        got = sorted(reply.ids) if reply.status == 200 else None
        wanted = sorted(f"{p.id}-{row}" for row in expected) if expected is not None else None
        if got != wanted or (wanted is None and reply.status != 403):
            wrong.append((who, p, got, wanted))
    assert wrong == [], f"{len(wrong)} of {len(CELLS)}"


async def test_every_way_gives_the_same_answer(world: World, wall: str) -> None:
    """A cell in five, chosen by its place: the numbers of staff and patients have no common divisor with it."""
    chosen = CELLS[::EVERY]
    assert len({w for w, _ in chosen}) == len(STAFF) and len({p for _, p in chosen}) == len(PEOPLE)
    for who, p in chosen:
        await _every_way(world, who, p)


async def _every_way(world: World, who: Who, p: Person) -> None:
    api, cell = world.api.as_(who.id), (who, p)
    expected = seen(who, p)
    shown = {f"{p.id}-{row}" for row in expected or ()}
    everything = {f"{p.id}-{row}" for row in ROWS}
    q = f"Observation?patient={p.id}"
    for id in everything:
        status = 200 if id in shown else 404
        for path in (
            f"Observation/{id}",
            f"Observation/{id}/_history/1",
            f"Observation/{id}/_history",
            f"Condition/{id}",
        ):
            assert (await api.get(path)).status == status, (cell, path)
    batch = await api.post(
        "",
        bundle(
            "batch",
            *(entry("GET", f"Observation/{id}") for id in sorted(everything)),
            entry("GET", q),
        ),
    )
    answers = batch.json["entry"]
    assert [e["response"]["status"][:3] == "200" for e in answers[:-1]] == [
        id in shown for id in sorted(everything)
    ], cell
    found = {e["resource"]["id"] for e in answers[-1].get("resource", {}).get("entry", [])}
    assert found == shown, cell
    # without a patient, by type: nothing of somebody's record
    for path in (
        "Observation?code=mx-a",
        f"Observation?_id={','.join(sorted(everything))}",
        "Condition?code=there",
    ):
        reply = await api.get(path)
        assert reply.status == 403 or not {*reply.ids} & (everything - shown), (cell, path)
    if expected is None:
        for path in (
            q,
            f"{q}&_summary=count",
            f"Patient/{p.id}/$everything",
            f"Patient/{p.id}/Observation",
            f"Condition?subject=Patient/{p.id}",
        ):
            reply = await api.get(path)
            assert reply.status == 403 and not any(id in str(reply.content) for id in everything), (
                cell,
                path,
            )
        page = await world.page(who.id, f"/patients/{p.id}/problems")
        assert page.status_code in (403, 404) and not any(
            f"Diagnos {p.id}" in page.text for _ in "x"
        ), cell
        return
    assert (await api.get(f"{q}&_summary=count")).json["total"] == len(shown), cell
    assert (await api.get(f"{q}&_total=accurate&_count=1")).json["total"] == len(shown), cell
    ordered = (await api.get(f"{q}&_sort=-code")).ids
    assert {*ordered} == shown and ordered == sorted(ordered, key=lambda i: -_place(i)), cell
    included = await api.get(f"{q}&code=mx-here&_include=Observation:has-member")
    assert {x.partition("/")[2] for x in included.included} == shown - {f"{p.id}-here"}, cell
    for path in (
        f"Encounter?patient={p.id}&_revinclude=Observation:encounter",
        f"Patient?_id={p.id}&_revinclude=Observation:patient",
    ):
        back = await api.get(path)
        assert not {x.partition("/")[2] for x in back.included if "Observation" in x} - shown, (
            cell,
            path,
        )
    for row in ROWS:
        id = f"{p.id}-{row}"
        others = sorted(shown - {id}) if id in shown else []
        assert sorted((await api.get(f"{q}&has-member.code=mx-{row}")).ids) == others, (cell, row)
        assert (
            sorted((await api.get(f"{q}&_has:Observation:has-member:code=mx-{row}")).ids) == others
        ), (cell, row)
        assert (await api.get(f"{q}&code=mx-{row}")).ids == [id] * (id in shown), (cell, row)
    whole = (await api.get(f"Patient/{p.id}/$everything?_count=500")).json["entry"]
    ids = {e["resource"]["id"] for e in whole if e["resource"]["resourceType"] == "Observation"}
    assert ids == shown, cell
    assert {*(await api.get(f"Patient/{p.id}/Observation")).ids} == shown, cell
    for path in (f"/patients/{p.id}/problems", f"/patients/{p.id}?print=1", f"/patients/{p.id}"):
        page = await world.page(who.id, path)
        assert page.status_code == 200, (cell, path)
        said = {f"{p.id}-{row}" for row in ROWS if f"Diagnos {p.id} {row}." in page.text}
        assert said == shown, (cell, path)


def _place(id: str) -> int:
    return sorted(ROWS).index(id.rpartition("-")[2])


async def test_what_is_hidden_costs_no_more_questions_than_what_is_absent(world: World) -> None:
    """Timing class: the number of queries and of trace entries is that of an id nobody has."""
    who = Who("lakare", 3, "none", "none")
    p = Person(True, False, True, True, False, False, False)
    api = world.api.as_(who.id)
    database = world.api.services.database
    for hidden, absent in (
        (f"Observation?patient={p.id}&_id={p.id}-there", f"Observation?patient={p.id}&_id=m-none"),
        (f"Observation?patient={p.id}&code=mx-a", f"Observation?patient={p.id}&code=mx-none"),
        (
            f"Observation?patient={p.id}&has-member.code=mx-a",
            f"Observation?patient={p.id}&has-member.code=mx-n",
        ),
    ):
        asked = []
        for path in (hidden, absent):
            await api.get(path)
            before = database.queries
            reply = await api.get(path)
            asked.append((reply.ids, database.queries - before, len(reply.json)))
        assert asked[0] == asked[1], hidden


async def test_residents_by_every_way(world: World) -> None:
    """A patient of each age, rows kept from the patient and from guardians, asked by both and by a stranger."""
    ages = {"under 13": 6, "13-15": 14, "16-17": 16, "adult": 40}
    today = clock.today()
    numbers = "http://electronichealth.se/identifier/personnummer"
    for age, years in ages.items():
        id, subject = f"mr-{years}", {"reference": f"Patient/mr-{years}"}
        kept = {"": None, "-np": "not-to-patient", "-ng": "not-to-guardian"}
        stored = []
        for suffix, label in kept.items():
            made = owned(observation(f"{id}{suffix}", f"Patient/{id}", "mr"), OWN, HERE)
            if label:
                made["meta"]["security"] = [{"system": DISCLOSURE, "code": label}]
            stored.append(made)
        guardian = {
            "resourceType": "RelatedPerson", "id": f"{id}-rp", "patient": subject,
            "identifier": [{"system": numbers, "value": "189001019802"}],
            "relationship": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-RoleCode", "code": "GUARD"}]}],
        }  # fmt: skip
        await world.api.store(
            patient(id, "Matris", birthDate=f"{today.year - years}-{today.month:02d}-01"),
            patient("mr-parent", "Matris", identifier=[{"system": numbers, "value": "189001019802"}]),
            patient("mr-stranger", "Matris"), guardian, *stored,
        )  # fmt: skip
        for who, asker in (("self", id), ("guardian", "mr-parent"), ("stranger", "mr-stranger")):
            for loa in (2, 3):
                ACTORS["mr"] = Actor("resident", f"Patient/{asker}", "X", loa)
                api, cell = world.api.as_("mr"), (who, loa, age)
                rows = {"any": id, "not to patient": f"{id}-np", "not to guardian": f"{id}-ng"}
                said = {
                    i: outcome(who, "strong" if loa > 2 else "weak", age, "none", row).said
                    for row, i in rows.items()
                }
                shown = {i for i, s in said.items() if s == "shown"}
                for i in rows.values():
                    for path in (f"Observation/{i}", f"Observation/{i}/_history/1"):
                        assert ((await api.get(path)).status == 200) == (i in shown), (cell, path)
                for path in (f"Observation?patient={id}", f"Patient/{id}/$everything"):
                    reply = await api.get(path)
                    found = (
                        {e["resource"]["id"] for e in reply.json.get("entry", [])}
                        if reply.status == 200
                        else set()
                    )
                    assert found & {*rows.values()} == shown, (cell, path)
                    assert (reply.status == 403) == ("refused" in said.values()), (cell, path)
    del ACTORS["mr"]
