"""`sammanhang keys`: the keys that sign tokens, from the command line."""

from __future__ import annotations

import asyncio

from sammanhang.access.keys import keys_of, rotate, withdraw
from sammanhang.kernel.errors import NotFound
from sammanhang.store.database import Database


def rotate_key(dsn: str) -> str:
    """A new key signs from now on; returns its id."""

    async def work() -> str:
        async with _Opened(dsn) as database:
            return await rotate(database)

    return asyncio.run(work())


def withdraw_key(dsn: str, kid: str) -> None:
    """Nothing the key signed is believed any more. Raises `NotFound` for a key that is not there."""

    async def work() -> None:
        async with _Opened(dsn) as database:
            if await keys_of(database).by_kid(database, kid) is None:
                raise NotFound(f"There is no key {kid}.", f"Nyckeln {kid} finns inte.")
            await withdraw(database, kid)

    asyncio.run(work())


class _Opened:
    """A database for one piece of work."""

    def __init__(self, dsn: str) -> None:
        self.database = Database(dsn, readers=1, writers=1)

    async def __aenter__(self) -> Database:
        await self.database.open()
        return self.database

    async def __aexit__(self, *_: object) -> None:
        await self.database.close()
