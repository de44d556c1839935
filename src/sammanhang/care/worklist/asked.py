"""What of a worklist is asked for in an address, and the addresses that ask for something else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, urlencode

from sammanhang.kernel.content import content
from sammanhang.work.deadlines import PRIORITIES
from sammanhang.work.queries import LISTS, Filter

PAGE = 60  # rows on a page
FURTHEST = 100_000


@dataclass(frozen=True, slots=True)
class Asked:
    """A view of a worklist: what is wanted, and from which row."""

    filter: Filter
    start: int = 0

    def query(self, **changes: object) -> str:
        """The query of the address of this view, or of one that differs so."""
        f = replace(self.filter, **changes)  # type: ignore[arg-type]
        parts = {"list": f.list} if f.list != "todo" else {}
        parts |= {"priority": ",".join(f.priorities)} if f.priorities else {}
        parts |= {"kind": f.kind} if f.kind else {}
        parts |= {name: "1" for name in ("late", "free") if getattr(f, name)}
        parts |= {"all": "1"} if f.everything else {}
        return urlencode(parts)

    def address(self, **changes: object) -> str:
        """The address of this view, or of one that differs so."""
        return _address(self.query(**changes))

    def page(self, start: int) -> str:
        """The address of another page of the same view."""
        query = self.query()
        return _address("&".join(filter(None, [query, f"from={start}" if start else ""])))


def _address(query: str) -> str:
    return f"/work?{query}" if query else "/work"


def asked_in(values: Mapping[str, str]) -> Asked:
    """What the parameters of an address ask for; what is not known in them is left out."""
    given = values.get("list", "")
    kind = values.get("kind", "")
    start = values.get("from", "")
    wanted = Filter(
        list=given if given in LISTS else "todo",
        priorities=tuple(p for p in PRIORITIES if p in values.get("priority", "").split(",")),
        kind=kind if kind in content("routing/deadlines")["kinds"] else "",
        late=values.get("late") == "1",
        free=values.get("free") == "1",
        everything=values.get("all") == "1",
    )
    far = int(start) if start.isascii() and start.isdigit() and len(start) < 7 else 0
    return Asked(wanted, min(far, FURTHEST))


def asked_back(query: str) -> Asked:
    """The view a form came from, of the query it carries in `back`."""
    return asked_in(dict(parse_qsl(query[:500])))
