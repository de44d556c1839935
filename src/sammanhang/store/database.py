"""Connections: readers behind the wall, writers that own the tables.

A reader's session carries a *scope*, what row-level security lets it see. It is set when it differs
from what the connection last had, so that a stream of requests by one client costs nothing extra. The
only way to a reader is `Database.reading(scope)`: there is no connection without a scope.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from sammanhang.kernel.errors import TooCostly, Unavailable

from .connection import Connection, numbers


@dataclass(frozen=True, slots=True)
class Scope:
    """What a reader may see, as the wall understands it; made by the door (`access.door`).

    everything     no wall at all: the system's own work and clients trusted with the whole record
    register       may look up people in the population register (Patient rows)
    patients       "*" or the `self` numbers of the patients whose records are open
    providers      numbers of the care providers whose rows may be seen
    hidden_units   numbers of units whose rows are blocked (inner block)
    hidden_labels  hashes of security labels that hide a row
    excluded       `self` numbers of patients who have said no to the purpose (R39)
    shared         search tokens of rows sent to this care provider by others (R41)
    """

    everything: bool = False
    register: bool = False
    patients: tuple[int, ...] | str = ()
    providers: tuple[int, ...] = ()
    hidden_units: tuple[int, ...] = ()
    hidden_labels: tuple[int, ...] = ()
    excluded: tuple[int, ...] = ()
    shared: tuple[int, ...] = ()

    def settings(self) -> tuple[str, ...]:
        """The values of `_SET`; of a scope with a wall, for `everything` has no setting."""
        patients = self.patients if isinstance(self.patients, str) else numbers(self.patients)
        return (
            "on" if self.register else "",
            patients,
            numbers(self.providers),
            numbers(self.hidden_units),
            numbers(self.hidden_labels),
            numbers(self.excluded),
            numbers(self.shared),
        )


EVERYTHING = Scope(everything=True)
NOTHING = Scope()
_SET = (
    "SELECT set_config('sammanhang.register', %s, false),"
    " set_config('sammanhang.patients', %s, false), set_config('sammanhang.providers', %s, false),"
    " set_config('sammanhang.hidden_units', %s, false), set_config('sammanhang.hidden_labels', %s, false),"
    " set_config('sammanhang.excluded', %s, false), set_config('sammanhang.shared', %s, false)"
)


class Pool(AsyncConnectionPool[Connection]):
    """A pool that keeps what was given back at hand.

    psycopg_pool looks a connection over each time it is lent and given back, which costs a third of a
    small query. One that comes back whole and idle is lent again as it is, the latest first: its
    scope and its statements are the likeliest to be wanted again.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._at_hand: list[Connection] = []
        self._asking = 0

    async def take(self) -> Connection:
        """A connection; raises PoolTimeout when there is none for too long."""
        while self._at_hand:
            connection = self._at_hand.pop()
            if connection.pgconn.transaction_status == TransactionStatus.IDLE:
                return connection
            await self.putconn(connection)  # it broke while it lay there
        self._asking += 1
        try:
            return await self.getconn()
        finally:
            self._asking -= 1

    async def give(self, connection: Connection) -> None:
        """Takes a connection back."""
        whole = connection.pgconn.transaction_status == TransactionStatus.IDLE
        if whole and not self._asking and not self.closed:
            self._at_hand.append(connection)
        else:
            await self.putconn(connection)

    async def close(self, timeout: float = 5.0) -> None:
        """Gives everything back, then closes."""
        while self._at_hand:
            await self.putconn(self._at_hand.pop())
        await super().close(timeout)


class Database:
    """The pools of one process. `open()` before use, `close()` at the end."""

    def __init__(
        self, dsn: str, *, readers: int = 8, writers: int = 6, query_seconds: float = 10.0
    ) -> None:
        self.dsn = dsn
        self.query_seconds = query_seconds
        self._readers = self._pool("sammanhang_reader", readers, query_seconds)
        self._whole = self._pool("sammanhang_whole", readers, query_seconds)
        self._writers = self._pool("sammanhang_writer", writers, 60.0)
        self._pools = (self._readers, self._whole, self._writers)
        self.queries = 0
        self._parties: dict[str, int] = {}
        self._party_names: dict[int, str] = {}

    def _pool(self, role: str, size: int, seconds: float) -> Pool:
        options = (
            f"-c role={role} -c statement_timeout={int(seconds * 1000)} -c jit=off"
            " -c random_page_cost=1.1 -c plan_cache_mode=auto"
        )
        return Pool(
            self.dsn,
            connection_class=Connection,
            kwargs={"autocommit": True, "options": options, "prepare_threshold": 2},
            min_size=1,
            max_size=size,
            open=False,
            timeout=15,
        )

    async def open(self) -> None:
        """Connects; raises `Unavailable` when the database does not answer within 15 seconds."""
        try:
            for pool in self._pools:
                await pool.open(wait=True, timeout=15)
        except PoolTimeout as e:
            raise Unavailable(f"The database does not answer: {e}") from e

    async def close(self) -> None:
        await asyncio.gather(*(pool.close() for pool in self._pools))

    def reading(self, scope: Scope) -> Lent:
        """A reader behind the wall. Raises `TooCostly` when a query outlasts its limit.

        Who may see everything gets a connection of another role: a wall with a gate in it costs every
        read as much as the read itself.
        """
        if scope.everything:
            return Lent(self, self._whole, None)
        return Lent(self, self._readers, scope)

    def writing(self) -> Lent:
        """A writer. Only `store.write`, `store.bulk`, the audit and the door use it."""
        return Lent(self, self._writers, None)

    def error(self, e: BaseException) -> BaseException:
        """What a person should be told of a database error; the same error when it is not one."""
        if isinstance(e, psycopg.errors.QueryCanceled):
            return TooCostly(
                f"The question took longer than {self.query_seconds:g} seconds; narrow it.",
                f"Frågan tog längre tid än {self.query_seconds:g} sekunder; begränsa den.",
            )
        if isinstance(e, PoolTimeout) or (
            isinstance(e, psycopg.OperationalError)
            and (e.sqlstate is None or e.sqlstate.startswith(("08", "57")))
        ):
            return Unavailable("The database does not answer.", "Databasen svarar inte.")
        return e

    async def party(self, id: str | None) -> int | None:
        """The number of a care provider or unit; one is allotted to an HSA-id not seen before."""
        if id is None:
            return None
        number = self._parties.get(id)
        if number is None:
            async with self.writing() as connection:
                number = await party_number(connection, id)
            self._parties[id] = number
            self._party_names[number] = id
        return number

    async def party_name(self, number: int | None) -> str | None:
        """The HSA-id of a party number."""
        if number is None:
            return None
        name = self._party_names.get(number)
        if name is None:
            async with self.reading(NOTHING) as connection:
                cursor = await connection.execute(
                    "SELECT id FROM store.party WHERE number = %s", (number,)
                )
                row = await cursor.fetchone()
            if row is None:
                return None
            name = self._party_names[number] = row[0]
            self._parties[name] = number
        return name


class Lent:
    """A connection on loan: `async with`. A class, because two nested generators cost a third of a read."""

    __slots__ = ("connection", "database", "pool", "scope")

    def __init__(self, database: Database, pool: Pool, scope: Scope | None) -> None:
        self.database = database
        self.pool = pool
        self.scope = scope

    async def __aenter__(self) -> Connection:
        try:
            connection = self.connection = await self.pool.take()
        except PoolTimeout as e:
            raise Unavailable("The database does not answer.", "Databasen svarar inte.") from e
        if self.scope is not None and connection.scope != self.scope:
            try:
                connection.scope = None
                await connection.fetch(_SET, self.scope.settings())
            except BaseException as e:
                await self.pool.give(connection)
                error = self.database.error(e)
                if error is e:
                    raise
                raise error from e
            connection.scope = self.scope
            self.database.queries += 1
        return connection

    async def __aexit__(self, kind: object, e: BaseException | None, trace: object) -> None:
        await self.pool.give(self.connection)
        if e is not None:
            error = self.database.error(e)
            if error is not e:
                raise error from e


async def party_number(connection: psycopg.AsyncConnection[Any], id: str) -> int:
    """The number of an HSA-id, allotted when new; never two for one id."""
    cursor = await connection.execute("SELECT number FROM store.party WHERE id = %s", (id,))
    row = await cursor.fetchone()
    if row is None:
        await connection.execute(
            "INSERT INTO store.party (id) VALUES (%s) ON CONFLICT DO NOTHING", (id,)
        )
        cursor = await connection.execute("SELECT number FROM store.party WHERE id = %s", (id,))
        row = await cursor.fetchone()
    assert row is not None
    return int(row[0])
