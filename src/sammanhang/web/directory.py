"""Finding people: by identity number, birth date and name, however they are written."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from sammanhang.access.facts import PROTECTED
from sammanhang.fhir.dates import BEGINNING, END, bounds
from sammanhang.fhir.decode import trusted
from sammanhang.fhir.indexing import fold, identified, slot
from sammanhang.kernel import clock, identifiers
from sammanhang.store.connection import numbers
from sammanhang.store.database import Database, Scope
from sammanhang.store.named import queries
from sammanhang.store.types import NUMBER

from .names import Names
from .people import Person, mark_similar, person_of

SQL = queries(Path(__file__).parent / "queries.sql")
PATIENT = NUMBER["Patient"]
NAME_SLOTS = [slot("Patient.name.family", "string"), slot("Patient.name.given", "string")]
IDENTIFIER_SLOT = slot("Patient.identifier", "token")
READ = 80  # hits read and put in order; more than shown, so that the best are among them
SHOWN = 20
FEW = 10  # fewer hits than this: names that only sound alike are asked for too
# Above this many bearers two lists are not intersected whole: the first hits are enough.
COMMON = 30_000
REFRESH_SECONDS = 300
_DIGITS = re.compile(r"[\d\-+ ]+")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody typed, understood.

    number  a whole identity number
    born    first day and the day after the last, when a date or year of birth was typed
    words   the rest, folded, in the order typed
    """

    number: identifiers.PersonalNumber | None = None
    born: tuple[datetime, datetime] | None = None
    words: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        return self.number is None and self.born is None and not self.words


def understand(text: str) -> Asked:
    """Reads a search: `svea 1937`, `19371104-2386`, `371104 2386`, `Maj-Britt Al-Hassan`."""
    text = text.strip()[:100]
    number = identifiers.try_parse(text) if any(c.isdigit() for c in text) else None
    if number is not None:
        return Asked(number=number)
    whole = _born(text) if _DIGITS.fullmatch(text) else None
    if whole is not None:
        return Asked(born=whole)
    born = None
    words: list[str] = []
    for word in text.replace("\x00", "").split():
        span = _born(word)
        if span is not None:
            born = span
        else:
            words += [w for w in re.split(r"[^\w]+", fold(word)) if w]
    return Asked(None, born, tuple(words[:6]))


def _born(text: str) -> tuple[datetime, datetime] | None:
    """The span of days that digits mean as a birth date: a year, a month, a day; None for others."""
    digits = re.sub(r"[-+ ]", "", text)
    if not digits.isdigit():
        return None
    today = clock.today()
    try:
        if len(digits) == 4 and 1880 <= int(digits) <= today.year:
            return bounds(digits)
        if len(digits) == 8:
            return bounds(f"{digits[:4]}-{digits[4:6]}-{digits[6:]}")
        year, month = int(digits[:4]), int(digits[4:] or 0)
        # 193711 is November 1937: no day is written 1937-11 with the year in two digits.
        if len(digits) == 6 and 1880 <= year <= today.year and month <= 12 < int(digits[2:4]):
            return bounds(f"{digits[:4]}-{digits[4:]}")
        if len(digits) == 6:
            day = date(2000 + int(digits[:2]), int(digits[2:4]), int(digits[4:]))
            if day > today:
                day = day.replace(year=day.year - 100)
            return bounds(day.isoformat())
    except ValueError:
        return None
    return None


@dataclass
class Found:
    """The answer of a search: the best hits first, and whether there are more than were read."""

    people: list[Person] = field(default_factory=list)
    more: bool = False


class Directory:
    """The register of people, as one process searches it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.names: Names | None = None
        self._loading = asyncio.Lock()

    async def keep_fresh(self) -> None:
        """Reads the names again and again, until cancelled."""
        while True:
            try:
                await self.refresh()
            except Exception as e:
                log.warning("the list of names could not be read: %s", e)
            await asyncio.sleep(REFRESH_SECONDS)

    async def refresh(self) -> None:
        """Reads the names of the register."""
        began = time.monotonic()
        rows = await self._rows(Scope(register=True), SQL["names"], (numbers(NAME_SLOTS),))
        self.names = await asyncio.to_thread(Names, rows)
        log.debug("%d names read in %.1f s", len(rows), time.monotonic() - began)

    async def search(self, scope: Scope, asked: Asked) -> Found:
        """People the search may mean, best first; at most two queries."""
        if asked.empty:
            return Found()
        if asked.number is not None:
            return await self._numbered(scope, asked.number)
        low, high = asked.born or (BEGINNING - timedelta(days=1), END)
        if not asked.words:
            rows = await self._rows(scope, SQL["patients_born"], (PATIENT, low, high, READ + 1))
            return self._found(rows, asked)
        names = await self._names()
        # Whole names first, where there are any: a beginning has so many bearers that it would fill
        # the list and leave out the one that was meant.
        lists = [names.exact(w) or names.beginning(w) for w in asked.words]
        rows = await self._bearing(scope, lists, low, high) if all(lists) else []
        if len(rows) < FEW:
            wider = [names.exact(w) | names.beginning(w) | names.alike(w) for w in asked.words]
            if all(wider) and wider != lists:
                rows += await self._bearing(scope, wider, low, high)
            elif not rows:
                rows = await self._beginning(scope, asked.words, low, high)
        return self._found(rows, asked)

    async def people(self, scope: Scope, selves: list[int]) -> dict[int, Person]:
        """These people by the number of their Patient; one query."""
        if not selves:
            return {}
        rows = await self._rows(scope, SQL["patients_known"], (PATIENT, numbers(selves)))
        return {row[0]: _person(row[1], row[2]) for row in rows}

    async def _names(self) -> Names:
        if self.names is None:
            async with self._loading:
                if self.names is None:
                    await self.refresh()
        assert self.names is not None
        return self.names

    async def _numbered(self, scope: Scope, number: identifiers.PersonalNumber) -> Found:
        # The twelve digits are what is stored; another system's row may write them with a hyphen.
        tokens = [
            identified(number.system, v)[1] ^ IDENTIFIER_SLOT
            for v in (number.value, number.display)
        ]
        rows = await self._rows(scope, SQL["patients_numbered"], (PATIENT, numbers(tokens), READ))
        return Found([_person(body, labels) for _, body, labels in rows])

    async def _bearing(
        self, scope: Scope, lists: list[set[str]], low: datetime, high: datetime
    ) -> list[Any]:
        """People who bear a name of every list."""
        names = self.names
        assert names is not None
        lists = sorted(lists, key=names.bearers)
        pairs = [(numbers(NAME_SLOTS), list(names_of)) for names_of in lists]
        span = (PATIENT, low, high)
        if len(lists) == 1 or names.bearers(lists[0]) > COMMON:
            also = " ".join(SQL["also_named"] for _ in lists[1:])
            sql = SQL["patients_each"].format(named=SQL["named"], also=also)
            values = [*pairs[0], *span, *(v for pair in pairs[1:] for v in pair), READ + 1]
        else:
            named = " INTERSECT ".join(SQL["named"] for _ in lists)
            sql = SQL["patients_all"].format(named=named)
            values = [*(v for pair in pairs for v in pair), *span, READ + 1]
        return await self._rows(scope, sql, values)

    async def _beginning(
        self, scope: Scope, words: tuple[str, ...], low: datetime, high: datetime
    ) -> list[Any]:
        """People with a name that begins with the longest word: a name the list lacks yet."""
        longest = max(words, key=len)
        values = (PATIENT, low, high, numbers(NAME_SLOTS), longest, longest + "\U0010ffff", READ)
        return await self._rows(scope, SQL["patients_beginning"], values)

    async def _rows(self, scope: Scope, sql: str, values: Any) -> list[Any]:
        async with self.database.reading(scope) as connection:
            self.database.queries += 1
            # Never prepared: a plan made without seeing the names reads whole tables for some of them.
            cursor = await connection.quick.execute(sql, values, prepare=False)
            return list(await cursor.fetchall())

    def _found(self, rows: list[Any], asked: Asked) -> Found:
        """Hits in order: whole names before beginnings before likenesses, then by name and age.

        A protected identity is found by its whole number only: a hit on a name would give the name
        away.
        """
        people = [_person(body, labels) for _, body, labels in rows[: READ * 2]]
        people = [p for p in {p.id: p for p in people}.values() if not p.protected]
        people.sort(
            key=lambda p: (
                -_whole(p, asked.words),
                bool(p.dead),
                fold(p.family),
                fold(p.given),
                p.born,
            )
        )
        return Found(mark_similar(people[:SHOWN]), len(rows) > READ or len(people) > SHOWN)


def _whole(p: Person, words: tuple[str, ...]) -> float:
    """How well the words fit the name: 1 for each that is a part of it, 0.5 for a beginning."""
    have = re.split(r"[\s\-]+", fold(f"{p.given} {p.family}"))
    return sum(1 if w in have else 0.5 if any(h.startswith(w) for h in have) else 0 for w in words)


def _person(body: bytes, labels: list[int] | None) -> Person:
    return person_of(trusted(body, "Patient"), bool(PROTECTED & set(labels or ())))
