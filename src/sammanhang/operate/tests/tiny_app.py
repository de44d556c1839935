"""Applications small enough to test the supervisor with."""

from __future__ import annotations

import asyncio
import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route


async def pid(request: Request) -> PlainTextResponse:
    """The process that answers."""
    return PlainTextResponse(str(os.getpid()))


async def slow(request: Request) -> PlainTextResponse:
    """An answer that takes a second."""
    await asyncio.sleep(1)
    return PlainTextResponse("finished")


def create_app() -> Starlette:
    """An application that works."""
    return Starlette(routes=[Route("/pid", pid), Route("/slow", slow)])


def broken_app() -> Starlette:
    """An application that cannot start."""
    raise RuntimeError("this application cannot start")
