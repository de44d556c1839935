"""Signing keys are changed on schedule, by one process, without a stop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from sammanhang.access import keys
from sammanhang.store.database import Database

from .identity_world import World, world

SIGNING = "SELECT kid FROM access.signing_key WHERE until IS NULL"


@pytest.fixture
async def w(database: str) -> AsyncIterator[World]:
    async with world(database) as made:
        made.execute("DELETE FROM access.signing_key")
        keys.keys_of(made.services.database).forget()
        yield made
        made.execute("DELETE FROM access.signing_key")
        keys.keys_of(made.services.database).forget()


@pytest.mark.asvs("v5.0.0-11.1.1", "v5.0.0-11.2.2")
async def test_an_old_key_gives_way_and_still_verifies(w: World) -> None:
    database = w.services.database
    first = await keys.rotate_when_old(database, 30)
    assert first is not None and await keys.rotate_when_old(database, 30) is None
    token = await keys.sign(database, {"sub": "x"}, "JWT")
    w.execute("UPDATE access.signing_key SET created = now() - interval '31 days'")
    second = await keys.rotate_when_old(database, 30)
    assert second not in (None, first)
    assert w.execute(SIGNING) == [(second,)]
    assert await keys.opened(database, token, "JWT") == {"sub": "x"}
    assert [k.kid for k in await keys.listed(database) if k.algorithm == "ES256"] == [second, first]


@pytest.mark.asvs("v5.0.0-11.1.1", "v5.0.0-2.3.4")
async def test_processes_that_look_at_the_same_moment_make_one_key(w: World) -> None:
    others = [Database(w.dsn, readers=1, writers=2) for _ in range(4)]
    for other in others:
        await other.open()
    try:
        for _ in range(3):
            made = await asyncio.gather(
                *(keys.rotate_when_old(o, 30) for o in [*others, w.services.database] * 2)
            )
            assert len([kid for kid in made if kid]) == 1
            assert len(w.execute(SIGNING)) == 1
            w.execute("UPDATE access.signing_key SET created = now() - interval '31 days'")
    finally:
        for other in others:
            await other.close()


@pytest.mark.asvs("v5.0.0-11.1.1")
async def test_the_task_of_a_process_looks_at_once(w: World) -> None:
    task = asyncio.create_task(keys.keep_rotating(w.services.database, 30))
    try:
        for _ in range(200):
            if w.execute(SIGNING):
                break
            await asyncio.sleep(0.05)
        assert len(w.execute(SIGNING)) == 1
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.mark.asvs("v5.0.0-11.1.1", "v5.0.0-11.2.2")
async def test_a_withdrawn_key_is_believed_no_more_and_another_signs(w: World) -> None:
    database = w.services.database
    kid = await keys.rotate(database)
    token = await keys.sign(database, {"sub": "x"}, "JWT")
    assert await keys.withdraw(database, kid)
    assert not await keys.withdraw(database, kid)
    assert await keys.opened(database, token, "JWT") is None
    ((now,),) = w.execute(SIGNING)
    assert now != kid
