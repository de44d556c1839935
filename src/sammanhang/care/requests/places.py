"""Where the work of care requests is done: on the request's page. Worklists lead there."""

from __future__ import annotations

from sammanhang.work import places


def at_request(focus: str, patient: str) -> str:
    """The request's page; the patient's chart for work that is about something else."""
    kind, _, id = focus.partition("/")
    return (
        f"/patients/{patient}/requests/{id}" if kind == "ServiceRequest" else f"/patients/{patient}"
    )


def at_visit(focus: str, patient: str) -> str:
    """The request that a booked visit belongs to; where the municipality books in its own system it is the focus."""
    kind, _, id = focus.partition("/")
    return (
        f"/patients/{patient}/visits/{id}" if kind == "Appointment" else at_request(focus, patient)
    )


for kind in ("care-request", "distribute", "question", "read", "message"):
    places.register(kind, at_request)
places.register("care-request-visit", at_visit)
