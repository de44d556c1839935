"""Open tasks in number: 200 000 over 1 000 units, one of them with 5 000."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from _bench import Bench, column, settle
from _staff import log_in, populate

ALL, UNITS, BIG = 200_000, 1_000, 5_000
KINDS = ("care-request", "question", "read", "message", "otherwise", "care-request-visit")


def worked(bench: Bench, url: str) -> tuple[str, str, Any]:
    """(database with a nurse's unit among many with open work, her cookie, her assignment)."""
    dsn, _ = bench.database("worklist", fresh=False)
    populate(dsn)
    cookie, assignment = log_in(dsn, url)
    if not column(dsn, "SELECT 1 FROM work.task LIMIT 1"):
        from sammanhang.store.bulk import load

        few = 10 if bench.quick else 1
        load(
            dsn, _open(dsn, assignment, ALL // few, UNITS // few, BIG // few), actor="system:bench"
        )
        settle(dsn)
    return dsn, cookie, assignment


def _open(dsn: str, assignment: Any, count: int, units: int, big: int) -> Iterator[Any]:
    """Tasks with deadlines over some weeks, a tenth overdue, a third taken."""
    from uuid_utils import uuid7

    from sammanhang.fhir.r4 import Coding, Meta, Reference
    from sammanhang.kernel import clock
    from sammanhang.kernel.owner import PROVIDER, UNIT
    from sammanhang.work import tasks
    from sammanhang.work.deadlines import Deadline, Step

    chance, now = random.Random(5), clock.now()
    patients = column(
        dsn, "SELECT id FROM store.patient WHERE id !~ '^SE' ORDER BY self LIMIT 20000"
    )
    people = [assignment.id, *(f"colleague-{n}" for n in range(30))]
    for n in range(count):
        here = n < big
        unit = assignment.unit if here else f"SE0000000000-E{n % (units - 1):05d}"
        provider = assignment.provider if here else "SE0000000000-E00000"
        at = now + timedelta(minutes=chance.uniform(-1500, 13_500))
        steps = (Step("reminder", "", at - timedelta(hours=1)), Step("colleague", "vem-som-helst", at),
                 Step("head", "chef", at + timedelta(hours=9)), Step("operations", "", at + timedelta(hours=18)))  # fmt: skip
        task = tasks.new_task(
            chance.choice(KINDS), patient=chance.choice(patients), owner=unit, owner_name="Enhet",
            function=chance.choice(("samordnare", "sjukskoterska", "rehab", "omvardnad")),
            focus=Reference(reference=f"ServiceRequest/bench-{n}"), deadline=Deadline(at, steps),
            priority=chance.choices(("stat", "asap", "urgent", "routine"), (1, 4, 20, 75))[0],
            requester=Reference(display="Karin Ek, läkare, Vårdcentralen Södra torget"), at=now - timedelta(hours=2),
        )  # fmt: skip
        task.id = str(uuid7())
        task.meta = Meta(
            tag=[Coding(system=PROVIDER, code=provider), Coding(system=UNIT, code=unit)]
        )
        tasks.set_level(task, sum(s.at < now for s in steps))
        if chance.random() < 1 / 3:
            tasks.set_taken_by(task, Reference(reference=f"PractitionerRole/{chance.choice(people)}", display="Amira Haddad, sjuksköterska"))  # fmt: skip
        yield task
