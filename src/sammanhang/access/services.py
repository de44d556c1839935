"""What every request handler stands on, made once per process."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from sammanhang.kernel.content import use_own
from sammanhang.kernel.settings import Settings
from sammanhang.store.database import Database
from sammanhang.store.read import Together

from .audit import AuditLog
from .door import Doors
from .identity_provider import Provider, configured


@dataclass
class Services:
    """Settings, database, trace and doors of one process; `together` shares reads of the same moment.

    provider  the OpenID Connect provider the settings name; None for the built-in one, in the demo
    """

    settings: Settings
    database: Database
    audit: AuditLog
    doors: Doors
    provider: Provider | None = None
    together: Together = field(init=False)

    def __post_init__(self) -> None:
        self.together = Together(self.database)

    @classmethod
    def make(cls, settings: Settings, dsn: str) -> Services:
        """Not yet connected: call `open` inside the running loop. Raises `BadContent`, `BadSetting`."""
        use_own(Path(settings.content_folder) if settings.content_folder else None)
        database = Database(dsn, readers=settings.pool_size, query_seconds=settings.query_seconds)
        audit = AuditLog(database)
        return cls(settings, database, audit, Doors(database, audit), configured(settings))

    async def open(self) -> None:
        """Connects and starts the trace; raises `Unavailable`."""
        await self.database.open()
        self.audit.start()

    async def close(self) -> None:
        """Commits what waits in the trace, then disconnects."""
        await self.audit.stop()
        await self.database.close()

    @property
    def base_url(self) -> str:
        """Where people reach this server, without a trailing slash."""
        s = self.settings
        return (s.base_url or f"http://{s.host}:{s.port}").rstrip("/")
