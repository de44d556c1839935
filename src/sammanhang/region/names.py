"""Names: common ones more often, by generation and background."""

from __future__ import annotations

import random
from functools import cache, lru_cache
from itertools import accumulate

from .content import table


@cache
def _weighted(
    kind: str, background: str, sex: str = "", generation: str = ""
) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Names and their cumulative weights: the n-th is about 1/√n as common as the first."""
    lists = table("people")[kind][background]
    names = lists[sex] if sex else lists
    names = names[generation] if generation else names
    return tuple(names), tuple(accumulate(1 / (i + 2) ** 0.5 for i in range(len(names))))


def generation(born: int) -> str:
    """The generation of Swedish given names of someone born in a year."""
    return (
        "old" if born < 1955 else "middle" if born < 1983 else "young" if born < 2008 else "child"
    )


def draw_given(rng: random.Random, background: str, sex: str, born: int) -> str:
    """A given name; double names hold a hyphen or a space."""
    lists = "swedish" if background == "noble" else background
    cohort = generation(born) if lists == "swedish" else ""
    names, weights = _weighted("given", lists, sex, cohort)
    return rng.choices(names, cum_weights=weights)[0]


def draw_family(rng: random.Random, background: str) -> str:
    """A family name, with its particle if it has one (`von Essen`, `de la Cruz`)."""
    names, weights = _weighted("family", background)
    return rng.choices(names, cum_weights=weights)[0]


@lru_cache(maxsize=1)
def _backgrounds() -> tuple[tuple[str, ...], tuple[float, ...]]:
    shares = table("people")["backgrounds"]
    return tuple(shares), tuple(accumulate(shares.values()))


def draw_background(rng: random.Random) -> str:
    """The background of a household."""
    names, weights = _backgrounds()
    return rng.choices(names, cum_weights=weights)[0]
