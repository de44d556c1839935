"""The jobs: what has to happen without anybody asking. `sammanhang jobs` runs them; `make run` starts it.

Several may run beside one another: each takes its work from the database, locked, and is done with it when the
transaction is. One that is killed has done nothing by halves.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import psycopg

from sammanhang.access.services import Services
from sammanhang.kernel.errors import SammanhangError

from .escalation import escalate_due
from .moving import move_for_absences, move_for_closed_units
from .sending import keep_delivering
from .subscriptions.matching import keep_matching

log = logging.getLogger("sammanhang.jobs")
Job = Callable[[Services], Awaitable[object]]


async def _deadlines(services: Services) -> object:
    return await escalate_due(services.doors)


async def _absences(services: Services) -> object:
    return await move_for_absences(services.doors)


async def _closed_units(services: Services) -> object:
    return await move_for_closed_units(services.doors)


# What runs, and how many seconds lie between the end of one run and the next.
REPEATED: dict[str, tuple[Job, float]] = {
    "deadlines": (_deadlines, 2.0),
    "absences": (_absences, 10.0),
    "closed units": (_closed_units, 30.0),
}


async def run_jobs(services: Services, stop: asyncio.Event) -> None:
    """Runs every job until `stop` is set. A database that is away is waited for."""
    await asyncio.gather(
        keep_matching(services, stop),
        keep_delivering(services, stop),
        *(keep(name, job, seconds, services, stop) for name, (job, seconds) in REPEATED.items()),
    )


async def keep(
    name: str, job: Job, seconds: float, services: Services, stop: asyncio.Event
) -> None:
    """Runs one job again and again; what goes wrong is logged and tried again."""
    while not stop.is_set():
        try:
            await job(services)
        except (psycopg.Error, SammanhangError) as e:
            log.warning("%s: %s; trying again", name, type(e).__name__)
        except Exception:
            log.exception("%s failed; trying again", name)
        try:
            await asyncio.wait_for(stop.wait(), seconds)
        except TimeoutError:
            pass
