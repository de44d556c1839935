"""Every answer has its entry in the trace, and whoever touches the trace is found out."""

from __future__ import annotations

from collections import Counter
from typing import Any

import psycopg
import pytest

from sammanhang.access.audit import seal, verify

from .api import Api, api, audit_entries, bundle, entry, observation, patient


@pytest.mark.asvs("v5.0.0-16.2.1", "v5.0.0-16.3.2")
async def test_every_interaction_leaves_its_entry(fresh: Api) -> None:
    dsn = fresh.services.database.dsn
    seen = 0

    async def leaves(*actions: str) -> list[dict[str, Any]]:
        nonlocal seen
        entries = audit_entries(dsn)
        new, seen = entries[seen:], len(entries)
        assert Counter(e["action"] for e in new) == Counter(actions), new
        return new

    form = {"content-type": "application/x-www-form-urlencoded"}
    await fresh.put("Patient/t", patient("t"))
    (made,) = await leaves("update")
    assert made["actor"] == "client:all" and made["patient"] == "t" and made["what"] == "Patient/t"
    await fresh.post("Observation", observation(subject="Patient/t"))
    assert (await leaves("create"))[0]["patient"] == "t"
    await fresh.get("Patient/t")
    assert (await leaves("read"))[0]["patient"] == "t"
    await fresh.get("Patient/t", if_none_match='W/"1"')
    await leaves("read")
    await fresh.get("Patient/nobody")
    assert (await leaves("read"))[0]["outcome"] == "absent"
    await fresh.get("Patient/t/_history/1")
    await leaves("vread")
    await fresh.get("Patient/t/_history")
    await fresh.get("Patient/_history")
    await fresh.get("_history")
    await leaves("history", "history", "history")
    await fresh.get("Observation?patient=t&code=x")
    (made,) = await leaves("search")
    assert made["patient"] == "t" and made["count"] == 1 and "code=x" in made["what"]
    await fresh.ask("POST", "Patient/_search", b"family=Hemlig", form)
    assert "Hemlig" in (await leaves("search"))[0]["what"]
    await fresh.get("Patient/t/$everything")
    await leaves("everything")
    await fresh.get("Patient/t/$meta")
    await leaves("read")
    await fresh.patch("Patient/t", [{"op": "add", "path": "/gender", "value": "male"}])
    await leaves("patch")
    await fresh.post("Patient", patient(), if_none_exist="_id=t")
    assert (await leaves("create"))[0]["outcome"] == "exists"
    await fresh.delete("Patient?identifier=none")
    assert (await leaves("delete"))[0]["outcome"] == "absent"
    await fresh.post("Patient/$validate", patient())
    await leaves("validate")
    two = [entry("PUT", f"Patient/{i}", patient(i)) for i in ("t2", "t3")]
    await fresh.post("", bundle("transaction", *two, entry("GET", "Patient?_count=1")))
    assert len(audit_entries(dsn)) - seen >= 3
    seen = len(audit_entries(dsn))
    await fresh.post(
        "", bundle("batch", entry("GET", "Patient/t"), entry("GET", "Patient/no"), *two[:1])
    )
    await leaves("read", "read", "update")
    await fresh.as_("nobody").get("Patient/t")
    assert (await leaves("refuse"))[0]["outcome"] == "unauthenticated"
    await fresh.as_("observations").get("Patient/t")
    assert (await leaves("refuse"))[0]["rule"] == "SCOPE"
    await fresh.as_("observations").post("", bundle("batch", entry("GET", "Patient/t")))
    await leaves("refuse")
    await fresh.delete("Patient/t")
    await fresh.get("Patient/t")
    assert [e.get("outcome") for e in await leaves("delete", "read")][1] == "gone"
    await fresh.put("Patient/t", b"{")
    await fresh.get("Patient?birthdate=nonsense")
    await leaves()
    assert verify(dsn).ok, verify(dsn).faults


@pytest.fixture
async def traced(empty_database: str) -> str:
    """A database whose trace holds some twenty entries and a seal."""
    async with api(empty_database) as fhir:
        for n in range(8):
            await fhir.put(f"Patient/t{n}", patient(f"t{n}"))
            await fhir.get(f"Patient/t{n}")
        await fhir.as_("nobody").get("Patient")
    with psycopg.connect(empty_database) as connection:
        assert seal(connection)
    report = verify(empty_database)
    assert report.ok and report.seals == 1 and report.entries >= 17
    return empty_database


PLACE = "(SELECT chain, seq FROM audit.block ORDER BY chain, seq OFFSET {} LIMIT 1)"
HERE = "(chain, seq) = " + PLACE
TAMPERING = {
    "the words of an entry": f"UPDATE audit.block SET entries = replace(convert_from(entries, 'UTF8'), 'client:all', 'client:bob')::bytea WHERE {HERE}",
    "the hash of an entry": f"UPDATE audit.block SET hash = sha256('x') WHERE {HERE}",
    "the time": f"UPDATE audit.block SET at = at + interval '1 hour' WHERE {HERE}",
    "a key": f"UPDATE audit.block SET keys[1] = 7 WHERE {HERE}",
    "a key taken away": f"UPDATE audit.block SET keys = keys[2:] WHERE {HERE}",
    "an entry taken away": f"DELETE FROM audit.block WHERE {HERE}",
}  # fmt: skip


@pytest.mark.asvs("v5.0.0-16.4.2")
@pytest.mark.parametrize("what", TAMPERING)
@pytest.mark.parametrize("row", [0, 5, 11])
async def test_a_changed_row_is_found_and_named(traced: str, what: str, row: int) -> None:
    with psycopg.connect(traced) as connection:
        chain, seq = connection.execute(
            "SELECT chain, seq FROM audit.block ORDER BY chain, seq OFFSET %s LIMIT 1", (row,)
        ).fetchone() or (0, 0)
        assert connection.execute(TAMPERING[what].format(row)).rowcount == 1
    report = verify(traced)
    assert not report.ok
    assert any(f"Chain {chain}" in f and str(seq) in f for f in report.faults), report.faults


@pytest.mark.asvs("v5.0.0-16.4.2")
async def test_rows_that_change_places_are_found(traced: str) -> None:
    with psycopg.connect(traced) as connection:
        chain, seq = connection.execute(
            "SELECT chain, min(seq) + 1 FROM audit.block GROUP BY chain HAVING count(*) > 4 LIMIT 1"
        ).fetchone() or (0, 0)
        for a, b in ((seq, -1), (seq + 1, seq), (-1, seq + 1)):
            connection.execute(
                "UPDATE audit.block SET seq = %s WHERE chain = %s AND seq = %s", (b, chain, a)
            )
    report = verify(traced)
    assert any(f"Chain {chain}, block {seq}" in f for f in report.faults), report.faults


@pytest.mark.asvs("v5.0.0-16.4.2")
@pytest.mark.parametrize(
    "deed",
    [
        "DELETE FROM audit.block e WHERE seq = (SELECT max(seq) FROM audit.block x WHERE x.chain = e.chain)",
        "DELETE FROM audit.block WHERE chain = (SELECT min(chain) FROM audit.block)",
        "DELETE FROM audit.chain WHERE chain = (SELECT min(chain) FROM audit.block)",
        "UPDATE audit.chain SET genesis = sha256('x')",
        "UPDATE audit.seal SET heads = '{}'",
        "UPDATE audit.seal SET hash = sha256('x')",
    ],
)
async def test_ends_chains_and_seals_cannot_go_unseen(traced: str, deed: str) -> None:
    with psycopg.connect(traced) as connection:
        assert connection.execute(deed).rowcount >= 1
    assert not verify(traced).ok


@pytest.mark.asvs("v5.0.0-16.5.3", "v5.0.0-16.5.2")
async def test_an_answer_whose_trace_cannot_be_kept_does_not_leave(fresh: Api) -> None:
    await fresh.put("Patient/t", patient("t"))
    with psycopg.connect(fresh.services.database.dsn, autocommit=True) as connection:
        connection.execute(
            "ALTER TABLE audit.block ADD CONSTRAINT full_disk CHECK (seq < 0) NOT VALID"
        )
        for reply in (
            await fresh.get("Patient/t"), await fresh.get("Patient?_id=t"), await fresh.get("Patient/t/_history"),
            await fresh.get("Patient/t/$everything"), await fresh.as_("nobody").get("Patient/t"),
            await fresh.put("Patient/t", patient("t")), await fresh.post("Patient", patient()),
        ):  # fmt: skip
            assert reply.status in (500, 503), reply
            assert b"Test" not in reply.content
        connection.execute("ALTER TABLE audit.block DROP CONSTRAINT full_disk")
    assert (await fresh.get("Patient/t")).headers["etag"] == 'W/"1"'
    assert verify(fresh.services.database.dsn).ok
