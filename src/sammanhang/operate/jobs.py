"""The process that runs the jobs (`work.jobs`): `python -m sammanhang.operate.jobs`, or `sammanhang jobs`."""

from __future__ import annotations

import asyncio
import logging.config
import os
import signal

from sammanhang.access.services import Services
from sammanhang.kernel.settings import Settings
from sammanhang.operate.logs import logging_of
from sammanhang.operate.postmaster import die_with_parent
from sammanhang.work.jobs import run_jobs


async def serve(settings: Settings, dsn: str) -> None:
    """Runs the jobs until SIGTERM or SIGINT. Raises `Unavailable` when the database does not answer."""
    services = Services.make(settings, dsn)
    await services.open()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        await run_jobs(services, stop)
    finally:
        await services.close()


def main() -> int:
    """As the server starts it: the database is named in the environment, and it ends with the server."""
    parent = os.getppid()
    die_with_parent()
    if os.getppid() != parent:
        return 1
    settings = Settings.load()
    logging.config.dictConfig(logging_of(settings))
    asyncio.run(serve(settings, settings.database_url))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
