"""The application: pages, static files, log-in and the FHIR API, put together."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import BaseRoute, Mount

from sammanhang.access import oauth_cors
from sammanhang.access.services import Services
from sammanhang.kernel.settings import Settings
from sammanhang.rest.app import fhir_app

from . import errors, routing
from .assets import static_files
from .directory import Directory
from .security import SecurityHeaders

log = logging.getLogger(__name__)
# Routes that other packages own; each module has a list `routes`.
OTHERS = ("sammanhang.access.oidc", "sammanhang.access.identity", "sammanhang.access.oauth")


class Application(Starlette):
    """The pages, with the FHIR API beside them: its requests go straight there, past what pages need."""

    fhir: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and oauth_cors.concerns(scope["path"]):
            origin = oauth_cors.origin_in(scope)
            if origin is not None:
                database = self.state.services.database
                await oauth_cors.across(self._answer, database, origin, scope, receive, send)
                return
        await self._answer(scope, receive, send)

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and self.fhir is not None:
            path: str = scope["path"]
            if path == "/fhir" or path.startswith("/fhir/"):
                scope["root_path"] = "/fhir"
                await self.fhir(scope, receive, send)
                return
        await super().__call__(scope, receive, send)


def create_app(services: Services | None = None) -> Starlette:
    """The application of one process, made from the settings unless `services` are given.

    Services made here are opened and closed with the application; those given must be open.
    """
    owned = services is None
    if services is None:
        settings = Settings.load()
        services = Services.make(settings, settings.database_url)
    held = services

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        if owned:
            await held.open()
            # what is loaded now lives as long as the process: the collector need not look at it again
            gc.collect()
            gc.freeze()
        names = asyncio.create_task(app.state.directory.keep_fresh())
        try:
            yield
        finally:
            names.cancel()
            if owned:
                await held.close()

    app = Application(
        routes=_routes(),
        lifespan=lifespan,
        exception_handlers=errors.HANDLERS,
        middleware=[Middleware(SecurityHeaders)],
    )
    app.state.services = services
    app.state.directory = Directory(services.database)
    app.fhir = fhir_app(services)
    return app


def _routes() -> list[BaseRoute]:
    routes: list[BaseRoute] = [Mount("/static", app=static_files)]
    for name in OTHERS:
        if _there(name):
            routes += import_module(name).routes
    smaller = Middleware(GZipMiddleware, minimum_size=800, compresslevel=4)
    pages = Mount("/", routes=routing.routes(), middleware=[smaller])
    return [*routes, pages]


def _there(name: str) -> bool:
    return find_spec(name) is not None
