"""A connection goes on after what was rolled back on it."""

import pytest

from sammanhang.store.connection import Connection


async def test_a_prepared_statement_works_after_a_rollback(empty_database):
    """psycopg then lets go of every prepared statement, but only with its own next one."""
    connection = await Connection.connect(empty_database, autocommit=True, prepare_threshold=0)
    async with connection:
        await connection.execute("SELECT 1")
        with pytest.raises(RuntimeError):
            async with connection.transaction():
                await connection.execute("SELECT 1")
                raise RuntimeError
        assert await connection.fetch("SELECT 2") == [(2,)]
        await connection.execute("SELECT 3")
        assert await connection.fetch("SELECT 2") == [(2,)]
