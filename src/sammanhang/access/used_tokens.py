"""Tokens of others that may be used once: remembered by issuer and `jti`, in every process."""

from __future__ import annotations

from sammanhang.store.database import Database


async def use_once(database: Database, issuer: str, jti: str, until: float) -> bool:
    """Whether this is the token's first use; remembered until `until` (seconds since 1970).

    Of two processes that ask at the same moment one is told so.
    """
    async with database.writing() as connection:
        cursor = await connection.execute(
            "INSERT INTO access.used_token (issuer, jti, until) VALUES (%s, %s, to_timestamp(%s))"
            " ON CONFLICT DO NOTHING",
            (issuer, jti, until),
        )
        return cursor.rowcount == 1
