"""The query string of a search, taken apart and checked; nothing in it is ever silently dropped."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from sammanhang.fhir.r4 import TYPE_NAMES
from sammanhang.kernel.errors import Invalid, Issue

from .parameters import COMMON_KINDS, Parameter, Slot, parameter

PREFIXES = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
MAX_COUNT = 1000
DEFAULT_COUNT = 50
MAX_VALUES = 500
RESULT = {
    "_sort", "_count", "_include", "_revinclude", "_total", "_summary", "_elements", "_format",
    "_pretty", "_after", "_contained", "_containedType",
}  # fmt: skip
SPECIAL = dict.fromkeys((*RESULT, "_type", "_list"), ("",)) | dict.fromkeys(
    ("_include", "_revinclude"), ("", "iterate", "recurse")
)
REFUSED = {"_filter", "_query", "_text", "_content"}
MODIFIERS = {
    "token": {"not", "in", "not-in", "above", "below", "text", "of-type", "missing"},
    "reference": {"missing", "identifier", "type"},
    "string": {"exact", "contains", "missing"},
    "uri": {"above", "below", "missing"},
    "date": {"missing"}, "number": {"missing"}, "quantity": {"missing"}, "composite": {"missing"},
}  # fmt: skip


@dataclass(frozen=True)
class Criterion:
    """One search parameter with its values (an OR), modifier, and what it is chained through.

    `chain` is [(reference parameter, target type), …] from the searched type inwards; `has` is
    [(type, reference parameter), …] for reverse chaining. Chains come first; at the end of `has`
    stands `inner`, the criterion there, with chains of its own.
    """

    parameter: Parameter
    values: tuple[str, ...]
    modifier: str | None = None
    chain: tuple[tuple[Parameter, tuple[str, ...]], ...] = ()
    has: tuple[tuple[str, Parameter], ...] = ()
    owner: str = ""
    inner: Criterion | None = None


@dataclass
class Include:
    """`_include` or `_revinclude`: `source:parameter[:target]`; `*` for every parameter."""

    source: str
    code: str
    target: str | None
    iterate: bool
    reverse: bool


@dataclass
class Request:
    """A search, understood. `ignored` names the parameters that were not, with why."""

    types: tuple[str, ...]
    criteria: list[Criterion] = field(default_factory=list)
    sort: list[tuple[str, bool]] = field(default_factory=list)
    count: int = DEFAULT_COUNT
    includes: list[Include] = field(default_factory=list)
    total: str | None = None
    summary: str | None = None
    elements: tuple[str, ...] = ()
    after: str | None = None
    lists: tuple[tuple[str, ...], ...] = ()
    used: list[tuple[str, str]] = field(default_factory=list)
    ignored: list[Issue] = field(default_factory=list)

    @property
    def type(self) -> str:
        return self.types[0] if len(self.types) == 1 else "Resource"


def split(text: str, mark: str) -> list[str]:
    """Splits at an unescaped mark (`,` `$` `|`); escapes stay for the next split."""
    if "\\" not in text:
        return text.split(mark)
    out, current, i = [], [], 0
    while i < len(text):
        if text[i] == "\\" and i + 1 < len(text):
            current.append(text[i : i + 2])
            i += 2
            continue
        if text[i] == mark:
            out.append("".join(current))
            current = []
        else:
            current.append(text[i])
        i += 1
    out.append("".join(current))
    return out


def unescape(text: str) -> str:
    """`\\,` → `,` and so on (http://hl7.org/fhir/R4/search.html#escaping)."""
    return re.sub(r"\\([\\,$|])", r"\1", text) if "\\" in text else text


def fault(name: str, sv: str, en: str, code: str = "invalid") -> Invalid:
    """A search the caller must correct; `name` is the parameter as it was written."""
    issue = Issue(code, f"http.{name}", sv, en)
    return Invalid(en, sv, issues=(issue,))


def parse(types: tuple[str, ...], pairs: list[tuple[str, str]], *, strict: bool = False) -> Request:
    """A request from decoded (name, value) pairs.

    Raises `Invalid` for what is malformed, and under `strict` for what is not known; otherwise the
    unknown is listed in `ignored`, to be told in the answer.
    """
    request = Request(types)
    for name, value in pairs:
        if "\0" in name or "\0" in value:
            raise fault(
                name.replace("\0", ""), "Noll-tecken är inte tillåtna.", "NUL is not allowed."
            )
        base, _, modifier = name.partition(":")
        try:
            if value == "" and base not in RESULT:
                raise UnknownParameter(
                    f"”{name[:80]}” har inget värde.", f"'{name[:80]}' has no value."
                )
            if base in SPECIAL and modifier not in SPECIAL[base]:
                raise UnknownParameter(
                    f"Tillägget ”:{modifier[:40]}” finns inte för ”{base}”.",
                    f"The modifier ':{modifier[:40]}' is not offered for '{base}'.",
                )
            if base in RESULT:
                _result(request, name, value)
                continue
            if base == "_type":
                if len(types) == 1 and value.split(",") != [*types]:
                    raise fault(
                        name,
                        "_type gäller bara sökning över alla resurstyper.",
                        "_type is for searches over all resource types.",
                    )
                request.used.append((name, value))
                continue
            if base == "_list":
                request.lists += (_list(value),)
                request.used.append((name, value))
                continue
            criterion = _criterion(request.types, name, value)
        except UnknownParameter as e:
            issue = Issue("not-supported", f"http.{name}", e.sv, e.en, "warning")
            if strict or base in REFUSED:
                raise fault(name, e.sv, e.en, "not-supported") from None
            request.ignored.append(issue)
            continue
        request.criteria.append(criterion)
        request.used.append((name, value))
    return request


def _list(value: str) -> tuple[str, ...]:
    """Ids of lists, any of which may hold the resource."""
    ids = tuple(unescape(v).removeprefix("List/") for v in split(value, ",") if v)
    if not ids or any(i.startswith("$") for i in ids):
        raise fault(
            "_list",
            "_list tar id på listor.",
            "_list takes ids of lists; functional lists are not offered.",
            "not-supported",
        )
    return ids


class UnknownParameter(Exception):
    """A parameter or modifier this type does not have."""

    def __init__(self, sv: str, en: str) -> None:
        super().__init__(en)
        self.sv, self.en = sv, en


def _unknown(type_name: str, name: str) -> UnknownParameter:
    return UnknownParameter(
        f"{type_name} har ingen sökparameter ”{name[:80]}”.",
        f"{type_name} has no search parameter '{name[:80]}'.",
    )


def _find(types: tuple[str, ...], code: str) -> Parameter:
    found = [parameter(t, code) for t in types]
    first = found[0] if found else None
    if first is None or any(p is None or p.kind != first.kind for p in found):
        raise _unknown(" ".join(types) if len(types) < 6 else "Resource", code)
    return first


def _criterion(types: tuple[str, ...], name: str, value: str) -> Criterion:
    if name.startswith("_has:"):
        return _has(types, name, value)
    path = name.split(".")
    chain: list[tuple[Parameter, tuple[str, ...]]] = []
    current = types
    for number, link in enumerate(path[:-1]):
        code, _, named = link.partition(":")
        p = _find(current, code)
        if p.kind != "reference" or all(_canonical(s) for s in p.slots):
            raise fault(name, f"”{code}” är ingen referens.", f"'{code}' is not a reference.")
        targets = tuple(t for t in (p.targets if "Resource" not in p.targets else TYPE_NAMES))
        if named:
            if named not in TYPE_NAMES or not {named, "Resource"} & {*p.targets}:
                raise fault(
                    name,
                    f"”{code}” pekar inte på ”{named[:60]}”.",
                    f"'{code}' does not refer to '{named[:60]}'.",
                )
            targets = (named,)
        following = path[number + 1].split(":")[0]
        targets = tuple(
            t for t in targets if following.startswith("_has") or parameter(t, following)
        )
        if not targets:
            raise _unknown(current[0], name)
        chain.append((p, targets))
        current = targets
    last = path[-1]
    if chain and last.startswith("_has:"):
        return replace(_has(current[:1], last, value), chain=tuple(chain))
    return _leaf(current, last, name, value, tuple(chain))


def _canonical(s: Slot) -> bool:
    """Whether a path holds URLs of definitions, which name no stored resource."""
    return bool(s.types) and set(s.types) <= {"canonical", "uri"}


def _leaf(
    types: tuple[str, ...], last: str, name: str, value: str,
    chain: tuple[tuple[Parameter, tuple[str, ...]], ...] = (),
) -> Criterion:  # fmt: skip
    code, _, modifier = last.partition(":")
    p = _find(types[:1] if chain else types, code)
    if (
        modifier
        and modifier not in MODIFIERS.get(p.kind, set())
        and not (p.kind == "reference" and modifier in TYPE_NAMES)
    ):
        raise UnknownParameter(
            f"Tillägget ”:{modifier[:40]}” finns inte för ”{code}”.",
            f"The modifier ':{modifier[:40]}' is not offered for '{code}'.",
        )
    if code in ("_id", "_lastUpdated") and modifier not in (
        ("", "not") if code == "_id" else ("",)
    ):
        raise UnknownParameter(
            f"{code} tar inte ”:{modifier[:40]}”.", f"{code} does not take ':{modifier[:40]}'."
        )
    values = tuple(v for v in split(value, ",") if v != "")
    if not values:
        raise fault(name, "Värdet är tomt.", "The value is empty.")
    if len(values) > MAX_VALUES:
        raise fault(
            name, f"Högst {MAX_VALUES} värden.", f"At most {MAX_VALUES} values.", "too-costly"
        )
    if modifier == "missing" and values not in (("true",), ("false",)):
        raise fault(name, ":missing tar true eller false.", ":missing takes true or false.")
    return Criterion(p, values, modifier or None, chain, (), types[0])


def _has(types: tuple[str, ...], name: str, value: str) -> Criterion:
    has: list[tuple[str, Parameter]] = []
    rest = name
    while rest.startswith("_has:"):
        parts = rest.split(":", 3)
        if len(parts) < 4 or parts[1] not in TYPE_NAMES:
            raise fault(
                name,
                "Skrivs _has:Typ:referens:parameter.",
                "Written _has:Type:reference:parameter.",
            )
        reference = parameter(parts[1], parts[2])
        if (
            reference is None
            or reference.kind != "reference"
            or all(_canonical(s) for s in reference.slots)
        ):
            raise _unknown(parts[1], parts[2])
        has.append((parts[1], reference))
        rest = parts[3]
    inner = _criterion((has[-1][0],), rest, value)
    return Criterion(
        inner.parameter, inner.values, inner.modifier, (), tuple(has), has[-1][0], inner
    )


def _result(request: Request, name: str, value: str) -> None:
    base, _, modifier = name.partition(":")
    keep = True
    if base == "_count":
        if not (value.isascii() and value.isdigit()):
            raise fault(name, "_count ska vara ett heltal.", "_count must be a whole number.")
        request.count = min(int(value), MAX_COUNT) if len(value) < 10 else MAX_COUNT
        if request.count == 0:
            request.summary = "count"
    elif base == "_sort":
        for key in value.split(","):
            code = key.removeprefix("-")
            if any(parameter(t, code) is None for t in request.types):
                raise fault(
                    name,
                    f"Det går inte att sortera på ”{code[:60]}”.",
                    f"Cannot sort by '{code[:60]}'.",
                )
            p = _find(request.types, code)
            if p.kind == "composite" or (len(request.types) > 1 and code not in COMMON_KINDS):
                raise fault(
                    name, f"Det går inte att sortera på ”{code}”.", f"Cannot sort by '{code}'."
                )
            request.sort.append((code, key.startswith("-")))
    elif base in ("_include", "_revinclude"):
        parts = value.split(":")
        wild = parts[0] == "*"
        if not wild and parts[0] not in TYPE_NAMES:
            raise fault(
                name,
                f"”{parts[0][:60]}” är ingen resurstyp.",
                f"'{parts[0][:60]}' is not a resource type.",
            )
        if not wild and len(parts) < 2:
            raise fault(name, "Skrivs Typ:parameter.", "Written Type:parameter.")
        code = "*" if wild else parts[1]
        if code != "*":
            p2 = parameter(parts[0], code)
            if p2 is None or p2.kind != "reference":
                raise fault(
                    name,
                    f"{parts[0]} har ingen referens ”{code[:60]}”.",
                    f"{parts[0]} has no reference '{code[:60]}'.",
                )
        target = parts[2] if len(parts) > 2 else None
        if target is not None and target not in TYPE_NAMES:
            raise fault(
                name,
                f"”{target[:60]}” är ingen resurstyp.",
                f"'{target[:60]}' is not a resource type.",
            )
        if base == "_revinclude" and wild:
            raise fault(
                name, "_revinclude behöver en typ.", "_revinclude needs a type.", "not-supported"
            )
        request.includes.append(
            Include(
                parts[0], code, target, modifier in ("iterate", "recurse"), base == "_revinclude"
            )
        )
    elif base == "_total":
        if value not in ("none", "estimate", "accurate"):
            raise fault(
                name,
                "_total: none, estimate eller accurate.",
                "_total: none, estimate or accurate.",
            )
        request.total = value
    elif base == "_summary":
        if value not in ("true", "false", "count", "data", "text"):
            raise fault(
                name,
                "_summary: true, text, data, count eller false.",
                "_summary: true, text, data, count or false.",
            )
        request.summary = value if value != "false" else None
    elif base == "_elements":
        request.elements = tuple(e.strip() for e in value.split(",") if e.strip())
    elif base == "_after":
        request.after = value
        keep = False
    elif base in ("_contained", "_containedType"):
        if value not in ("false",):
            raise fault(
                name,
                "Sökning i inbäddade resurser finns inte.",
                "Search of contained resources is not offered.",
                "not-supported",
            )
    else:
        keep = base != "_pretty"
    if keep and base not in ("_format",):
        request.used.append((name, value))
