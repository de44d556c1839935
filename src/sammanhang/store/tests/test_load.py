"""Bulk load: what goes in, what is refused and why, and that it can be broken off anywhere."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sammanhang.access.audit import verify
from sammanhang.kernel.errors import Invalid
from sammanhang.kernel.owner import PROVIDER
from sammanhang.operate.database import EmbeddedDatabase
from sammanhang.store import write
from sammanhang.store.load import LoadReport, load_path
from sammanhang.store.migrate import migrate
from sammanhang.store.rows import tombstone
from sammanhang.store.trace import entries_in

pytestmark = pytest.mark.slow


def patient(id: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        **({"id": id} if id else {}),
        "name": [{"family": "Ek"}],
        **more,
    }


def pulse(subject: str, value: float = 72, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation", "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
        "subject": {"reference": subject}, "effectiveDateTime": "2024-03-01T10:00:00Z",
        "valueQuantity": {"value": value, "unit": "/min"}, **more,
    }  # fmt: skip


def bundle(
    *entries: tuple[str | None, dict[str, Any]], kind: str = "transaction"
) -> dict[str, Any]:
    request = {"method": "POST", "url": "x"} if kind in ("transaction", "batch") else None
    return {
        "resourceType": "Bundle", "type": kind,
        "entry": [
            {
                **({"fullUrl": url} if url else {}), "resource": resource,
                **({"request": {**request, "url": resource["resourceType"]}} if request else {}),
            }
            for url, resource in entries
        ],
    }  # fmt: skip


def write_lines(path: Path, *resources: Any) -> Path:
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in resources), "utf-8")
    return path


def rows(dsn: str, sql: str, *args: Any) -> list[Any]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(sql, args).fetchall()


def bodies(dsn: str) -> dict[str, Any]:
    found = rows(dsn, "SELECT body FROM store.resource")
    return {f"{r['resourceType']}/{r['id']}": r for r in (json.loads(b) for (b,) in found)}


def delete(dsn: str, kind: str, id: str) -> None:
    """Deletes version 1 as the API does."""
    row = write.arguments(tombstone(kind, id, 1, datetime.now(UTC)), None, None)
    with psycopg.connect(dsn) as connection:
        connection.execute(write.PUT, (*row, *write.NO_BLOCK))


def load(dsn: str, path: Path, processes: int = 1, **more: Any) -> LoadReport:
    refused = path.parent / "refused.jsonl-out"
    return load_path(dsn, path, processes=processes, rejected=refused, **more)


def refused(path: Path) -> list[Any]:
    text = (path.parent / "refused.jsonl-out").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def whole(dsn: str) -> None:
    """Every current resource has its event; no side row, and no event, is without its resource."""
    checks = {
        "resources without event": "SELECT count(*) FROM store.resource r WHERE NOT EXISTS (SELECT FROM"
        " store.event e WHERE e.self = r.self AND e.type = r.type AND e.version = r.version)",
        "events without resource": "SELECT count(*) FROM store.event e WHERE NOT EXISTS (SELECT FROM"
        " store.resource r WHERE e.self = r.self AND e.type = r.type AND e.version = r.version) AND NOT"
        " EXISTS (SELECT FROM store.history h WHERE e.self = h.self AND e.type = h.type"
        " AND e.version = h.version)",
        "events twice": "SELECT count(*) - count(DISTINCT (self, type, version)) FROM store.event",
    } | {
        f"{side} rows without resource": f"SELECT count(*) FROM store.{side} s WHERE NOT EXISTS"
        " (SELECT FROM store.resource r WHERE r.self = s.self AND r.type = s.type)"
        for side in ("string", "date", "quantity")
    }
    found = {name: rows(dsn, sql)[0][0] for name, sql in checks.items()}
    assert not any(found.values()), found
    assert verify(dsn).ok


def test_lines_are_loaded_with_search_values_events_and_trace(
    empty_database: str, tmp_path: Path
) -> None:
    path = write_lines(tmp_path / "a.ndjson", patient("p1"), pulse("Patient/p1", id="o1"))
    report = load(empty_database, path)
    assert (report.loaded, report.rejected, report.skipped) == (2, 0, 0)
    assert bodies(empty_database)["Observation/o1"]["meta"]["versionId"] == "1"
    assert rows(empty_database, "SELECT count(*) FROM store.quantity") == [(1,)]
    assert rows(empty_database, "SELECT count(*) FROM store.string") != [(0,)]
    (block,) = rows(empty_database, "SELECT entries FROM audit.block")
    assert [e.action for e in entries_in(block[0])] == ["load"]
    whole(empty_database)


def test_the_same_again_is_skipped_and_a_change_becomes_a_version(
    empty_database: str, tmp_path: Path
) -> None:
    path = write_lines(tmp_path / "a.ndjson", patient("p1"), patient())
    assert load(empty_database, path).loaded == 2
    again = load(empty_database, path)
    assert (again.loaded, again.skipped, again.changed) == (0, 2, 0)
    write_lines(path, patient("p1", gender="female"), patient())
    report = load(empty_database, path)
    assert (report.loaded, report.changed, report.skipped) == (1, 1, 1)
    assert bodies(empty_database)["Patient/p1"]["meta"]["versionId"] == "2"
    assert rows(empty_database, "SELECT version, method FROM store.history") == [(1, 1)]
    whole(empty_database)


def test_an_id_twice_in_one_file_is_two_versions(empty_database: str, tmp_path: Path) -> None:
    path = write_lines(
        tmp_path / "a.ndjson", patient("p1"), patient("p1"), patient("p1", gender="male")
    )
    report = load(empty_database, path)
    assert (report.loaded, report.skipped, report.changed) == (2, 1, 1)
    assert bodies(empty_database)["Patient/p1"]["gender"] == "male"


def test_a_deleted_resource_comes_back_as_the_next_version(
    empty_database: str, tmp_path: Path
) -> None:
    path = write_lines(tmp_path / "a.ndjson", patient("p1"))
    load(empty_database, path)
    delete(empty_database, "Patient", "p1")
    load(empty_database, path)
    assert bodies(empty_database)["Patient/p1"]["meta"]["versionId"] == "3"
    whole(empty_database)


def test_every_fault_is_listed_and_the_rest_is_loaded(empty_database: str, tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    lines = [
        json.dumps(patient("p1")),
        "{broken",
        json.dumps({"resourceType": "Patient", "id": "x", "gender": "neither", "birthDate": "1999-13-01"}),
        json.dumps({"resourceType": "Nonsense", "id": "y"}),
        json.dumps({"no": "type"}),
        "",
        json.dumps(patient("bad id")),
        json.dumps(patient("p2", name=[{"family": "a\u0000b"}])),
        json.dumps(patient("p3")),
    ]  # fmt: skip
    path.write_text("\n".join(lines), "utf-8")
    report = load(empty_database, path)
    assert report.loaded == 2
    found = refused(path)
    assert report.rejected == len(found) == 6
    assert [r["line"] for r in found] == [2, 3, 4, 5, 7, 8]
    assert all(r["file"] == str(path) and r["issue"] for r in found)
    twice = found[1]
    assert (twice["resourceType"], twice["id"]) == ("Patient", "x")
    assert {i["expression"] for i in twice["issue"]} >= {"Patient.gender", "Patient.birthDate"}
    assert set(bodies(empty_database)) == {"Patient/p1", "Patient/p3"}
    whole(empty_database)


@pytest.mark.parametrize("kind", ["transaction", "batch", "collection", "searchset", "document"])
def test_bundles_are_opened_and_their_references_resolved(
    empty_database: str, tmp_path: Path, kind: str
) -> None:
    one = "urn:uuid:0b8c1a52-7a3c-4a26-9d4e-3c1a3a5f7c11"
    two = "urn:uuid:0b8c1a52-7a3c-4a26-9d4e-3c1a3a5f7c12"
    first: tuple[str, dict[str, Any]] = (one, patient())
    if kind == "document":
        composition = {
            "resourceType": "Composition", "id": "c", "status": "final", "date": "2024-01-01",
            "title": "T", "type": {"text": "t"}, "author": [{"reference": one}],
            "subject": {"reference": one},
        }  # fmt: skip
        first = ("urn:uuid:0b8c1a52-7a3c-4a26-9d4e-3c1a3a5f7c10", composition)
    entries = [first, (one, patient()), (two, pulse(one))][0 if kind == "document" else 1 :]
    path = tmp_path / "b.json"
    path.write_text(json.dumps(bundle(*entries, kind=kind), indent=2), "utf-8")
    report = load(empty_database, path)
    assert (report.loaded, report.rejected) == (len(entries), 0)
    found = bodies(empty_database)
    assert found[f"Observation/{two[9:]}"]["subject"]["reference"] == f"Patient/{one[9:]}"
    assert rows(empty_database, "SELECT count(*) FROM store.observation WHERE patient IS NOT NULL") == [(1,)]  # fmt: skip
    assert load(empty_database, path).skipped == len(entries)


def test_absolute_urls_inside_a_bundle_become_local(empty_database: str, tmp_path: Path) -> None:
    there = "https://other.example/fhir/"
    path = write_lines(
        tmp_path / "b.ndjson",
        bundle(
            (there + "Patient/7", patient("7")),
            (there + "Observation/8", pulse(there + "Patient/7", id="8")),
            kind="searchset",
        ),
    )
    assert load(empty_database, path).loaded == 2
    assert bodies(empty_database)["Observation/8"]["subject"]["reference"] == "Patient/7"


def test_what_a_load_cannot_do_is_refused_by_entry(empty_database: str, tmp_path: Path) -> None:
    entries = bundle(
        (None, patient("ok")),
        (None, pulse("urn:uuid:00000000-0000-4000-8000-000000000000", id="loose")),
        (None, pulse("Patient?identifier=x", id="asks")),
        (None, patient("cond")),
        (None, patient("gone")),
    )
    entries["entry"][3]["request"]["ifNoneExist"] = "identifier=x"
    entries["entry"][4]["request"]["method"] = "DELETE"
    entries["entry"].append({"request": {"method": "POST", "url": "Patient"}})
    path = write_lines(
        tmp_path / "b.ndjson", entries, {"resourceType": "Bundle", "type": "history", "entry": []}
    )
    report = load(empty_database, path)
    assert (report.loaded, report.rejected) == (1, 6)
    assert [(r["line"], r.get("entry")) for r in refused(path)] == [
        (1, 1), (1, 2), (1, 3), (1, 4), (1, 5), (2, None),
    ]  # fmt: skip


def test_a_folder_is_taken_in_order_packed_files_too(empty_database: str, tmp_path: Path) -> None:
    folder = tmp_path / "all"
    (folder / "deeper").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    write_lines(folder / ".hidden" / "x.ndjson", patient("hidden"))
    write_lines(folder / "b.ndjson", patient("p1", gender="male"))
    (folder / "a.json").write_text(json.dumps(patient("p1")), "utf-8")
    (folder / "deeper" / "c.ndjson.gz").write_bytes(
        gzip.compress(b"\n".join(json.dumps(patient(f"z{i}")).encode() for i in range(9)))
    )
    (folder / "d.json.gz").write_bytes(
        gzip.compress(json.dumps(bundle((None, patient()))).encode())
    )
    (folder / "readme.txt").write_text("nothing", "utf-8")
    report = load(empty_database, folder)
    assert (report.loaded, report.rejected, report.changed) == (12, 0, 1)
    assert bodies(empty_database)["Patient/p1"]["gender"] == "male"
    with pytest.raises(Invalid, match="nothing to load"):
        load(empty_database, folder / "readme.txt")


def test_the_owner_is_set_where_tags_say_none(empty_database: str, tmp_path: Path) -> None:
    tag = {"tag": [{"system": PROVIDER, "code": "SE-OTHER"}]}
    path = write_lines(
        tmp_path / "a.ndjson", patient("p1"), pulse("Patient/p1", id="mine"),
        pulse("Patient/p1", id="theirs", meta=tag), {"resourceType": "Organization", "name": "x"},
    )  # fmt: skip
    load(empty_database, path, owner="SE-OURS")
    sql = "SELECT r.id, p.id FROM store.resource r JOIN store.party p ON p.number = r.provider"
    assert sorted(rows(empty_database, sql)) == [("mine", "SE-OURS"), ("theirs", "SE-OTHER")]


def many(path: Path, count: int) -> Path:
    with path.open("w", encoding="utf-8") as file:
        for i in range(count):
            owner = i // 10 * 10
            resource = patient(f"p{i}") if i == owner else pulse(f"Patient/p{owner}", i)
            file.write(json.dumps(resource) + "\n")
            if i % 1000 == 500:
                file.write(json.dumps(patient(f"bad{i}", active="x")) + "\n")
    return path


def test_several_processes_load_all_and_list_the_refused_in_order(
    empty_database: str, tmp_path: Path
) -> None:
    path = many(tmp_path / "a.ndjson", 24_000)
    seen: list[tuple[int, int]] = []
    report = load(empty_database, path, 2, progress=lambda n, total: seen.append((n, total)))
    assert (report.loaded, report.rejected) == (24_000, 24)
    assert seen[-1][0] == 24_024
    assert [r["id"] for r in refused(path)] == [f"bad{i}" for i in range(500, 24_000, 1000)]
    assert [r["line"] for r in refused(path)] == [i + 2 + i // 1000 for i in range(500, 24_000, 1000)]  # fmt: skip
    chains = rows(empty_database, "SELECT count(DISTINCT chain) FROM audit.block")
    assert chains == [(2,)]
    whole(empty_database)


_PROGRAM = """
import sys
from pathlib import Path
from sammanhang.store.load import load_path
if __name__ == "__main__":
    print("begin", flush=True)
    r = load_path(sys.argv[1], Path(sys.argv[2]), processes=2, rejected=Path(sys.argv[3]))
    print(r.loaded, r.rejected, r.skipped, r.resumed, flush=True)
"""


def start(dsn: str, path: Path) -> subprocess.Popen[str]:
    program = path.parent / "program.py"
    program.write_text(_PROGRAM, "utf-8")
    refused = str(path.parent / "refused.jsonl-out")
    return subprocess.Popen(
        [sys.executable, str(program), dsn, str(path), refused], stdout=subprocess.PIPE, text=True
    )


def stored(dsn: str) -> int:
    return int(rows(dsn, "SELECT count(*) FROM store.resource")[0][0])


def until(dsn: str, at_least: int) -> None:
    patience = time.monotonic() + 60
    while stored(dsn) < at_least:
        assert time.monotonic() < patience
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.alone
def test_a_load_killed_anywhere_goes_on_without_doubles_or_losses(
    own_database: EmbeddedDatabase, tmp_path: Path
) -> None:
    """The whole load is killed twice and one of its processes once; ids are made by the load."""
    dsn = own_database.dsn()
    migrate(dsn)
    path = many(tmp_path / "a.ndjson", 30_000)
    before = 0
    for _ in range(2):
        loading = start(dsn, path)
        until(dsn, before + 1)
        loading.send_signal(signal.SIGKILL)
        loading.wait()
        before = stored(dsn)
        assert before < 30_000
        whole(dsn)
    loading = start(dsn, path)
    until(dsn, before + 1)
    child = (Path("/proc") / str(loading.pid) / "task" / str(loading.pid) / "children").read_text()
    workers = [
        int(pid) for pid in child.split()
        if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]  # fmt: skip
    if workers:  # it may have just ended
        os.kill(workers[-1], signal.SIGKILL)
    out, _ = loading.communicate(timeout=60)
    loaded, rejected, skipped, resumed = out.split()[1:]
    assert (rejected, skipped, resumed) == ("30", "0", "True"), out
    assert int(loaded) <= 30_000 - before
    assert stored(dsn) == 30_000
    assert len(refused(path)) == 30
    whole(dsn)
