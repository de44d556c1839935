"""The processes that load: one part after the other, a dead one replaced, progress told."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from sammanhang.fhir.dates import bounds
from sammanhang.fhir.indexing import fold, self_hash
from sammanhang.kernel.errors import Unavailable

from .plan import Part
from .reading import TOO_LONG, Found, made_id, resources, texts
from .writing import Counts, Loader, Overtaken

_DEATHS = 3
_CLEAN_EVERY = 10
Tell = Callable[[Counts], None]


@dataclass(frozen=True, slots=True)
class Work:
    """What a process needs to know of the load."""

    dsn: str
    job: int
    owner: str | None
    base: str


def load_part(loader: Loader, part: Part, tell: Tell) -> None:
    """Loads a part from where it stands to its end."""
    now: Part | None = part
    while now is not None:
        try:
            _load_from(loader, now, tell)
            return
        except Overtaken:  # a process of a load that was broken off is still at it
            time.sleep(0.2)
            now = loader.moved(now)


def _load_from(loader: Loader, part: Part, tell: Tell) -> None:
    """Raises `Overtaken` when somebody else moved the part."""
    line, position = part.line, part.position

    def commit(done: bool = False) -> None:
        nonlocal part
        tell(loader.commit(part, position, line, done=done))
        part = replace(part, position=position, line=line)
        if loader.commits % _CLEAN_EVERY == 0:
            clean()

    for text in texts(part):
        if text.body is None:
            loader.refuse(part, text.line, TOO_LONG)
        elif part.mode == "past":
            loader.take_past(part, text.line, text.body)
        elif text.body.strip():
            found = (
                list(resources(text.body, made_id(part.file, str(text.line).encode())))
                if part.mode == "load"
                else [Found(-1, None, None, text.body)]
            )
            if loader.clashes(found):
                commit()
            for one in found:
                if isinstance(one, Found):
                    loader.take(part, text.line, one)
                else:
                    loader.refuse(part, text.line, one)
        line, position = text.line + 1, text.after
        if loader.full:
            commit()
    commit(done=True)


def clean() -> None:
    """Keeps memory flat: ids and times of what is loaded will not be met again."""
    self_hash.cache_clear()
    bounds.cache_clear()
    fold.cache_clear()
    gc.collect()


def alone(work: Work, parts: list[Part], tell: Tell) -> None:
    """Loads the parts in this process."""
    loader = Loader(work.dsn, work.job, owner=work.owner, base=work.base)
    try:
        for part in parts:
            load_part(loader, part, tell)
    finally:
        loader.close()


def _serve(work: Work, pipe: Connection) -> None:
    """A loading process: parts come through the pipe, counts go back; ends when it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = os.getppid()
    loader = Loader(work.dsn, work.job, owner=work.owner, base=work.base)
    gc.collect()
    gc.freeze()
    gc.disable()  # a load makes hardly any cycles: `clean` looks often enough

    def tell(counts: Counts) -> None:
        if os.getppid() != parent:
            os._exit(1)
        pipe.send(counts)

    try:
        pipe.send(None)
        while (part := pipe.recv()) is not None:
            load_part(loader, part, tell)
            pipe.send(None)
    except (EOFError, BrokenPipeError):
        pass  # whoever started us is gone; what is stored is whole
    finally:
        loader.close()


@dataclass(slots=True)
class _Helper:
    process: BaseProcess
    pipe: Connection
    part: Part | None = None


class Pool:
    """Loading processes, started at once; a context manager that ends them."""

    def __init__(self, work: Work, processes: int) -> None:
        self._work = work
        self._spawn = multiprocessing.get_context("spawn")
        self._deaths = 0
        self._helpers = [self._start() for _ in range(processes)]
        self._idle: list[_Helper] = []

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        for helper in self._helpers:
            if kind is not None:
                helper.process.terminate()
            helper.pipe.close()
            helper.process.join()

    def _start(self) -> _Helper:
        ours, theirs = self._spawn.Pipe()
        process = self._spawn.Process(target=_serve, args=(self._work, theirs), daemon=True)
        process.start()
        theirs.close()
        return _Helper(process, ours)

    @property
    def pids(self) -> list[int]:
        return [h.process.pid or 0 for h in self._helpers]

    def run(self, parts: list[Part], tell: Tell) -> None:
        """Loads the parts. Raises `Unavailable` when processes die again and again."""
        left = list(reversed(parts))
        while left or any(h.part for h in self._helpers):
            while left and self._idle:
                helper = self._idle.pop()
                helper.part = left.pop()
                helper.pipe.send(helper.part)
            for pipe in wait([h.pipe for h in self._helpers if h not in self._idle]):
                helper = next(h for h in self._helpers if h.pipe is pipe)
                try:
                    said = helper.pipe.recv()
                except (EOFError, ConnectionResetError):
                    self._replace(helper, left)
                    continue
                if said is None:
                    helper.part = None
                    self._idle.append(helper)
                else:
                    tell(said)

    def _replace(self, dead: _Helper, left: list[Part]) -> None:
        """Another process takes over the part of a dead one, from where the database says it is."""
        self._deaths += 1
        dead.pipe.close()
        dead.process.join()
        self._helpers.remove(dead)
        if self._deaths >= _DEATHS:
            raise Unavailable(
                f"Loading processes ended {self._deaths} times (the last: exit code"
                f" {dead.process.exitcode}); start the load again and it goes on from there."
            )
        if dead.part is not None:
            left.append(dead.part)
        self._helpers.append(self._start())
