"""How often something may be done in a minute, by whom: counted in this process's memory, bounded."""

from __future__ import annotations

import time
from collections import OrderedDict

MINUTE = 60.0
MOST_REMEMBERED = 10_000


class Rate:
    """How often each has done one thing in the minute that is running for them."""

    def __init__(self) -> None:
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def wait(self, who: str, most: int) -> float:
        """Counts one more; 0 when it is within `most` a minute, else the seconds until it would be."""
        now = time.monotonic()
        began, count = self._counts.pop(who, (now, 0))
        if now - began >= MINUTE:
            began, count = now, 0
        self._counts[who] = (began, count + 1)
        while len(self._counts) > MOST_REMEMBERED:
            self._counts.popitem(last=False)
        return 0.0 if count < most else began + MINUTE - now
