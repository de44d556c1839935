"""What those who work with tasks were told, and whether the record, the projection and the trace agree.

The ledger is kept outside the database: one file for each writer, a line before it asks and one when it knows.
The record is read here by itself, from the bytes, with nothing of `sammanhang.work`.
"""

from __future__ import annotations

import heapq
import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from msgspec.json import decode

from sammanhang.access.audit import verify
from sammanhang.fhir.indexing import self_hash
from sammanhang.kernel.content import content
from sammanhang.store.types import NUMBER

TASK = NUMBER["Task"]
_OWN = "http://sammanhang.se/fhir/StructureDefinition/"
_UNIT = "http://sammanhang.se/fhir/tag/care-unit"
_OPEN = {"requested", "received", "accepted", "ready", "in-progress", "on-hold"}
_PRIORITY = {"stat": 0, "asap": 1, "urgent": 2}
MOST_FAULTS = 200


class Notes:
    """One writer's part of the ledger. `ask` before something is tried; what was acknowledged is on disk before
    the writer goes on."""

    def __init__(self, file: Path) -> None:
        self.file = file.open("a", encoding="utf-8")

    def write(self, said: str, do: str, task: str, mark: str, **more: str) -> None:
        self.file.write(json.dumps({"at": round(time.time(), 2), "said": said, "do": do, "task": task, "mark": mark, **more}) + "\n")  # fmt: skip
        self.file.flush()
        if said != "asked":
            os.fsync(self.file.fileno())


@dataclass
class Ledger:
    """What all writers were told. `acknowledged` also holds what was settled by looking after an unknown end."""

    acknowledged: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    told_no: set[str] = field(default_factory=set)
    asked: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    settled: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    never: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)

    @classmethod
    def read(cls, folder: Path) -> Ledger:
        """All parts; a last line that its writer was killed over is no line."""
        made = cls()
        for file in sorted(folder.glob("*.ndjson")):
            open_: dict[str, str] = {}
            for line in file.read_text("utf-8").splitlines(keepends=True):
                if line.endswith("\n"):
                    made._take(decode(line), open_)
            made.never.update(open_.values())
        return made

    def _take(self, row: dict[str, str], open_: dict[str, str]) -> None:
        said, do, mark = row["said"], row["do"], row["mark"]
        if said == "asked":
            self.asked[do] += 1
            open_[mark] = do
            return
        open_.pop(mark, None)
        if said in ("yes", "there"):
            self.acknowledged[mark] = (do, row["task"], row.get("by", ""))
        else:
            self.told_no.add(mark)
        if said == "yes":
            self.answered[do] += 1
        elif said == "no":
            self.refused[f"{do}: {row['why']}"] += 1
        else:
            self.settled[f"{do} {said}"] += 1

    def __str__(self) -> str:
        lines = [
            f"{'':12}{'asked':>9}{'acknowledged':>14}{'refused':>9}{'settled':>9}{'writer killed':>15}"
        ]
        for do in sorted(self.asked):
            refused = sum(n for k, n in self.refused.items() if k.startswith(do + ":"))
            settled = sum(n for k, n in self.settled.items() if k.startswith(do + " "))
            lines.append(
                f"{do:12}{self.asked[do]:9}{self.answered[do]:14}{refused:9}{settled:9}{self.never[do]:15}"
            )
        lines.append("killed: " + _counts(self.kills))
        lines.append("answers unknown, settled by looking: " + _counts(self.settled))
        lines.append("refused: " + _counts(self.refused))
        return "\n".join(lines)


def _counts(of: Counter[str]) -> str:
    return ", ".join(f"{k} {n}×" for k, n in sorted(of.items())) or "none"


@dataclass
class Found:
    """What the record holds.

    tasks, versions  how many
    steps            steps up that were taken; `acts` as how many acts
    doubled          steps taken twice, or acts without a step
    differences      cells of work.task that the Task does not say
    faults           all that is not as it must be, one sentence each
    """

    tasks: int = 0
    versions: int = 0
    steps: int = 0
    acts: int = 0
    lost: int = 0
    doubled: int = 0
    steps_doubled: int = 0
    differences: int = 0
    open: int = 0
    audited: int = 0
    blocks: int = 0
    faults: list[str] = field(default_factory=list)

    def say(self, fault: str) -> None:
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(fault)

    def __str__(self) -> str:
        return (
            f"found: {self.tasks} tasks in {self.versions} versions, {self.open} open; lost {self.lost}, doubled {self.doubled}\n"
            f"steps up: {self.steps} taken in {self.acts} acts; doubled or skipped {self.steps_doubled}\n"
            f"projection: {self.differences} differences; audit: {self.audited} entries about tasks, {self.blocks} blocks verified\n"
            f"faults: {len(self.faults)}"
        )


def examine(dsn: str, ledger: Ledger, *, made: set[str] | None = None, loaded: set[str] | None = None) -> Found:  # fmt: skip
    """Compares ledger, Tasks, projection, events and trace.

    `made` are ids that were acknowledged to whoever made many at once; those of them in `loaded` came by bulk load,
    whose trace only says how many.
    """
    found = Found()
    marks: Counter[str] = Counter()
    with psycopg.connect(dsn) as db:
        parties: dict[int, str] = dict(db.execute("SELECT number, id FROM store.party").fetchall())
        audited = _audited(db, found)
        seen = _tasks(db, found, marks, parties, audited, loaded or set())
        _events(db, found)
    for mark, (do, task, by) in ledger.acknowledged.items():
        if task not in seen and not (do == "create" and mark in seen):
            found.lost += 1
            found.say(f"Lost: {do} of Task/{task} was acknowledged, the task is not there.")
        elif do in ("note", "complete", "hand-over", "delegate") and marks[mark] != 1:
            found.lost += marks[mark] == 0
            found.say(f"{do} {mark} of Task/{task} was acknowledged and is there {marks[mark]} times.")  # fmt: skip
        elif do == "take" and not marks[f"take {task} {by}"]:
            found.lost += 1
            found.say(f"Lost: {by} took Task/{task} and the task does not know it.")
    for mark, times in marks.items():
        if times > 1 and not mark.startswith("take "):
            found.doubled += 1
            found.say(f"Doubled: {mark} is there {times} times.")
    for mark in ledger.told_no:
        if marks[mark]:
            found.say(f"Done all the same: {mark} was refused, or settled as not there.")
    if made:
        gone = made - seen
        found.lost += len(gone)
        found.faults += [f"Lost: Task/{id} was loaded and is not there." for id in list(gone)[:20]]
    report = verify(dsn)
    found.blocks = report.blocks
    found.faults += report.faults
    return found


def _versions(db: psycopg.Connection[Any]) -> Iterator[tuple[Any, ...]]:
    """Every version of every Task by self and version: (self, version, id, updated, provider, unit, body, current)."""
    columns = "self, version, id, updated, patient, unit, body"
    with db.cursor("past") as past, db.cursor("current") as current:
        past.itersize = current.itersize = 5000
        past.execute(f"SELECT {columns}, false FROM store.history WHERE type = {TASK} ORDER BY self, version")  # fmt: skip
        current.execute(f"SELECT {columns}, true FROM store.other WHERE type = {TASK} ORDER BY self")  # fmt: skip
        yield from heapq.merge(past, current, key=lambda r: r[:2])


def _tasks(
    db: psycopg.Connection[Any], found: Found, marks: Counter[str], parties: dict[int, str],
    audited: Counter[str], loaded: set[str],
) -> set[str]:  # fmt: skip
    """Every Task's history and projection; the ids there are."""
    seen: set[str] = set()
    with db.cursor("projected") as projected:
        projected.itersize = 5000
        projected.execute(
            "SELECT self, id, patient, owner, function, taken_by, kind, state, open, priority, deadline, level, top,"
            " next_at, focus, authored, modified FROM work.task ORDER BY self"
        )
        row = projected.fetchone()
        for self_, group in groupby(_versions(db), key=lambda r: r[0]):
            versions = list(group)
            id = versions[0][2]
            while row is not None and row[0] < self_:
                _nothing(found, row)
                row = projected.fetchone()
            if row is None or row[0] != self_:
                found.differences += 1
                found.say(f"Task/{id} is not in work.task.")
            else:
                _projection(found, row, versions[-1], parties)
                row = projected.fetchone()
            seen.add(id)
            _history(found, marks, versions, parties)
            want = len(versions) - (id in loaded)
            if audited[id] != want:
                found.say(f"Task/{id}: {want} versions, {audited[id]} audit entries.")
        while row is not None:
            _nothing(found, row)
            row = projected.fetchone()
    found.tasks = len(seen)
    return seen


def _nothing(found: Found, row: tuple[Any, ...]) -> None:
    """A row of work.task that no Task stands behind: one that was deleted leaves word of it, and is no work."""
    if row[7] != "deleted" or row[8]:
        found.differences += 1
        found.say(f"work.task has Task/{row[1]}, which is not there.")


def _history(
    found: Found, marks: Counter[str], versions: list[tuple[Any, ...]], parties: dict[int, str]
) -> None:
    """No gap, every step once and in its time, one unit, and nothing noted twice."""
    id = versions[0][2]
    found.versions += len(versions)
    numbers = [v[1] for v in versions]
    if numbers != list(range(1, len(versions) + 1)) or [v[7] for v in versions].count(True) != 1:
        found.doubled += len(set(numbers)) != len(numbers)
        found.say(f"The history of Task/{id} is not whole: {numbers}.")
    level, act = 0, None
    for version in versions:
        task = decode(version[6])
        if task["meta"]["versionId"] != str(version[1]) or task["id"] != id:
            found.say(f"Task/{id} version {version[1]} calls itself {task['meta']['versionId']}.")
        act = _one_version(found, marks, task, level, act)
        level = _level(task)
        units = [t["code"] for t in task["meta"].get("tag", ()) if t.get("system") == _UNIT]
        refers = task.get("owner", {}).get("reference", "")
        of = {*units, parties.get(version[5])} | ({refers[13:]} if refers.startswith("Organization/") else set())  # fmt: skip
        if len(of) != 1:
            found.say(f"Task/{id} is in several units: {of}.")
    found.open += task["status"] in _OPEN
    for note in task.get("note", ()):
        marks[note["text"]] += 1
    if task.get("partOf"):
        marks["part " + task["description"]] += 1


def _one_version(found: Found, marks: Counter[str], task: Any, level: int, before: Any) -> Any:
    """What one version did with the task: its act, when that is a new one."""
    act = _extension(task, "task-act")
    now = _level(task)
    parts = {p["url"]: p for p in (act or {}).get("extension", ())}
    verb = parts["verb"]["valueCode"] if parts else ""
    if now != level:
        steps = _way(task)[level:now]
        names = content("routing/deadlines")["steps"]
        said = ", ".join(names[s]["sv"] for s, _ in steps)
        right = now > level and act != before and verb in ("remind", "escalate") and len(steps) == now - level  # fmt: skip
        if not right or parts["reason"]["valueString"] != said:
            found.steps_doubled += 1
            found.say(f"Task/{task['id']} went from level {level} to {now} as {verb}.")
        elif _time(parts["at"]["valueDateTime"]) < steps[-1][1] - timedelta(seconds=1):
            found.say(f"Task/{task['id']} took a step before its time.")
        if task["status"] not in _OPEN:
            found.say(f"Task/{task['id']} went up and is {task['status']}.")
        found.steps += now - level
        found.acts += 1
    elif act != before and verb in ("remind", "escalate"):
        found.steps_doubled += 1
        found.say(f"Task/{task['id']}: {verb} and no step.")
    taken = (_extension(task, "task-taken-by") or {}).get("valueReference", {}).get("reference", "")
    if taken:  # taking what one has been given is nothing done: what counts is to have had it
        marks[f"take {task['id']} {taken.removeprefix('PractitionerRole/')}"] += 1
    return act


def _projection(found: Found, row: tuple[Any, ...], version: tuple[Any, ...], parties: dict[int, str]) -> None:  # fmt: skip
    """The row of work.task against what the Task says."""
    _, _, id, updated, _, unit, body, _ = version
    t = decode(body)
    way, level = _way(t), max(0, _level(t))
    refers = t.get("owner", {}).get("reference", "")
    taken = (_extension(t, "task-taken-by") or {}).get("valueReference", {}).get("reference", "")
    taken = refers if refers.startswith("PractitionerRole/") else taken
    about = t.get("for", {}).get("reference", "")
    said = (
        self_hash("Task", id), id,
        self_hash("Patient", about[8:]) if about.startswith("Patient/") else None,
        refers[13:] if refers.startswith("Organization/") else parties.get(unit, ""),
        next((c["code"] for p in t.get("performerType", ()) for c in p.get("coding", ()) if c.get("system", "").endswith("/CodeSystem/function")), ""),
        taken[17:] if taken.startswith("PractitionerRole/") else "",
        next((c["code"] for c in t.get("code", {}).get("coding", ()) if c.get("system", "").endswith("/task-kind")), ""),
        t["status"], t["status"] in _OPEN, _PRIORITY.get(t.get("priority", ""), 3),
        _instant(t.get("restriction", {}).get("period", {}).get("end")),
        level, level > 0 and level >= len(way),
        way[level][1] if level < len(way) and t["status"] != "on-hold" else None,
        t.get("focus", {}).get("reference", ""), _instant(t.get("authoredOn")), updated,
    )  # fmt: skip
    different = [n for n, (a, b) in enumerate(zip(row, said, strict=True)) if a != b]
    if different:
        found.differences += len(different)
        found.say(f"work.task of Task/{id}: " + "; ".join(f"column {n} {row[n]!r}, the Task says {said[n]!r}" for n in different))  # fmt: skip


def _extension(task: Any, name: str) -> Any:
    return next((e for e in task.get("extension", ()) if e["url"] == _OWN + name), None)


def _level(task: Any) -> int:
    return int((_extension(task, "task-level") or {}).get("valueInteger", 0))


def _way(task: Any) -> list[tuple[str, datetime]]:
    """The steps up: (which, when)."""
    ways = []
    for e in task.get("extension", ()):
        if e["url"] == _OWN + "task-way-up":
            parts = {p["url"]: p for p in e["extension"]}
            ways.append((parts["step"]["valueCode"], _time(parts["at"]["valueDateTime"])))
    return ways


def _instant(said: str | None) -> datetime | None:
    return _time(said) if said is not None else None


def _time(said: str) -> datetime:
    """A FHIR time; a day is over when it ends in Sweden."""
    if "T" in said:
        return datetime.fromisoformat(said).astimezone(UTC)
    day = date.fromisoformat(said) + timedelta(days=1)
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo("Europe/Stockholm")).astimezone(UTC)  # fmt: skip


def _audited(db: psycopg.Connection[Any], found: Found) -> Counter[str]:
    """How many entries of the trace say that a task was written, by its id."""
    of: Counter[str] = Counter()
    with db.cursor("trace") as cursor:
        cursor.itersize = 1000
        cursor.execute("SELECT entries FROM audit.block")
        for (lines,) in cursor:
            for line in lines.split(b"\n"):
                if b"Task/" not in line:
                    continue
                said = decode(line)
                if said.get("outcome", "ok") != "ok":
                    continue
                changes = (said.get("details") or {}).get("changes")
                if changes:
                    told = [c.partition(" ")[2] for c in changes]
                elif said["action"] in ("create", "update", "task-escalate"):
                    told = [said["what"]]
                else:
                    continue
                of.update(w[5:] for w in told if w.startswith("Task/"))
    found.audited = sum(of.values())
    return of


def _events(db: psycopg.Connection[Any], found: Found) -> None:
    """One event for every version, none for anything else; counted in the database."""
    missing = db.execute(
        f"""WITH v AS (SELECT self, version FROM store.other WHERE type = {TASK}
              UNION ALL SELECT self, version FROM store.history WHERE type = {TASK}),
            e AS (SELECT self, version, count(*) AS n FROM store.event WHERE type = {TASK} GROUP BY 1, 2)
        SELECT count(*) FILTER (WHERE e.self IS NULL), count(*) FILTER (WHERE v.self IS NULL),
               count(*) FILTER (WHERE e.n > 1) FROM v FULL JOIN e USING (self, version)"""
    ).fetchone()
    assert missing is not None
    for n, what in zip(missing, ("versions without an event", "events of nothing", "doubled events"), strict=True):  # fmt: skip
        if n:
            found.say(f"{n} {what}.")
