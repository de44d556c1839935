"""One connection to the database, with a short way for the statements of every request.

psycopg's cursor writes and reads every kind of value and statement; that generality costs several times
what the common statements need, which always have the same shape and come thousands of times a second.
`Connection.fetch` sends such a statement prepared, its values as text, and reads the rows in binary
form, through the same libpq connection and with the same type loaders. Measured by `benchmarks`
read_by_id: it made reads a fifth cheaper.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import psycopg
from psycopg import generators
from psycopg.abc import PQGen
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, Format
from psycopg.waiting import Ready, Wait

MOST_PREPARED = 300  # statements kept prepared on one connection
_names = itertools.count()
_FAILED = frozenset({ExecStatus.FATAL_ERROR, ExecStatus.BAD_RESPONSE})


@lru_cache(maxsize=4096)
def _numbered(sql: str) -> bytes:
    """`%s` as the `$1`, `$2` … of the protocol."""
    first, *rest = sql.replace("%%", "\0").split("%s")
    text = first + "".join(f"${n}{part}" for n, part in enumerate(rest, 1))
    return text.replace("\0", "%").encode()


class Connection(psycopg.AsyncConnection[Any]):
    """A connection that remembers its scope, its audit chain and its prepared statements."""

    scope: Any = None
    chain: Any = None
    cursor_: Any = None
    _prepared_here: dict[str, bytes] | None = None
    _loader: Any = None
    _socket: int = -1
    _waiter: asyncio.Future[None] | None = None
    _listening: asyncio.AbstractEventLoop | None = None

    @property
    def quick(self) -> psycopg.AsyncCursor[Any]:
        """One binary cursor, reused: making a cursor costs as much as a small query."""
        if self.cursor_ is None:
            self.cursor_ = self.cursor(binary=True)
        return self.cursor_

    async def fetch(
        self, sql: str, values: Sequence[Any] = (), *, keep: bool = True
    ) -> list[tuple[Any, ...]]:
        """The rows of one statement; its places are `%s`.

        Values are bytes for bytea, lists for arrays, else what `str` writes as PostgreSQL reads it:
        numbers, text, times, array literals. `keep` prepares the statement, for those that come again. Raises
        psycopg.Error as a cursor would.
        """
        pgconn = self.pgconn
        parameters = [_written(v) for v in values]
        formats = [1 if type(v) is bytes else 0 for v in values]
        if self._prepared_here is None:
            self._prepared_here = {}
        name = self._prepared_here.get(sql)
        if name is not None:
            pgconn.send_query_prepared(name, parameters, formats, Format.BINARY)
        elif keep and len(self._prepared_here) < MOST_PREPARED:
            name = b"q%d" % next(_names)
            pgconn.send_prepare(name, _numbered(sql))
            self._checked(await self._answer())
            self._prepared_here[sql] = name
            pgconn.send_query_prepared(name, parameters, formats, Format.BINARY)
        else:
            pgconn.send_query_params(
                _numbered(sql), parameters, param_formats=formats, result_format=Format.BINARY
            )
        result = self._checked(await self._answer())
        n = result.ntuples
        if not n:
            return []
        if self._loader is None:
            self._loader = Transformer(self)
        self._loader.set_pgresult(result, format=Format.BINARY)
        return self._loader.load_rows(0, n, tuple)

    def _deallocate(self, name: bytes | None) -> PQGen[None]:
        """psycopg lets go of all prepared statements some time after a rollback, with its next own statement: then
        these are gone too."""
        if name is None:
            self._prepared_here = None
        yield from super()._deallocate(name)

    def _checked(self, result: Any) -> Any:
        if result.status in _FAILED:
            raise error_from_result(result, self.pgconn._encoding)
        return result

    async def _answer(self) -> Any:
        """What the server answers to the one statement sent."""
        work = generators.execute(self.pgconn)
        try:
            state = next(work)
            while True:
                state = work.send(await self._until(state))
        except StopIteration as done:
            results: list[Any] = done.value
            return results[-1]
        except asyncio.CancelledError:
            # the statement may still run: nobody else is to get its answer
            self._deafen()
            self.pgconn.finish()
            raise

    async def _until(self, state: Wait) -> Ready:
        """Waits for the socket.

        The loop goes on listening to it afterwards: the next answer will come the same way, and
        beginning and ending to listen cost more than the wait.
        """
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        if state & Wait.W:  # the question is larger than the socket takes at once
            self._deafen()
            loop.add_reader(self.pgconn.socket, _done, waiter)
            loop.add_writer(self.pgconn.socket, _done, waiter)
            try:
                await waiter
            finally:
                loop.remove_reader(self.pgconn.socket)
                loop.remove_writer(self.pgconn.socket)
            return Ready.RW
        self._waiter = waiter
        if self._listening is not loop:
            self._socket = self.pgconn.socket
            loop.add_reader(self._socket, self._heard)
            self._listening = loop
        try:
            await waiter
        finally:
            self._waiter = None
        return Ready.R

    def _heard(self) -> None:
        if self._waiter is None:
            # nobody has asked: a notice, or the server says goodbye
            try:
                self.pgconn.consume_input()
            except psycopg.Error:
                self._deafen()
        elif not self._waiter.done():
            self._waiter.set_result(None)

    def _deafen(self) -> None:
        if self._listening is not None:
            if not self._listening.is_closed():
                self._listening.remove_reader(self._socket)
            self._listening = None

    async def wait(self, *args: Any, **kwargs: Any) -> Any:
        """Everything else waits as psycopg does, which listens for itself."""
        self._deafen()
        return await super().wait(*args, **kwargs)

    async def close(self) -> None:
        """Closes the connection; nothing happens when it is closed."""
        if not self.closed:
            self._deafen()
        await super().close()


def _done(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _written(value: Any) -> bytes | None:
    """A value in PostgreSQL's text format; bytes stay what they are."""
    if value is None or type(value) is bytes:
        return value
    if isinstance(value, list | tuple):
        return array(value).encode()
    return str(value).encode()


def numbers(values: Iterable[int]) -> str:
    """An array literal of whole numbers."""
    return "{" + ",".join(map(str, values)) + "}"


def array(values: Iterable[Any]) -> str:
    """An array literal."""
    return "{" + ",".join(["NULL" if v is None else _element(v) for v in values]) + "}"


def _element(value: Any) -> str:
    text = str(value)
    if isinstance(value, int | float):
        return text
    if "\\" in text or '"' in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
