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
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import BaseRoute, Mount, Router

from sammanhang.access import oauth_cors
from sammanhang.access.identity_provider import provider_of
from sammanhang.access.identity_services import secure
from sammanhang.access.keys import keep_rotating
from sammanhang.access.review.finding import keep_finding
from sammanhang.access.services import Services
from sammanhang.kernel.settings import Settings
from sammanhang.rest.app import fhir_app

from . import errors, routing
from .assets import static_files
from .directory import Directory
from .security import adding, ambiguous, bounded, most_bytes, page_headers, refuse_ambiguous

log = logging.getLogger(__name__)
# Routes that other packages own; each module has a list `routes`.
OTHERS = (
    "sammanhang.access.oidc",
    "sammanhang.access.identity",
    "sammanhang.access.lock_pages",
    "sammanhang.access.backchannel",
    "sammanhang.access.context_pages",
    "sammanhang.access.oauth",
)
# What registers itself when it is imported: orders written over the API (`work.orders`), places of work (`work.places`).
REGISTERED = (
    "sammanhang.care.messages.places", "sammanhang.care.requests.api", "sammanhang.care.requests.places",
)  # fmt: skip


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
        if scope["type"] != "http" or self.fhir is None:
            await super().__call__(scope, receive, send)
            return
        path: str = scope["path"]
        if path == "/fhir" or path.startswith("/fhir/"):
            scope["root_path"] = "/fhir"
            await self.fhir(scope, receive, send)
            return
        # Around everything, so that errors nobody foresaw carry the headers too.
        services = self.state.services
        send = adding(page_headers(secure(services.settings), *_provider(services)), send)
        if ambiguous(scope):
            await refuse_ambiguous(scope, receive, send)
            return
        await super().__call__(
            scope, bounded(scope, receive, most_bytes(scope, services.settings)), send
        )


def _provider(services: Any) -> list[str]:
    """Where logging out goes on: forms may lead there, also through a redirect (CSP form-action)."""
    provider = provider_of(services)
    if provider is None or provider.builtin:
        return []
    parts = urlsplit(provider.issuer)
    return [f"{parts.scheme}://{parts.netloc}"]


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
        tasks = [asyncio.create_task(app.state.directory.keep_fresh())]
        tasks.append(
            asyncio.create_task(keep_rotating(held.database, held.settings.signing_key_days))
        )
        if held.settings.review_seconds:
            tasks.append(
                asyncio.create_task(keep_finding(held.database.dsn, held.settings.review_seconds))
            )
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            if owned:
                await held.close()

    app = Application(
        routes=_routes(),
        lifespan=lifespan,
        exception_handlers=errors.HANDLERS,
    )
    app.router.redirect_slashes = False
    app.state.services = services
    app.state.directory = Directory(services.database)
    app.fhir = fhir_app(services)
    return app


def _routes() -> list[BaseRoute]:
    for name in REGISTERED:
        import_module(name)
    routes: list[BaseRoute] = [Mount("/static", app=static_files)]
    for name in OTHERS:
        if _there(name):
            routes += import_module(name).routes
    smaller = Middleware(GZipMiddleware, minimum_size=800, compresslevel=4)
    # The framework would lead from `/x/` to `/x` by the Host header; `errors.http` does it by the path.
    pages = Mount("/", app=Router(routing.routes(), redirect_slashes=False), middleware=[smaller])
    return [*routes, pages]


def _there(name: str) -> bool:
    return find_spec(name) is not None
