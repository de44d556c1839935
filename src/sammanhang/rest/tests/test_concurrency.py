"""Many writers at once: nothing lost, nothing twice."""

from __future__ import annotations

import asyncio

import pytest

from sammanhang.access.audit import verify

from .api import Api, api, bundle, entry, observation, patient

MANY = 20


@pytest.mark.asvs("v5.0.0-2.3.4")
async def test_of_parallel_writers_with_if_match_exactly_one_wins_each_version(fhir: Api) -> None:
    await fhir.put("Patient/race", patient("race", "v1"))
    for version in range(1, 4):
        replies = await asyncio.gather(
            *(
                fhir.put("Patient/race", patient("race", f"w{i}"), if_match=f'W/"{version}"')
                for i in range(MANY)
            )
        )
        assert sorted(r.status for r in replies) == [200] + [412] * (MANY - 1)
        winner = next(r for r in replies if r.status == 200)
        assert (await fhir.get("Patient/race")).json == winner.json
        assert winner.headers["etag"] == f'W/"{version + 1}"'


async def test_parallel_writers_without_if_match_all_succeed_and_all_are_kept(fhir: Api) -> None:
    replies = await asyncio.gather(
        *(fhir.put("Patient/crowd", patient("crowd", f"w{i}")) for i in range(MANY))
    )
    assert {r.status for r in replies} <= {200, 201}
    assert [r.status for r in replies].count(201) == 1
    history = (await fhir.get("Patient/crowd/_history?_count=100")).json["entry"]
    assert [e["resource"]["meta"]["versionId"] for e in history] == [
        str(v) for v in range(MANY, 0, -1)
    ]
    names = {e["resource"]["name"][0]["family"] for e in history}
    assert names == {f"w{i}" for i in range(MANY)}


async def test_parallel_patches_are_all_there(fhir: Api) -> None:
    await fhir.put(
        "Patient/patched", patient("patched", identifier=[]) | {"identifier": [{"value": "x"}]}
    )
    replies = await asyncio.gather(
        *(
            fhir.patch(
                "Patient/patched", [{"op": "add", "path": "/identifier/-", "value": {"value": f"p{i}"}}]
            )
            for i in range(MANY)
        )
    )  # fmt: skip
    assert {r.status for r in replies} == {200}
    found = {i["value"] for i in (await fhir.get("Patient/patched")).json["identifier"]}
    assert found == {"x", *(f"p{i}" for i in range(MANY))}


@pytest.mark.asvs("v5.0.0-2.3.4")
async def test_parallel_conditional_creates_make_one(fhir: Api) -> None:
    body = patient(identifier=[{"system": "http://one", "value": "1"}])
    replies = await asyncio.gather(
        *(fhir.post("Patient", body, if_none_exist="identifier=http://one|1") for _ in range(MANY))
    )
    assert sorted(r.status for r in replies) == [200] * (MANY - 1) + [201]
    assert len({r.json["id"] for r in replies}) == 1


async def test_parallel_transactions_with_the_same_condition_make_one(fhir: Api) -> None:
    made = bundle(
        "transaction",
        entry(
            "POST", "Patient", patient(identifier=[{"system": "http://one", "value": "2"}]),
            "urn:uuid:a", ifNoneExist="identifier=http://one|2",
        ),
        entry("POST", "Observation", observation(subject="urn:uuid:a")),
    )  # fmt: skip
    replies = await asyncio.gather(*(fhir.post("", made) for _ in range(10)))
    assert {r.status for r in replies} == {200}
    assert len((await fhir.get("Patient?identifier=http://one|2")).ids) == 1
    subject = (await fhir.get("Patient?identifier=http://one|2")).ids[0]
    assert len((await fhir.get(f"Observation?patient={subject}")).ids) == 10


async def test_transactions_on_the_same_resources_in_other_orders_all_get_through(
    fhir: Api,
) -> None:
    ids = [f"x{i}" for i in range(4)]
    await fhir.store(*(patient(i) for i in ids))

    def one(order: list[str]) -> dict[str, object]:
        return bundle("transaction", *(entry("PUT", f"Patient/{i}", patient(i)) for i in order))

    replies = await asyncio.gather(*(fhir.post("", one(ids[::way])) for way in (1, -1) * 5))
    assert {r.status for r in replies} == {200}
    for id in ids:
        assert (await fhir.get(f"Patient/{id}")).headers["etag"] == 'W/"11"'


async def test_parallel_deletes_and_returns_leave_a_whole_history(fhir: Api) -> None:
    await fhir.put("Patient/flicker", patient("flicker"))
    replies = await asyncio.gather(
        *(
            fhir.delete("Patient/flicker") if i % 2 else fhir.put("Patient/flicker", patient("flicker"))
            for i in range(MANY)
        )
    )  # fmt: skip
    strange = [r for r in replies if r.status not in (200, 201, 204)]
    assert not strange, (strange[0].status, strange[0].content)
    history = (await fhir.get("Patient/flicker/_history?_count=100")).json["entry"]
    versions = [int(e["response"]["etag"][3:-1]) for e in history]
    assert versions == list(range(len(versions), 0, -1))


async def test_the_trace_of_a_crowd_verifies(module_database: str) -> None:
    async with api(module_database, pool_size=4) as fhir:
        await fhir.put("Patient/traced", patient("traced"))
        await asyncio.gather(
            *(fhir.put("Patient/traced", patient("traced"), if_match='W/"1"') for _ in range(MANY)),
            *(fhir.get("Patient/traced") for _ in range(MANY)),
            *(fhir.post("Patient", patient(), if_none_exist="_id=traced") for _ in range(MANY)),
            *(fhir.post("Patient", patient(), if_none_exist="_id=no") for _ in range(3)),
        )
    report = verify(module_database)
    assert report.ok, report.faults
    assert report.entries > 60


async def test_reads_of_the_same_moment_are_each_answered_with_their_own(fhir: Api) -> None:
    """They share a question to the database; who asks for what is not there is told so."""
    ids = [f"moment-{i}" for i in range(12)]
    await fhir.store(*(patient(i, i) for i in ids))
    before = fhir.services.audit.group.commits
    asked = [*ids, "moment-none", *ids[:3]]
    replies = await asyncio.gather(*(fhir.get(f"Patient/{i}") for i in asked))
    for id, reply in zip(asked, replies, strict=True):
        if id == "moment-none":
            assert reply.status == 404
        else:
            assert reply.json["id"] == reply.json["name"][0]["family"] == id
    assert fhir.services.audit.group.commits - before < len(asked)
