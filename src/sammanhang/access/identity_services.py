"""What log-in, sessions and the token endpoint need of the application, and how they leave their trace."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Protocol

from starlette.requests import Request

from sammanhang.kernel.settings import Settings
from sammanhang.store.database import Database

from .actor import Actor
from .audit import AuditLog, Entry, stamp


class Services(Protocol):
    """`request.app.state.services`: made once per process by the web shell.

    An attribute `provider` (an `identity_provider.Provider`), when there is one, names the OpenID
    Connect provider people log in through; without it that is the built-in one, in the demo.
    """

    @property
    def settings(self) -> Settings: ...
    @property
    def database(self) -> Database: ...
    @property
    def audit(self) -> AuditLog: ...


def services_of(request: Request) -> Services:
    """The services of the application that answers this request."""
    services: Services = request.app.state.services
    return services


async def trace(
    request: Request, action: str, actor: Actor | str, /, *, outcome: str = "ok", **more: Any
) -> None:
    """Leaves an audit entry and returns when it is durable; raises `Unavailable` when it cannot be.

    `actor` is somebody known, or what an unknown one called themselves (already harmless text).
    """
    who = actor.id if isinstance(actor, Actor) else actor
    assignment = actor.assignment if isinstance(actor, Actor) else None
    details = {"address": address(request), **more.pop("details", {})}
    if isinstance(actor, Actor) and actor.app is not None:
        details["app"] = actor.app.id
    await services_of(request).audit.record(
        Entry(
            at=stamp(datetime.now(UTC)),
            actor=who,
            action=action,
            assignment=assignment.id if assignment else None,
            unit=assignment.unit if assignment else None,
            provider=assignment.provider if assignment else None,
            what=request.url.path,
            outcome=outcome,
            details=details,
            **more,
        )
    )


def address(request: Request) -> str:
    """The network address the request came from, as the server knows it."""
    return request.client.host if request.client is not None else "unknown"


def base_url(settings: Settings) -> str:
    """Where people and programs reach this server, without a trailing slash."""
    return (settings.base_url or f"http://{settings.host}:{settings.port}").rstrip("/")


def secure(settings: Settings) -> bool:
    """Whether people reach this server by https, so that cookies must not travel without it."""
    return base_url(settings).startswith("https://")


def cookie_named(settings: Settings, name: str) -> str:
    """The name a cookie goes by: with https no other host can plant it (RFC 6265bis 4.1.3.2)."""
    return f"__Host-{name}" if secure(settings) else name
