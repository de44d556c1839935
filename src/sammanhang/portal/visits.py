"""When the reader was last here, so that what has happened since can be marked."""

from __future__ import annotations

from datetime import datetime, timedelta

from sammanhang.access.trail import did
from sammanhang.kernel import clock
from sammanhang.web.routing import Visit

MARGIN = timedelta(seconds=2)
"""A session tells in whole seconds when it ends: what is so near its beginning belongs to it."""


async def last_visit(visit: Visit, days: int) -> datetime | None:
    """When the reader last had this record open before this log-in, at most so many days ago; None for never. One query."""
    lasts = timedelta(hours=visit.services.settings.session_hours)
    began = clock.now() - lasts + timedelta(seconds=visit.session.ends_in) - MARGIN
    entries = await did(visit.services.database, visit.actor.id, "open", days)
    patient = visit.opened.patient_id
    opened = (datetime.fromisoformat(e.at) for e in entries if e.patient == patient)
    return next((at for at in opened if at < began), None)
