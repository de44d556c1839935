"""What a journey costs those who make it: clicks, keys, letters, screens, the server's time and bytes, step by step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field

from playwright.sync_api import Request

from .conftest import Person


@dataclass(frozen=True, slots=True)
class Counts:
    """What a step asks of the person: clicks, keys pressed that write nothing, letters written, screens that load."""

    clicks: int
    keys: int
    letters: int
    screens: int


@dataclass(frozen=True, slots=True)
class Step:
    """One step: who does what, what it asked of them, and what it asked of the machines.

    server_ms  from when the browser had asked until the answer began, of every page and form of the step
    kilobytes  what came over the wire for it, compressed
    """

    who: str
    what: str
    counts: Counts
    server_ms: float
    kilobytes: float


@dataclass
class Recorder:
    """Steps in the order they were taken. `waited_ms` tells how long something that comes by itself took to come."""

    steps: list[Step] = field(default_factory=list)
    waited_ms: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, person: Person, who: str, what: str) -> Iterator[None]:
        """Records what is done within."""
        done: list[Request] = []

        def finished(request: Request) -> None:
            done.append(request)

        person.page.on("requestfinished", finished)
        before = (person.clicks, person.keys, person.letters)
        yield
        person.page.wait_for_load_state("networkidle" if not _listens(person) else "load")
        person.page.remove_listener("requestfinished", finished)
        after = (person.clicks, person.keys, person.letters)
        clicks, keys, letters = (b - a for a, b in zip(before, after, strict=True))
        pages = [r for r in done if r.is_navigation_request() and r.frame == person.page.main_frame]
        screens = sum(r.redirected_to is None for r in pages)
        self.steps.append(
            Step(
                who, what, Counts(clicks, keys - letters, letters, screens),
                sum(_server_ms(r) for r in pages), sum(weight(r) for r in done) / 1024,
            )
        )  # fmt: skip

    @property
    def counts(self) -> list[tuple[str, str, Counts]]:
        return [(s.who, s.what, s.counts) for s in self.steps]

    def total(self) -> Step:
        """All steps as one."""
        columns = zip(*(astuple(s.counts) for s in self.steps), strict=True)
        return Step(
            "", "all of it", Counts(*(sum(c) for c in columns)),
            sum(s.server_ms for s in self.steps), sum(s.kilobytes for s in self.steps),
        )  # fmt: skip


def _listens(person: Person) -> bool:
    """Whether the page keeps a stream open: then the network is never idle."""
    return bool(person.page.locator("[data-live], [data-about]").count())


def _server_ms(request: Request) -> float:
    timing = request.timing
    return max(0.0, timing["responseStart"] - timing["requestStart"])


def weight(request: Request) -> int:
    """The bytes of an answer as they came over the wire, headers and compressed body; none from the browser's cache."""
    sizes = request.sizes()
    body: int = sizes["responseBodySize"]
    return body + sizes["responseHeadersSize"] if body >= 0 else 0
