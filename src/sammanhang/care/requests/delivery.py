"""Whether a request has reached the systems outside that should know of it: the sender is told when it has not."""

from __future__ import annotations

from datetime import datetime

from sammanhang.kernel.i18n import _
from sammanhang.store.database import Database
from sammanhang.web import show
from sammanhang.work import outbox

from .request import Around


async def undelivered_of(database: Database, found: Around, now: datetime) -> str:
    """A sentence on what has not arrived for too long (content rules/delivery), since when; empty. One query.

    Patientsäkerhetslagen 2010:659 3 kap. 2 § (harm is prevented): who sends sees that it has not arrived.
    """
    about = [f"Task/{t.id}" for t in found.tasks] + [f"ServiceRequest/{found.stored.id}"]
    sent = await outbox.for_about(database, about)
    late = [s for standings in sent.values() for s in standings if s.late(now)]
    if not late:
        return ""
    first = min(late, key=lambda s: s.at)
    return _(
        "Har inte nått %(system)s sedan %(time)s: systemet svarar inte. Det skickas så snart det svarar. "
        "Är det bråttom, ring mottagaren."
    ) % {"system": first.receiver, "time": show.when(first.at)}
