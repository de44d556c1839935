"""Orders written over the API become work as those written on a page do.

A capability that has a state machine takes the writes of its resources: it registers a `Taker` here, and the API
(`rest.write`) hands them over instead of storing what it was given. So another system cannot leave a request in a
state there is none, or without the work it makes.
"""

from __future__ import annotations

from typing import Any, Protocol

from sammanhang.access.actor import Actor
from sammanhang.access.door import Doors
from sammanhang.kernel.errors import Unprocessable


class Taker(Protocol):
    """Who takes the writes of some resources. What it raises is told to the client."""

    def concerns(self, actor: Actor, resource: Any) -> bool:
        """Whether this resource is one of its own."""
        ...

    async def create(self, doors: Doors, actor: Actor, resource: Any, id: str, request: str) -> str:
        """Does what creating it means; returns its id. `id` is empty when the server makes it."""
        ...

    async def change(
        self, doors: Doors, actor: Actor, before: Any, after: Any, request: str
    ) -> None:
        """Does what changing it means."""
        ...


class OnItsOwn(Unprocessable):
    """It has consequences of its own and is sent on its own, or in a batch."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} has consequences of its own: send it on its own or in a batch, not in a transaction, and do not delete it.",
            f"{what} har följder av egen kraft: skicka den för sig eller i en batch, inte i en transaktion, och radera den inte.",
        )


TAKERS: dict[str, list[Taker]] = {}


def register(type_name: str, taker: Taker) -> None:
    """Gives a capability the writes of a type."""
    TAKERS.setdefault(type_name, []).append(taker)


def taker_of(actor: Actor, resource: Any) -> Taker | None:
    """Who takes this resource; None when it is stored as it is."""
    for taker in TAKERS.get(type(resource).__name__, ()):
        if taker.concerns(actor, resource):
            return taker
    return None
