"""Names as people spell them: which names of the register a typed word may mean.

The register's distinct names are few compared to its people (the county has some hundred thousand), so
each process keeps them in memory with how many bear them. A typed word becomes the list of names it
may mean, and the database is asked for those names exactly, through its index.

Tiers, best first: the word is a part of the name, or begins one ("brit" → Maj-Britt, "berg" → von der
Berg); sounds the same (Karlsson, Carlson); is one or two slips of the finger away.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache

_BREAK = re.compile(r"[\s\-'’.]+")
# Spellings that sound the same in Swedish; in this order, on text without accents.
_SOUNDS = [
    (re.compile(p), s)
    for p, s in (
        (r"\bch(?=[aourl])", "k"), (r"sch|stj|skj|sj|tj|kj|ch", "5"), (r"ck|q(?=[uv])|q", "k"),
        (r"k[uvw](?=[aeio])", "kv"), (r"c(?=[eiy])|z", "s"), (r"c", "k"), (r"ph", "f"), (r"th|dt", "t"),
        (r"\b[hgld]j", "j"), (r"w", "v"), (r"v(?=s)", "f"), (r"x", "ks"), (r"y", "i"), (r"ie", "i"),
        (r"h(?=[^aeiou]|$)", ""), (r"(.)\1+", r"\1"),
    )
]  # fmt: skip


def parts(name: str) -> list[str]:
    """The parts of a folded name: `von der berg` → von, der, berg; and all of it as one word."""
    found = [p for p in _BREAK.split(name) if p]
    return [*found, "".join(found)] if len(found) > 1 else found


@lru_cache(maxsize=200_000)
def sound(word: str) -> str:
    """How a folded word sounds, roughly: `carlsson` and `karlson` give the same."""
    for pattern, by in _SOUNDS:
        word = pattern.sub(by, word)
    return word


def slips(a: str, b: str, most: int) -> int:
    """Letters changed, left out, added or swapped between two words; `most` + 1 when more."""
    if abs(len(a) - len(b)) > most:
        return most + 1
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        earlier, before, row = before, row, [i]
        for j, y in enumerate(b, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, earlier[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
    return row[-1]


class Names:
    """The distinct names of the register and how many bear each."""

    def __init__(self, counts: Iterable[tuple[str, int]] = ()) -> None:
        self.count: dict[str, int] = defaultdict(int)
        for name, n in counts:
            self.count[name] += n
        self._with: dict[str, list[str]] = defaultdict(list)
        for name in self.count:
            for part in dict.fromkeys(parts(name)):
                self._with[part].append(name)
        self._sorted = sorted(self._with)
        self._sounding: dict[str, list[str]] = defaultdict(list)
        self._near: dict[str, list[str]] = defaultdict(list)
        for part in self._sorted:
            heard = sound(part)
            self._sounding[heard].append(part)
            self._near[heard[:2]].append(part)

    def exact(self, word: str) -> set[str]:
        """Names that have the word as a part."""
        return set(self._with.get(word, ()))

    def beginning(self, word: str) -> set[str]:
        """Names with a part that begins with the word."""
        found: set[str] = set()
        place = bisect_left(self._sorted, word)
        while place < len(self._sorted) and self._sorted[place].startswith(word):
            found.update(self._with[self._sorted[place]])
            place += 1
        return found

    def alike(self, word: str) -> set[str]:
        """Names with a part that sounds like the word or is a slip or two from it."""
        heard = sound(word)
        near = list(self._sounding.get(heard, ()))
        most = 0 if len(word) < 4 else 1 if len(word) < 7 else 2
        if most:
            near += [p for p in self._near.get(heard[:2], ()) if slips(word, p, most) <= most]
            # A slip in the first two letters: the rest of the word is whole.
            near += [p for p in self._near.get(sound(word[1] + word[0] + word[2:])[:2], ())
                     if slips(word, p, 1) <= 1]  # fmt: skip
        return {name for part in near for name in self._with[part]}

    def bearers(self, names: Iterable[str]) -> int:
        """How many people bear one of the names."""
        return sum(self.count.get(name, 0) for name in names)
