"""Where work is done: the page a kind of task leads to. What is done elsewhere registers its place here.

places.register("care-request", lambda focus, patient: f"/patients/{patient}/requests/{id_in(focus)}")
"""

from __future__ import annotations

from collections.abc import Callable

from sammanhang.kernel.content import content

Place = Callable[[str, str], str]
"""From the reference a task is about (`ServiceRequest/…`) and the patient's id to an address."""

_known: dict[str, Place] = {}


def register(kind: str, place: Place) -> None:
    """Says where tasks of a kind are done; the last word stands."""
    _known[kind] = place


def place_of(kind: str, focus: str, patient: str) -> str:
    """The address where a task is done: its kind's place, else the patient's chart."""
    known = _known.get(kind)
    return known(focus, patient) if known is not None else f"/patients/{patient}"


def by_hand(kind: str, patient: str) -> bool:
    """Whether work of a kind is ticked off, rather than done where it is about.

    What names no patient always is: there is no page to do it on.
    """
    kinds = content("routing/deadlines")["kinds"]
    return not patient or bool(kinds.get(kind, kinds["otherwise"]).get("by_hand"))


def id_in(reference: str) -> str:
    """The id of `ServiceRequest/…`."""
    return reference.rpartition("/")[2]
