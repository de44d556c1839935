"""A connection outlives what was undone on it."""

from __future__ import annotations

import psycopg
import pytest

from sammanhang.store.database import Database


@pytest.mark.parametrize("how", ["an error", "a rollback"])
async def test_a_connection_works_on_after_a_transaction_was_undone(
    database: str, how: str
) -> None:
    db = Database(database, writers=1)
    await db.open()
    try:
        async with db.writing() as connection:
            assert await connection.fetch("SELECT 1 + %s::int", (1,)) == [(2,)]
            await connection.quick.execute("SELECT 1")
            if how == "an error":
                with pytest.raises(psycopg.errors.DivisionByZero):
                    async with connection.transaction():
                        await connection.quick.execute("SELECT 1")
                        await connection.quick.execute("SELECT 1")
                        await connection.quick.execute("SELECT 1 / 0")
            else:
                async with connection.transaction():
                    for _ in range(4):
                        await connection.quick.execute("SELECT 1")
                    raise psycopg.Rollback
        async with db.writing() as connection:
            assert await connection.fetch("SELECT 1 + %s::int", (1,)) == [(2,)]
            assert await connection.fetch("SELECT 1 + %s::int", (2,)) == [(3,)]
    finally:
        await db.close()
