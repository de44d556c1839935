"""Who gets it: rules that are content (`content/routing/requests`), and a named unit for what no rule reaches.

A unit that is closed for a time has a substitute, one that was merged has a successor. What cannot be routed lands
with the unit named under `unrouted`, is marked so, and is counted: it is never dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sammanhang.kernel.clock import STOCKHOLM
from sammanhang.kernel.content import content
from sammanhang.kernel.errors import Invalid, Unavailable

from .units import Unit, Units


@dataclass(frozen=True, slots=True)
class Routed:
    """Where something goes.

    unit      the accountable unit
    function  the function there
    why       the rule, as key of `WORDS`
    wanted    the unit that would have had it, when it is closed; None otherwise
    routed    False when no rule reached a unit and it lands with the one that distributes
    """

    unit: Unit
    function: str
    why: str
    wanted: Unit | None = None
    routed: bool = True


class NoSuchKind(Invalid):
    """There is no such kind of care request."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"There is no care request of the kind {kind!r}.", f"Det finns ingen vårdbegäran av slaget ”{kind}”.")  # fmt: skip


class NowhereToGo(Unavailable):
    """No unit could take it, not even the one that distributes; nothing was sent."""

    def __init__(self) -> None:
        super().__init__(
            "No unit could take it, not even the one that distributes what has no receiver. Nothing was sent.",
            "Ingen enhet kunde ta emot den, inte ens den som fördelar. Inget har skickats.",
        )


def kinds_from(unit: Unit | None, age: int | None = None) -> dict[str, Any]:
    """The kinds of care request that a unit sends, by key; for a patient of some age, when it is known."""
    rules = content("routing/requests")["kinds"]
    return {
        k: row
        for k, row in rules.items()
        if unit is not None and unit.kind in row["from"] and _of_age(row.get("ages"), age)
    }


def _of_age(ages: list[int] | None, age: int | None) -> bool:
    return ages is None or age is None or ages[0] <= age <= ages[1]


def route(units: Units, kind: str, patient: Any, at: datetime, chosen: str = "") -> Routed:
    """The receiver of a care request for a patient: the one chosen, else the one the rules say.

    Raises `NoSuchKind`, `Invalid` for a chosen unit that is not one, `NowhereToGo`.
    """
    rules = content("routing/requests")
    row = rules["kinds"].get(kind)
    if row is None:
        raise NoSuchKind(kind)
    if chosen:
        unit = units.get(chosen)
        if unit is None or unit.kind != row["to"]["unit"]:
            raise Invalid("That unit does not receive this kind of request.", "Den enheten tar inte emot den här sortens begäran.")  # fmt: skip
        return _open(units, Routed(unit, row["function"], "chosen"), rules, at)
    found = proposed(units, row["to"], patient, rules)
    if not found:
        return unrouted(units)
    return _open(units, Routed(found[0], row["function"], row["to"]["in"]), rules, at)


def proposed(units: Units, to: Any, patient: Any, rules: Any) -> list[Unit]:
    """The units a rule reaches for a patient, the likeliest first; none when the record does not say where."""
    kind, place = to["unit"], to["in"]
    if place == "listed":
        listed = [_organization(g) for g in patient.generalPractitioner or ()]
        return [u for id in listed if (u := units.get(id)) is not None and u.kind == kind]
    home = municipality_of(patient)
    if not home:
        return []
    if place == "hospital-area":
        unit = units.get(rules["areas"].get(home, {}).get(kind, ""))
        return [unit] if unit is not None else []
    here = units.placed(kind, home)
    reception = units.get(rules["reception"].get(home, {}).get(kind, ""))
    return list(dict.fromkeys(([reception] if reception is not None else []) + here))


def municipality_of(patient: Any) -> str:
    """The name of the municipality the register says; empty when it does not (protected identity, abroad)."""
    return next((a.district for a in patient.address or () if a.district and a.use != "old"), "")


def unrouted(units: Units) -> Routed:
    """Where everything goes that no rule reaches. Raises `NowhereToGo`."""
    row = content("routing/requests")["unrouted"]
    unit = units.living(row["unit"])
    if unit is None:
        raise NowhereToGo
    return Routed(unit, row["function"], "unrouted", routed=False)


def _open(units: Units, to: Routed, rules: Any, at: datetime) -> Routed:
    """The same, or who stands in: for a unit that is closed for a time, or has been merged."""
    unit, wanted = to.unit, None
    today = at.astimezone(STOCKHOLM).date().isoformat()
    for _ in range(10):
        living = units.living(unit.id)
        if living is None:
            return unrouted(units)
        stand_in = next(
            (s["substitute"] for s in rules["substitutes"] if s["unit"] == living.id and s["from"] <= today <= s["until"]), ""
        )  # fmt: skip
        if living.id != unit.id or stand_in:
            wanted = wanted or unit
        if not stand_in:
            return Routed(living, to.function, to.why if wanted is None else "stands-in", wanted)
        after = units.get(stand_in)
        if after is None:
            return unrouted(units)
        unit = after
    return unrouted(units)  # they stand in for one another in a ring


def _organization(reference: Any) -> str:
    return (reference.reference or "").removeprefix("Organization/")
