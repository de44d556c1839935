"""What the generated second pass stands on: its context, its issues, and its small predicates.

The generated `check_X(v, at, ctx)` functions walk a decoded resource and call these when something
may be wrong. `at` is a linked path, `(parent, name)` or `(parent, name, index)`, turned into a
FHIRPath expression only for a fault.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from functools import lru_cache
from typing import Any

import msgspec

from sammanhang.kernel.errors import Issue

from .logic import *  # noqa: F403  (the generated code takes everything from here)
from .logic import distinct
from .narrative import narrative_fault

Path = tuple[Any, ...] | str


def expression(at: Path) -> str:
    """`(("Patient", "name", 0), "given", 1)` → `Patient.name[0].given[1]`, in FHIRPath's names."""
    from .validation.paths import fhirpath

    parts: list[str] = []
    while not isinstance(at, str):
        parts.append(at[1] if len(at) == 2 else f"{at[1]}[{at[2]}]")
        at = at[0]
    parts.append(at)
    return fhirpath(".".join(reversed(parts)))


class Context:
    """One resource being checked: its issues, and what references may point to inside it."""

    __slots__ = ("_contained", "issues", "resource", "root")

    def __init__(self, resource: Any, root: Any = None, issues: list[Issue] | None = None) -> None:
        self.resource = resource
        self.root = root if root is not None else resource
        self.issues: list[Issue] = [] if issues is None else issues
        self._contained: frozenset[str] | None = None

    @property
    def contained(self) -> frozenset[str]:
        """Ids of the resources contained in the root."""
        if self._contained is None:
            inside = getattr(self.root, "contained", None) or ()
            self._contained = frozenset(r.id for r in inside if r.id is not None)
        return self._contained

    def add(self, code: str, at: Path, sv: str, en: str) -> None:
        self.issues.append(Issue(code, expression(at), sv, en))


# Faults the generated code reports.


def fault_required(ctx: Context, at: Path, name: str) -> None:
    ctx.add("required", (at, name), f"”{name}” måste anges.", f"'{name}' is required.")


def fault_one_of(ctx: Context, at: Path, name: str) -> None:
    ctx.add(
        "structure",
        at,
        f"Bara en sorts ”{name}” får anges.",
        f"Only one type of '{name}[x]' may be given.",
    )


def fault_invariant(ctx: Context, at: Path, key: str, human: str) -> None:
    ctx.add("invariant", at, f"Regeln {key} är bruten: {human}", f"Rule {key} is broken: {human}")


def fault_code(ctx: Context, at: Path, valueset: str) -> None:
    ctx.add(
        "code-invalid",
        at,
        f"Koden finns inte i den värdemängd som krävs ({valueset}).",
        f"The code is not in the required value set ({valueset}).",
    )


def check_day(value: str, at: Path, ctx: Context) -> None:
    """A day after the 28th may not exist that month; the pattern has checked the rest."""
    try:
        date(int(value[:4]), int(value[5:7]), int(value[8:10]))
    except ValueError:
        ctx.add("value", at, f"{value} finns inte i kalendern.", f"{value} is not a real date.")


# Values already found well-formed; looking one up costs a tenth of matching its pattern again.
CODES: set[str] = set()
URIS: set[str] = set()
_REMEMBERED = 50_000
_CODE = re.compile(r"^[^\s]+(\s[^\s]+)*\Z")
_URI = re.compile(r"^\S+\Z")


def check_code(value: str, at: Path, ctx: Context) -> None:
    """A code has no space at either end and never two in a row."""
    if _CODE.match(value) is None:
        ctx.add(
            "value",
            at,
            f"”{value[:60]}” är inte en giltig kod (blanksteg på fel ställe).",
            f"'{value[:60]}' is not a valid code (white space where none may be).",
        )
    elif len(CODES) < _REMEMBERED:
        CODES.add(value)


def check_uri(value: str, at: Path, ctx: Context) -> None:
    """A URI has no white space."""
    if _URI.match(value) is None:
        ctx.add(
            "value",
            at,
            f"”{value[:60]}” är inte en giltig URI (innehåller blanksteg).",
            f"'{value[:60]}' is not a valid URI (it holds white space).",
        )
    elif len(URIS) < _REMEMBERED:
        URIS.add(value)


def fault_number(at: Path, ctx: Context) -> None:
    ctx.add("value", at, "Talet är orimligt stort eller litet.", "The number is out of range.")


def check_number(value: Any, at: Path, ctx: Context) -> None:
    """No measurement has 400 digits; such a number is an attack on arithmetic, or a mistake."""
    if not -400 < value.adjusted() < 400:
        fault_number(at, ctx)


def check_nulls(
    values: list[Any] | None, siblings: list[Any] | None, at: Path, ctx: Context
) -> None:
    """In a list of primitives, null stands only where the extension list has something."""
    n = len(values) if values else 0
    m = len(siblings) if siblings else 0
    if n and m and n != m:
        fault_unequal(ctx, at)
        return
    for i in range(max(n, m)):
        value = values[i] if values and i < n else None
        sibling = siblings[i] if siblings and i < m else None
        if value is None and sibling is None:
            fault_null(ctx, at)
            return


def fault_unequal(ctx: Context, at: Path) -> None:
    ctx.add(
        "structure",
        at,
        "Listan och dess lista av tillägg ska vara lika långa; fyll ut med null.",
        "The list and its list of extensions must be equally long; fill up with null.",
    )


def fault_null(ctx: Context, at: Path) -> None:
    ctx.add(
        "structure",
        at,
        "En lista får inte ha tomma platser utan tillägg.",
        "A list may not have null items without an extension.",
    )


_RELATIVE = re.compile(
    r"^(?:https?://\S+/)?([A-Z][A-Za-z]+)/([A-Za-z0-9.-]{1,64})(/_history/[A-Za-z0-9.-]{1,64})?$"
)
_ABSOLUTE = re.compile(r"^[a-z][a-z0-9+.-]*:\S+$", re.IGNORECASE)


@lru_cache(maxsize=65536)
def reference_type(reference: str) -> str | None:
    """The resource type a literal reference names; '' when it names none; None when malformed."""
    match = _RELATIVE.match(reference)
    if match:
        from .r4 import TYPE_NAMES

        if match[1] in TYPE_NAMES:
            return match[1]
        return "" if "://" in reference else None
    if reference.startswith("#"):
        return ""
    return "" if _ABSOLUTE.match(reference) else None


def check_reference(v: Any, at: Path, targets: frozenset[str] | None, ctx: Context) -> None:
    """Reference syntax, that `#x` is contained, and that the type is one the element allows."""
    reference = v.reference
    if reference is None:
        said = (v.identifier, v.display, v.extension, v.type, v._reference, v._display)
        if said.count(None) == len(said):
            ctx.add("required", at, "Referensen är tom.", "The reference is empty.")
        named = v.type
    elif reference[0] == "#":
        if len(reference) > 1 and reference[1:] not in ctx.contained:
            ctx.add(
                "invariant",
                at,
                f"Regeln ref-1 är bruten: ”{reference}” finns inte inbäddad i resursen.",
                f"Rule ref-1 is broken: '{reference}' is not contained in the resource.",
            )
        named = None
    else:
        named = reference_type(reference)
        if named is None:
            ctx.add(
                "value",
                (at, "reference"),
                f"”{reference}” är inte en giltig referens.",
                f"'{reference}' is not a valid reference.",
            )
        named = named or v.type
    if named and targets is not None and named not in targets and "/" not in named:
        ctx.add(
            "structure",
            at,
            f"Referensen får inte peka på {named}; tillåtna typer: {', '.join(sorted(targets))}.",
            f"The reference may not point to {named}; allowed types: {', '.join(sorted(targets))}.",
        )


Members = frozenset[tuple[str, str]]


def coding_member(c: Any, members: Members) -> bool:
    return (c.system, c.code) in members


def check_codeable(v: Any, at: Path, members: Members, valueset: str, ctx: Context) -> None:
    """A CodeableConcept with a required binding: at least one coding is in the value set."""
    for c in v.coding or ():
        if (c.system, c.code) in members:
            return
    if v.coding is None and v.extension is not None:
        return
    fault_code(ctx, at, valueset)


def check_coding(v: Any, at: Path, members: Members, valueset: str, ctx: Context) -> None:
    if (v.system, v.code) not in members and not (v.code is None and v.extension is not None):
        fault_code(ctx, at, valueset)


def check_contained(v: Any, above: Path, ctx: Context) -> None:
    """dom-2, dom-3, dom-4 and dom-5 of DomainResource, for a resource that contains others."""
    from .r4 import CHECKS

    used: set[str] = set()
    _references(v, used, True)
    for i, inner in enumerate(v.contained):
        at = (above, "contained", i)
        if getattr(inner, "contained", None) is not None:
            fault_invariant(ctx, at, "dom-2", "a contained resource SHALL NOT contain resources")
        meta = inner.meta
        if meta is not None and (meta.versionId is not None or meta.lastUpdated is not None):
            fault_invariant(
                ctx, at, "dom-4", "a contained resource SHALL NOT have a version or time"
            )
        if meta is not None and meta.security is not None:
            fault_invariant(
                ctx, at, "dom-5", "a contained resource SHALL NOT have a security label"
            )
        outward: set[str] = set()
        _references(inner, outward, True)
        if inner.id is None or (f"#{inner.id}" not in used and "#" not in outward):
            fault_invariant(ctx, at, "dom-3", "a contained resource SHALL be referred to")
        check = CHECKS.get(type(inner).__name__)
        if check is not None:
            check(inner, at, Context(inner, v, ctx.issues))


def _references(v: Any, found: set[str], top: bool) -> None:
    """Every string starting with `#` in a structure (references, canonicals, uris)."""
    if isinstance(v, msgspec.Struct):
        for name in v.__struct_fields__:
            value = getattr(v, name)
            if value is not None:
                _references(value, found, False)
    elif isinstance(v, list):
        for item in v:
            _references(item, found, False)
    elif isinstance(v, str) and v.startswith("#"):
        found.add(v)


def check_inner(v: Any, at: Path, ctx: Context) -> None:
    """A resource inside a Bundle or Parameters: checked as a root of its own."""
    from .r4 import CHECKS

    check = CHECKS.get(type(v).__name__)
    if check is not None:
        check(v, at, Context(v, v, ctx.issues))


def run_fhirpath(v: Any, at: Path, key: str, human: str, source: str, ctx: Context) -> None:
    """An invariant the generator could not translate, run by fhirpathpy on the element."""
    from .fhirpath import holds

    if not holds(source, v, ctx.resource):
        fault_invariant(ctx, at, key, human)


def check_narrative(v: Any, at: Path, ctx: Context) -> None:
    if v.div is not None:
        found = narrative_fault(v.div)
        if found:
            fault_invariant(ctx, (at, "div"), *found)


Check = Callable[[Any, Path, Context], None]


def open_choice(v: Any, start: int, table: tuple[Any, ...], at: Path, ctx: Context) -> int:
    """Checks a choice of very many types (Extension.value[x]); how many of them are given."""
    everything = msgspec.structs.astuple(v)
    values = everything[start : start + len(table)]
    there = [i for i, x in enumerate(values) if x is not None]
    given = len(there)
    for i in there:
        x, (name, check) = values[i], table[i]
        if check is not None:
            if check is check_day:
                if x[8:10] > "28":
                    check_day(x, (at, name), ctx)
            else:
                check(x, (at, name), ctx)
    after = everything[start + len(table) :]
    if after.count(None) != len(after):  # extensions of primitives may be among what follows
        given += _extended(v, table, at, ctx)
    return given


def _extended(v: Any, table: tuple[Any, ...], at: Path, ctx: Context) -> int:
    """Checks the extensions beside a choice's primitives; how many of them stand without a value."""
    from .r4.datatypes import check_Element

    alone = 0
    for name, _ in table:
        beside = getattr(v, "_" + name, None)
        if beside is not None:
            check_Element(beside, (at, "_" + name), ctx)
            alone += getattr(v, name) is None
    return alone


def check_any_reference(v: Any, at: Path, ctx: Context) -> None:
    check_reference(v, at, None, ctx)


def observation_value_once(v: Any) -> bool:
    """obs-7: a value beside components may not carry a component's code."""
    if v.component is None or v.code is None:
        return True
    if not any(getattr(v, n) is not None for n in _OBSERVATION_VALUES):
        return True
    codings = {(c.system, c.code, c.version, c.display) for c in v.code.coding or ()}
    return not any(
        (c.system, c.code, c.version, c.display) in codings
        for part in v.component
        for c in part.code.coding or ()
    )


_OBSERVATION_VALUES = (
    "valueQuantity", "valueCodeableConcept", "valueString", "valueBoolean", "valueInteger",
    "valueRange", "valueRatio", "valueSampledData", "valueTime", "valueDateTime", "valuePeriod",
)  # fmt: skip


def link_ids_distinct(v: Any) -> bool:
    """que-2: link ids are unique within the questionnaire."""
    found: list[str] = []
    todo = list(v.item or ())
    while todo:
        item = todo.pop()
        if item.linkId is not None:
            found.append(item.linkId)
        todo.extend(item.item or ())
    return distinct(found)


def full_urls_distinct(v: Any) -> bool:
    """bdl-7: a full URL stands once, or once per version; histories are free."""
    if v.type == "history":
        return True
    found = []
    for e in v.entry or ():
        if e.fullUrl is not None:
            meta = getattr(e.resource, "meta", None)
            found.append(e.fullUrl + ((meta.versionId or "") if meta is not None else ""))
    return distinct(found)
