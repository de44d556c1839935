"""What makes an access worth a look (R36): one pure function per pattern.

Each is given the access and what is known of who opened and whose record it was, and answers with a hit
that says why, or None. Thresholds, weights and words are content (content/rules/log_review).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sammanhang.kernel.content import content
from sammanhang.store.trace import Entry


@dataclass(frozen=True, slots=True)
class Someone:
    """What is known of a member of staff or a patient, for comparing; texts are folded.

    names    every part of the surname, and all of it
    name     the whole name; empty when not known
    numbers  identity numbers
    address  street and postal code of the registered address; empty when unknown or protected
    works    (care provider, unit) where the person works, for a patient who is staff
    role     code of the role in the assignment, for a member of staff
    public   on the care provider's list of public people
    """

    names: frozenset[str] = frozenset()
    name: str = ""
    numbers: frozenset[str] = frozenset()
    address: str = ""
    works: frozenset[tuple[str, str]] = frozenset()
    role: str = ""
    public: bool = False


NOBODY = Someone()


@dataclass(frozen=True, slots=True)
class Hit:
    """A pattern that fits: its key, how much it weighs, and what the words about it need."""

    pattern: str
    weight: int
    details: dict[str, Any] = field(default_factory=dict)


Pattern = Callable[[Entry, Someone, Someone], Hit | None]


def rules(pattern: str) -> dict[str, Any]:
    """The content of a pattern."""
    found: dict[str, Any] = content("rules/log_review")["patterns"][pattern]
    return found


def _hit(pattern: str, weight: str = "weight", **details: Any) -> Hit:
    return Hit(pattern, rules(pattern)[weight], details)


def own_record(entry: Entry, actor: Someone, patient: Someone) -> Hit | None:
    """The member of staff is the patient by identity number, or bears exactly the patient's name."""
    if actor.numbers & patient.numbers:
        return _hit("own-record")
    if actor.name and actor.name == patient.name:
        return _hit("own-record", "name_weight", by="by_name")
    return None


def same_surname(entry: Entry, actor: Someone, patient: Someone) -> Hit | None:
    """They share a surname or a part of one. Not said of one's own record."""
    shared = actor.names & patient.names
    if not shared or actor.numbers & patient.numbers:
        return None
    common = set(rules("same-surname")["only_with_another_reason"])
    return _hit("same-surname", common=True) if shared <= common else _hit("same-surname")


def same_address(entry: Entry, actor: Someone, patient: Someone) -> Hit | None:
    """They are registered at one address. Not said of one's own record."""
    if not actor.address or actor.address != patient.address or actor.numbers & patient.numbers:
        return None
    return _hit("same-address")


def colleague(entry: Entry, actor: Someone, patient: Someone) -> Hit | None:
    """The patient is staff at the same unit, or of the same care provider. Not said of one's own record."""
    if actor.numbers & patient.numbers:
        return None
    if any(unit == entry.unit for _, unit in patient.works):
        return _hit("colleague")
    if any(provider == entry.provider for provider, _ in patient.works):
        return _hit("colleague", "provider_weight", by="by_provider")
    return None


def public_person(entry: Entry, actor: Someone, patient: Someone) -> Hit | None:
    """The patient is on the list that the care provider keeps."""
    return _hit("public-person") if patient.public else None


def no_relation(entry: Entry, actor: Someone, patient: Someone) -> Hit | None:
    """The record was opened on a declared reason alone (R3)."""
    if entry.rule not in rules("no-relation")["rules"]:
        return None
    return _hit("no-relation", purpose=entry.purpose or "")


PATTERNS: tuple[Pattern, ...] = (
    own_record, same_surname, same_address, colleague, public_person, no_relation,
)  # fmt: skip


def hits(entry: Entry, actor: Someone, patient: Someone) -> list[Hit]:
    """Every pattern that fits one access; one of the commonest surnames only beside another."""
    found = [hit for p in PATTERNS if (hit := p(entry, actor, patient)) is not None]
    if len(found) == 1 and found[0].details.get("common"):
        return []
    return found


def emergency(entry: Entry) -> Hit:
    """Emergency access, a step of it; both steps of a day are one reason."""
    details = entry.details or {}
    danger, _, unable = (entry.purpose or "").partition(", ")
    kept = {"danger": danger, "unable": unable, "said": details.get("said", "")}
    if details.get("opened"):
        kept["opened"] = list(details["opened"])
    return _hit("emergency", **kept)


@dataclass
class Window:
    """Things somebody did within a span of time, each counted once; the latest of them counts.

    Time may go back a little between calls, for the trace lies in several chains.
    """

    span: timedelta
    _at: dict[str, datetime] = field(default_factory=dict)
    _order: deque[tuple[datetime, str]] = field(default_factory=deque)

    def add(self, what: str, at: datetime) -> int:
        """Takes one in and says how many there are now."""
        before = self._at.get(what)
        if before is None or at > before:
            self._at[what] = at
            self._order.append((at, what))
        return self.count(at)

    def count(self, now: datetime) -> int:
        """How many lie within the span that ends now; forgets those before it."""
        while self._order and self._order[0][0] <= now - self.span:
            at, what = self._order.popleft()
            if self._at.get(what) == at:
                del self._at[what]
        return len(self._at)


def span_of(pattern: str, role: str = "") -> tuple[timedelta, int]:
    """The span and the limit of a pattern that counts, for a role."""
    said = rules(pattern)
    said = {**said, **said.get("roles", {}).get(role, {})}
    limit = said["patients"] if pattern == "many-patients" else said["refusals"]
    return timedelta(minutes=said["minutes"]), limit


class Windows:
    """The windows of everybody who was active lately: many patients, and repeated refusals.

    A window opens again from `recent`, what was kept of the last hours (kind, actor, what, at).
    """

    def __init__(self, recent: Iterable[tuple[str, str, str, datetime]] = ()) -> None:
        self._open: dict[tuple[str, str], Window] = {}
        self._seen: dict[tuple[str, str], datetime] = {}
        self._recent: dict[tuple[str, str], list[tuple[datetime, str]]] = {}
        for kind, actor, what, at in recent:
            self._recent.setdefault((kind, actor), []).append((at, what))

    def opened(self, entry: Entry, at: datetime, role: str) -> Hit | None:
        """An opened record: a hit when this patient is one too many."""
        span, limit = span_of("many-patients", role)
        n = self._add("many-patients", entry.actor, entry.patient or "", at, span)
        if n < limit:
            return None
        return _hit("many-patients", patients=n, minutes=_minutes(span), limit=limit)

    def refused(self, entry: Entry, at: datetime) -> Hit | None:
        """A refusal: a hit when it is one too many."""
        span, limit = span_of("refused-repeatedly")
        n = self._add("refused-repeatedly", entry.actor, f"{entry.patient} {entry.at}", at, span)
        return (
            _hit("refused-repeatedly", refusals=n, minutes=_minutes(span)) if n >= limit else None
        )

    def _add(self, kind: str, actor: str, what: str, at: datetime, span: timedelta) -> int:
        key = (kind, actor)
        window = self._open.get(key)
        if window is None:
            window = self._open[key] = Window(span)
            for earlier, before in sorted(self._recent.pop(key, ())):
                window.add(before, earlier)
        self._seen[key] = max(at, self._seen.get(key, at))
        return window.add(what, at)

    def forget(self, before: datetime) -> None:
        """Lets go of those who have done nothing since."""
        for key in [k for k, at in self._seen.items() if at < before]:
            del self._open[key], self._seen[key]
        for key in [k for k, found in self._recent.items() if max(found)[0] < before]:
            del self._recent[key]


def _minutes(span: timedelta) -> int:
    return int(span.total_seconds() // 60)
