"""Writing several resources as one act: all of them with their trace, or nothing.

    changes = Changes.by(record)
    request = changes.create(ServiceRequest(...), sent_to="SE…")
    changes.update(stored, task)
    await changes.commit("request-send")

Everything a slice writes goes through here: the owner's tags are put on, the rules have their say (R31-R33, M24),
what is written passes the same checks as what comes over the API, and one transaction stores it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from uuid_utils import uuid7

from sammanhang.fhir.decode import decode, encode
from sammanhang.fhir.r4 import Coding, Meta, Reference
from sammanhang.kernel.content import content
from sammanhang.kernel.errors import Refused
from sammanhang.kernel.owner import PROVIDER, SHARED, UNIT
from sammanhang.store.rows import Row, row_of
from sammanhang.store.write import Statements, commit

from .actor import Actor
from .audit import WriteTrace
from .door import Doors, Record, Stored
from .rules import Facts, may_write
from .without_patient import Opened

Owner = tuple[str, str]
"""HSA-ids of a care provider and a unit."""


class ReadsOnly(Refused):
    """Your assignment may read this record and not write in it."""

    def __init__(self) -> None:
        super().__init__(
            "You may read this record and not write in it.",
            "Du får läsa i journalen men inte skriva.",
            rule="R2",
        )


@dataclass
class Changes:
    """Resources to be stored together. Make one with `by` (a person in an open record) or `by_system`.

    doors     where the database and the trace are
    actor     who acts; of the system's own work an actor of kind `system`
    patient   id of the patient whose record is changed; empty for what is in none
    owner     in whose name: what is created carries these tags unless told otherwise
    facts     what the rules need to know of the patient; None for the system's own work
    request   ties the trace to the request
    """

    doors: Doors
    actor: Actor
    patient: str
    owner: Owner
    facts: Facts | None = None
    request: str | None = None
    rows: list[Row] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    also: list[tuple[str, Any]] = field(default_factory=list)

    @classmethod
    def by(cls, record: Opened) -> Changes:
        """Changes by the person who has the record, or what is in none, open. Raises `ReadsOnly`."""
        a = record.actor.assignment
        if a is None or not record.decision.write:
            raise ReadsOnly
        return cls(record.doors, record.actor, record.patient_id, (a.provider, a.unit), record.facts, record.request)  # fmt: skip

    @classmethod
    def by_resident(cls, record: Record, owner: Owner) -> Changes:
        """Changes by a resident who has a record open, their own or a child's: to a unit, in whose care it then lies.

        Raises `ReadsOnly` for anybody else.
        """
        if record.actor.kind != "resident":
            raise ReadsOnly
        return cls(record.doors, record.actor, record.patient_id, owner, record.facts, record.request)  # fmt: skip

    @classmethod
    def by_system(cls, doors: Doors, actor: Actor, patient: str, owner: Owner) -> Changes:
        """Changes by the system's own work (deadlines, routing), in the name of a unit."""
        return cls(doors, actor, patient, owner)

    def create(
        self,
        resource: Any,
        *,
        id: str | None = None,
        owner: Owner | None = None,
        sent_to: Iterable[str] = (),
    ) -> Reference:
        """Adds a new resource and returns a reference to it. `owner` when another than who acts answers for it;
        `sent_to` are HSA-ids of care providers that it is sent to (R41). Raises `Refused`."""
        id = id or str(uuid7())
        owned = owner or self.owner
        self._tag(resource, owned, sent_to)
        self._add(resource, id, 0, owned)
        return Reference(reference=f"{type(resource).__name__}/{id}")

    def update(
        self, stored: Stored, resource: Any, *, sent_to: Iterable[str] | None = None
    ) -> None:
        """Adds a new version of a stored resource. Its owner stays; `sent_to` replaces whom it is sent to.

        Raises `Refused`. That somebody else was first shows at `commit`.
        """
        owned = owner_of(resource) or self.owner
        if sent_to is not None:
            self._tag(resource, owned, sent_to)
        self._add(resource, stored.id, stored.version, owned)

    def move(self, stored: Stored, resource: Any, owner: Owner, sent_to: Iterable[str]) -> None:
        """Adds a new version that belongs to another unit: a task that is handed to it, a unit merged into it."""
        self._tag(resource, owner, sent_to)
        self._add(resource, stored.id, stored.version, owner)

    def may(self, resource: Any) -> bool:
        """Whether the rules let it be written (the municipality's package, M24)."""
        return self.facts is None or may_write(self.owner[0], self.facts, resource) is None

    def run(self, sql: str, values: Any) -> None:
        """Adds a statement of another table (an outbox) to the transaction."""
        self.also.append((sql, values))

    async def commit(self, action: str, also: Statements = (), **details: Any) -> None:
        """Stores everything in one transaction. Nothing to store is nothing done.

        Raises `PreconditionFailed` when somebody else changed one of the resources first; nothing is kept then.
        """
        if not self.rows:
            return
        entry = self.doors.entry(
            self.actor, action, patient=self.patient or None, what=self.told[0].split(" ", 1)[1], count=len(self.rows),
            request=self.request, details={"changes": self.told, **details},
        )  # fmt: skip
        await commit(self.doors.database, self.rows, WriteTrace(entry), [*self.also, *also])

    def _tag(self, resource: Any, owner: Owner, sent_to: Iterable[str]) -> None:
        if resource.meta is None:
            resource.meta = Meta()
        kept = [t for t in resource.meta.tag or () if t.system not in (PROVIDER, UNIT, SHARED)]
        sent = [Coding(system=SHARED, code=p) for p in dict.fromkeys(sent_to) if p != owner[0]]
        resource.meta.tag = [*kept, Coding(system=PROVIDER, code=owner[0]), Coding(system=UNIT, code=owner[1]), *sent]  # fmt: skip

    def _add(self, resource: Any, id: str, version: int, owner: Owner) -> None:
        if self.facts is not None:
            refused = may_write(owner[0], self.facts, resource)
            if refused is not None:
                raise Refused(refused.en, refused.sv, rule=refused.rule)
        name = type(resource).__name__
        checked = decode(encode(resource), name)  # what the system writes passes the second pass
        now = datetime.now(UTC)
        days = content("rules/care_relation")["days_after_visit"]
        row = row_of(checked, id, version, now.replace(microsecond=now.microsecond // 1000 * 1000), days_after=days)  # fmt: skip
        self.rows.append(row)
        self.told.append(f"{'update' if version else 'create'} {name}/{id}")


def owner_of(resource: Any) -> Owner | None:
    """HSA-ids of the care provider and unit a resource belongs to; None when its tags do not say."""
    tags = {
        t.system: t.code for t in (resource.meta.tag if resource.meta is not None else None) or ()
    }
    provider, unit = tags.get(PROVIDER), tags.get(UNIT)
    return (provider, unit) if provider and unit else None


def sent_to(resource: Any) -> tuple[str, ...]:
    """HSA-ids of the care providers a resource has been sent to (R41)."""
    tags = (resource.meta.tag if resource.meta is not None else None) or ()
    return tuple(t.code for t in tags if t.system == SHARED and t.code)
