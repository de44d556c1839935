"""Guessing takes long: who gives wrong secrets is shut out for a while, longer each time.

Counted per client and address, so that nobody can shut out a client from elsewhere, and per address
alone, so that one address cannot try many clients. In this process's memory: with N processes a
guesser has N times as many tries, which against 256-bit secrets is nothing.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass

TRIES = 5
TRIES_PER_ADDRESS = 20
FORGOTTEN_SECONDS = 900.0
FIRST_LOCK_SECONDS = 30.0
LONGEST_LOCK_SECONDS = 900.0
MOST_REMEMBERED = 10_000


@dataclass(slots=True)
class _Count:
    wrong: int = 0
    last: float = 0.0
    until: float = 0.0


class LockOut:
    """Wrong secrets of late, and who is shut out because of them."""

    def __init__(self) -> None:
        self._counts: OrderedDict[tuple[str, str], _Count] = OrderedDict()

    def wait(self, client: str, address: str) -> float:
        """Seconds until this client may try again from this address; 0 when it may now."""
        now = time.monotonic()
        here = (self._counts.get(key) for key in ((client, address), ("", address)))
        return max(0.0, *(count.until - now if count is not None else 0.0 for count in here))

    def wrong(self, client: str, address: str) -> None:
        """A wrong secret was given."""
        self._count((client, address), TRIES)
        self._count(("", address), TRIES_PER_ADDRESS)

    def right(self, client: str, address: str) -> None:
        """The right secret was given: its own count is forgotten, that of the address stays."""
        self._counts.pop((client, address), None)

    def _count(self, key: tuple[str, str], tries: int) -> None:
        now = time.monotonic()
        count = self._counts.pop(key, None)
        if count is None or now - max(count.last, count.until) > FORGOTTEN_SECONDS:
            count = _Count()
        count.wrong += 1
        count.last = now
        if count.wrong >= tries:
            times = min(count.wrong // tries - 1, 10)
            count.until = now + min(FIRST_LOCK_SECONDS * 2**times, LONGEST_LOCK_SECONDS)
        self._counts[key] = count
        while len(self._counts) > MOST_REMEMBERED:
            self._counts.popitem(last=False)
