"""Export of everything, and the way back: the same bodies, versions, owners, trace and clients."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sammanhang.access.audit import seal, verify
from sammanhang.access.clients import create_client
from sammanhang.kernel.errors import Conflict, Invalid
from sammanhang.kernel.owner import PROVIDER, UNIT
from sammanhang.store.export import export_all
from sammanhang.store.kept import ACCESS
from sammanhang.store.load import load_path

from .test_load import delete, patient, pulse, rows, whole, write_lines

pytestmark = pytest.mark.slow  # the whole suite has it; `make check` stays quick


@pytest.fixture
def filled(empty_database: str, tmp_path: Path) -> str:
    """A small record with owners of both kinds, superseded versions and a deletion."""
    tags = {"tag": [{"system": PROVIDER, "code": "SE-P"}, {"system": UNIT, "code": "SE-U"}]}
    secret = {"security": [{"system": "http://x", "code": "S"}]}
    path = tmp_path / "in.ndjson"
    refused = tmp_path / "refused"
    first = [
        patient("p1"), patient("p2"), pulse("Patient/p1", id="tagged", meta=tags),
        pulse("Patient/p1", id="owned", meta=secret), pulse("Patient/p2", id="gone"),
        {"resourceType": "Binary", "id": "media", "contentType": "image/png", "data": "AAEC/w=="},
    ]  # fmt: skip
    write_lines(path, *first)
    load_path(empty_database, path, processes=1, rejected=refused, owner="SE-OTHER")
    for value in (80, 81):
        write_lines(path, pulse("Patient/p1", value, id="owned", meta=secret))
        load_path(empty_database, path, processes=1, rejected=refused, owner="SE-OTHER")
    delete(empty_database, "Observation", "gone")
    with psycopg.connect(empty_database, autocommit=True) as c:
        seal(c)
        c.execute(
            "INSERT INTO access.declared (actor, assignment, patient, reason, until)"
            " VALUES ('Practitioner/a', 'r', 1, 'acute', now())"
        )
        c.execute(
            "INSERT INTO access.emergency (actor, assignment, unit, provider, patient, patient_id, danger,"
            " unable, said, until, parties) VALUES ('Practitioner/a', 'r', 'u', 'p', 1, 'x', 'life', 'no-time',"
            " 'Fort', now(), '{a,b}')"
        )
        c.execute(
            "INSERT INTO access.lift (patient, party, for_party, rule, granted_by, said, until)"
            " VALUES (1, 'a', 'b', 'R5', 'Practitioner/b', 'Ja', now())"
        )
        c.execute(
            "INSERT INTO access.lift_request (patient, patient_id, party, for_party, unit, actor, said)"
            " VALUES (1, 'x', 'a', 'b', 'u', 'Practitioner/a', 'Behövs')"
        )
        c.execute(
            "WITH made AS (INSERT INTO access.review_case (provider, unit, actor, patient, day, began, lasted)"
            " VALUES ('p', 'u', 'Practitioner/a', 'x', '2026-11-20', now(), now()) RETURNING id),"
            " why AS (INSERT INTO access.review_reason SELECT id, 'emergency', 80, now(), '{\"said\": \"Fort\"}' FROM made),"
            " step AS (INSERT INTO access.review_step (review_case, actor, kind, measures, said)"
            " SELECT id, 'Practitioner/b', 'outcome', '{told,asked}', 'Larm' FROM made)"
            " INSERT INTO access.log_question (review_case, patient, line, said) SELECT id, 'x', 'l', 'Vem?' FROM made"
        )
        c.execute(
            "INSERT INTO access.review_draw VALUES ('p', '2026-11-20', '\\x00ff', now(), now())"
        )
        c.execute("INSERT INTO access.review_run VALUES ('2026-11-20', 2, 3, now())")
        c.execute("INSERT INTO access.log_seen VALUES ('x', NULL, now())")
        c.execute(
            "INSERT INTO access.public_person (provider, patient, reason, until, added_by)"
            " VALUES ('p', 'x', 'Riksdag', '2027-01-01', 'Practitioner/b')"
        )
    create_client(empty_database, "Lab", ["system/*.rs"], provider="SE-P", id="lab")
    return empty_database


_SAME = {
    "current": "SELECT r.type, r.id, r.version, p.id, u.id, r.patient, r.also, r.labels, r.care_until,"
    " r.occurred, r.occurred_to, r.tokens, r.body FROM store.resource r LEFT JOIN store.party p"
    " ON p.number = r.provider LEFT JOIN store.party u ON u.number = r.unit ORDER BY 1, 2",
    "history": "SELECT h.type, h.id, h.version, h.updated, h.method, p.id, u.id, h.patient, h.also,"
    " h.labels, h.body FROM store.history h LEFT JOIN store.party p ON p.number = h.provider"
    " LEFT JOIN store.party u ON u.number = h.unit ORDER BY 1, 2, 3",
    "events": "SELECT type, id, version, method FROM store.event ORDER BY 1, 2, 3",
    "strings": "SELECT * FROM store.string ORDER BY slot, self, value",
    "quantities": "SELECT * FROM store.quantity ORDER BY slot, self, low",
    "dates": "SELECT * FROM store.date ORDER BY slot, self, low",
    "clients": "SELECT * FROM access.client",
    "declared": "SELECT * FROM access.declared",
    **{name: f"SELECT {columns} FROM access.{name}" for name, columns, _ in ACCESS},
    "seals": "SELECT * FROM audit.seal",
    "migrations": "SELECT name FROM public.migration ORDER BY 1",
}


def record(dsn: str) -> dict[str, list[Any]]:
    return {name: rows(dsn, sql) for name, sql in _SAME.items()}


def test_an_export_taken_back_is_the_same_record(
    filled: str, blank_database: str, tmp_path: Path
) -> None:
    from sammanhang.store.migrate import migrate

    folder = tmp_path / "out"
    report = export_all(filled, folder)
    assert report.resources == 5
    owners = [json.loads(line) for line in (folder / "owners.ndjson").read_text().splitlines()]
    assert {o["id"]: o["provider"] for o in owners} == {"owned": "SE-OTHER", "media": "SE-OTHER"}
    trace = rows(filled, "SELECT * FROM audit.block ORDER BY chain, seq")
    migrate(blank_database)
    back = load_path(blank_database, folder, processes=1, rejected=tmp_path / "refused")
    assert (back.loaded, back.rejected, back.trace) == (5 + 4, 0, True)
    assert record(blank_database) == record(filled)
    there = rows(blank_database, "SELECT * FROM audit.block ORDER BY chain, seq")
    assert [e for e in there if e in trace] == trace
    assert {json.loads(e[4])["action"] for e in there if e not in trace} == {"load"}
    whole(blank_database)
    again = load_path(blank_database, folder, processes=1, rejected=tmp_path / "refused")
    assert (again.loaded, again.skipped, again.rejected) == (0, 9, 0)
    assert record(blank_database) == record(filled)


def test_the_manifest_counts_and_seals_every_file(filled: str, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    report = export_all(filled, folder)
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    on_disk = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert on_disk == set(manifest["files"]) | {"manifest.json"}
    for name, about in manifest["files"].items():
        data = (folder / name).read_bytes()
        assert about["sha256"] == hashlib.sha256(data).hexdigest()
        assert about.get("lines", data.count(b"\n")) == data.count(b"\n")
    assert report.files["Observation.ndjson"] == 2
    assert manifest["resources"] == report.resources == 5
    assert {"content/rules/care_relation.json", "settings.json", "audit/block.ndjson"} <= on_disk
    assert "database_url" not in json.loads((folder / "settings.json").read_text("utf-8"))
    assert folder.stat().st_mode & 0o077 == 0


def test_an_export_goes_to_an_empty_folder_only(filled: str, tmp_path: Path) -> None:
    (tmp_path / "something").write_text("x", "utf-8")
    with pytest.raises(Conflict, match="not empty"):
        export_all(filled, tmp_path)


def test_a_changed_export_is_not_taken_back(
    filled: str, blank_database: str, tmp_path: Path
) -> None:
    from sammanhang.store.migrate import migrate

    folder = tmp_path / "out"
    export_all(filled, folder)
    file = folder / "Observation.ndjson"
    file.write_bytes(file.read_bytes().replace(b"72", b"73"))
    migrate(blank_database)
    with pytest.raises(Invalid, match="Observation"):
        load_path(blank_database, folder, processes=1, rejected=tmp_path / "refused")
    assert rows(blank_database, "SELECT count(*) FROM store.event") == [(0,)]
    assert verify(blank_database).chains == 0


def test_a_trace_is_never_mixed_with_another(filled: str, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    export_all(filled, folder)
    (folder / "audit" / "chain.ndjson").write_text(
        (folder / "audit" / "chain.ndjson").read_text().replace('"genesis":"', '"genesis":"00'),
        "utf-8",
    )
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    changed = (folder / "audit" / "chain.ndjson").read_bytes()
    manifest["files"]["audit/chain.ndjson"]["sha256"] = hashlib.sha256(changed).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    report = load_path(filled, folder, processes=1, rejected=tmp_path / "refused")
    assert (report.trace, report.loaded) == (False, 0)
    assert verify(filled).ok
