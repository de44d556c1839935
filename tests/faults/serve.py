"""The server of the kill tests: token endpoint and FHIR API as `sammanhang run` serves them.

python serve.py, with settings in SAMMANHANG_ variables. Pages are left out: they write nothing that
the API does not, and a start takes half the time.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import Mount

from sammanhang.access.oauth import routes
from sammanhang.access.services import Services
from sammanhang.cli import call_safely
from sammanhang.kernel.settings import Settings
from sammanhang.operate.run import say
from sammanhang.operate.server import Server, reserve_port
from sammanhang.rest.app import fhir_app


def create_app() -> Starlette:
    """The application of one process."""
    settings = Settings.load()
    services = Services.make(settings, settings.database_url)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await services.open()
        yield
        await services.close()

    app = Starlette(routes=[*routes, Mount("/fhir", fhir_app(services))], lifespan=lifespan)
    app.state.services = services
    return app


def serve() -> int:
    """Print `ready` once requests are taken."""
    here = str(Path(__file__).parent)
    os.environ["PYTHONPATH"] = os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])
    settings = Settings.load()
    with reserve_port(settings) as listening:
        Server(settings, listening, None, "serve:create_app").run(lambda: say("ready"), say)
    return 0


if __name__ == "__main__":
    sys.exit(call_safely(serve))
