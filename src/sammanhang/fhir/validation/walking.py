"""Every fault of plain JSON values against the types of FHIR R4, and a copy with the faulty parts mended.

The walk keeps its own stack, so that depth costs memory and never the interpreter's stack. The copy is
what the generated second pass can still judge: a faulty part is left out, or stands in as the least its
type allows when leaving it out would move other things; `mended` tells where, so that nothing the copy
breaks only because of the mending is told to anyone.
"""

from __future__ import annotations

import difflib
from typing import Any

from sammanhang.kernel.errors import Issue

from ..checking import (
    Context,
    Path,
    expression,
    fault_null,
    fault_one_of,
    fault_required,
    fault_unequal,
)
from .primitives import fault, kind_en, kind_sv
from .reading import Repeated, shown
from .shapes import Element, Member, Shape, bound_plain, resource_types, shape

MOST = 500  # faults told about one body; a body with more is not read by a person
STAND_IN = {"resourceType": "Basic", "code": {"text": "-"}}


class Walk:
    """One body being walked: its faults and its mended copy."""

    def __init__(self) -> None:
        self.issues: list[Issue] = []
        self.mended: list[str] = []
        self._cut = False
        self._ctx = Context(None, None, self.issues)
        self._todo: list[tuple[dict[str, Any], Shape, Path, dict[str, Any], bool]] = []

    def resource(self, raw: dict[str, Any], kind: str) -> dict[str, Any]:
        """Walks a resource whose type is known; returns the mended copy."""
        copy: dict[str, Any] = {"resourceType": kind}
        found = shape(kind)
        assert found is not None, kind
        self._todo.append((raw, found, kind, copy, False))
        while self._todo and len(self.issues) < MOST:
            start = len(self._todo) - 1
            self._object(*self._todo.pop())
            self._todo[start:] = reversed(self._todo[start:])  # document order
        if self._todo or self._cut:
            self.issues.append(
                Issue(
                    "incomplete",
                    kind,
                    f"Fler än {MOST} fel; resten visas inte.",
                    f"More than {MOST} faults; the rest is not shown.",
                )
            )
            self.mended.append(kind)
        return copy

    # One object

    def _object(
        self, raw: dict[str, Any], s: Shape, at: Path, copy: dict[str, Any], valued: bool
    ) -> None:
        if isinstance(raw, Repeated):
            for name in raw.names:
                self._add(
                    "structure",
                    at,
                    f"”{shown(name)}” står flera gånger i samma objekt.",
                    f"'{shown(name)}' stands more than once in the same object.",
                )
        if not raw or (not s.resource and raw.keys() <= {"id"}):
            self._empty(raw, s, at, copy, valued)
            return
        for name in raw:
            if name not in s.members and not (name == "resourceType" and s.resource):
                base = s.members.get(name[1:]) if name.startswith("_") else None
                if base is None or not _may_extend(base[0], s):
                    self._unknown(name, s, at)
        for element in s.elements:
            present = [
                m for m in element.members if m.name in raw or (m.primitive and "_" + m.name in raw)
            ]
            if not present:
                if element.min:
                    self._missing(element, at, copy)
                continue
            if len(present) > 1:
                fault_one_of(self._ctx, at, element.name)
            for m in present:
                if m.primitive:
                    self._primitive(m, s, raw, at, copy)
                else:
                    self._complex(m, raw[m.name], at, copy)

    def _empty(
        self, raw: dict[str, Any], s: Shape, at: Path, copy: dict[str, Any], valued: bool
    ) -> None:
        if valued and raw:
            copy.update(raw)  # the id of a primitive that has its value
            return
        copy.update(stand_in(s))
        self.mended.append(expression(at))
        if raw:
            self._add(
                "invariant",
                at,
                "Regeln ele-1 är bruten: här finns bara ett id, inget värde och inga delar.",
                "Rule ele-1 is broken: there is only an id here, no value and no parts.",
            )
        else:
            self._add(
                "structure",
                at,
                "Objektet är tomt; utelämna det i stället.",
                "The object is empty; leave it out instead.",
            )

    def _missing(self, element: Element, at: Path, copy: dict[str, Any]) -> None:
        name = element.name + ("[x]" if element.choice else "")
        fault_required(self._ctx, at, name)
        m = element.members[0]
        self.mended.append(f"{expression(at)}.{name}")
        if not element.choice and not m.primitive:
            mend = _stand_in_for(m)
            copy[m.name] = [mend] if m.many else mend

    def _unknown(self, name: str, s: Shape, at: Path) -> None:
        if len(self.issues) >= MOST:
            self._cut = True
            return
        hint_sv = hint_en = ""
        choice = next((e for e in s.elements if e.choice and e.name == name), None)
        if choice is not None:
            names = ", ".join(m.name for m in choice.members[:8])
            names += " …" if len(choice.members) > 8 else ""
            hint_sv, hint_en = (
                f" Ange typen i namnet: {names}.",
                f" Give the type in the name: {names}.",
            )
        elif len(name) <= 60:
            near = difflib.get_close_matches(name.lstrip("_"), list(s.members), 1, 0.7)
            if near:
                hint_sv, hint_en = f" Menade du ”{near[0]}”?", f" Did you mean '{near[0]}'?"
        self._add(
            "structure",
            at,
            f"”{shown(name)}” finns inte i {s.path}.{hint_sv}",
            f"'{shown(name)}' is not in {s.path}.{hint_en}",
        )

    # Members

    def _complex(self, m: Member, value: Any, at: Path, copy: dict[str, Any]) -> None:
        if m.many:
            items = self._list(value, (at, m.name))
            if items is None:
                self._drop((at, m.name))
                return
            out: list[Any] = []
            copy[m.name] = out
            for i, item in enumerate(items):
                out.append(self._part(m, item, (at, m.name, i)))
        elif isinstance(value, list) and value:
            self._not_a_list((at, m.name))
            copy[m.name] = self._part(m, value[0], (at, m.name))
        else:
            copy[m.name] = self._part(m, value, (at, m.name))

    def _part(self, m: Member, value: Any, at: Path) -> dict[str, Any]:
        """One object of a member, put on the stack; what stands for it in the copy."""
        if not isinstance(value, dict):
            self._add(
                "structure",
                at,
                f"Här ska stå ett objekt, inte {kind_sv(value)}.",
                f"An object belongs here, not {kind_en(value)}.",
            )
        elif m.shape == "Resource":
            kind = value.get("resourceType")
            known = self.kind(kind, at)
            if known is not None:
                copy: dict[str, Any] = {"resourceType": known}
                self._todo.append((value, shape(known), at, copy, False))  # type: ignore[arg-type]
                return copy
        else:
            copy = {}
            self._todo.append((value, shape(m.shape), at, copy, False))  # type: ignore[arg-type]
            return copy
        self.mended.append(expression(at))
        return _stand_in_for(m)

    def kind(self, kind: Any, at: Path, code: str = "structure") -> str | None:
        """The resource type a `resourceType` names; None, and a fault, when it names none."""
        if isinstance(kind, str) and kind in resource_types():
            return kind
        if kind is None:
            self._add(code, at, "”resourceType” saknas.", "'resourceType' is missing.")
            return None
        hint_sv = hint_en = ""
        if isinstance(kind, str) and len(kind) <= 60:
            near = difflib.get_close_matches(kind, resource_types(), 1, 0.7)
            if near:
                hint_sv, hint_en = f" Menade du ”{near[0]}”?", f" Did you mean '{near[0]}'?"
        name = shown(kind) if isinstance(kind, str) else kind_en(kind)
        self._add(
            code,
            at,
            f"”{name}” är inte en resurstyp i FHIR R4.{hint_sv}",
            f"'{name}' is not a resource type of FHIR R4.{hint_en}",
        )
        return None

    def _primitive(
        self, m: Member, s: Shape, raw: dict[str, Any], at: Path, copy: dict[str, Any]
    ) -> None:
        extended = _may_extend(m, s) and "_" + m.name in raw
        if m.many:
            self._primitives(m, raw, at, copy, extended)
            return
        here = (at, m.name)
        has_value = m.name in raw
        if has_value:
            value = raw[m.name]
            if isinstance(value, list) and value:
                self._not_a_list(here)
                value = value[0]
            if self._value(m, value, here):
                copy[m.name] = value
            else:
                self.mended.append(expression(here))
        if extended:
            sibling = raw["_" + m.name]
            if isinstance(sibling, dict):
                copy["_" + m.name] = self._sibling(sibling, here, has_value)
            else:
                self._bad_sibling(sibling, here)

    def _primitives(
        self, m: Member, raw: dict[str, Any], at: Path, copy: dict[str, Any], extended: bool
    ) -> None:
        here = (at, m.name)
        values = self._list(raw[m.name], here) if m.name in raw else []
        siblings = self._list(raw["_" + m.name], here) if extended else []
        if values is None or siblings is None:
            self._drop(here)
            return
        if values and siblings and len(values) != len(siblings):
            fault_unequal(self._ctx, here)
            self._drop(here)
        elif any(
            (values[i] if values else None) is None and (siblings[i] if siblings else None) is None
            for i in range(max(len(values), len(siblings)))
        ):
            fault_null(self._ctx, here)
            self._drop(here)
        out: list[Any] = []
        for i, value in enumerate(values):
            good = value is None or self._value(m, value, (*here, i))
            out.append(value if good else None)
            if not good:
                self.mended.append(expression((*here, i)))
        if out:
            copy[m.name] = out
        beside: list[Any] = []
        for i, sibling in enumerate(siblings):
            has_value = i < len(values) and values[i] is not None
            if isinstance(sibling, dict):
                beside.append(self._sibling(sibling, (*here, i), has_value))
            else:
                beside.append(None)
                if sibling is not None:
                    self._bad_sibling(sibling, (*here, i))
        if beside:
            copy["_" + m.name] = beside

    def _value(self, m: Member, value: Any, at: Path) -> bool:
        """Whether a primitive value is good; tells why when it is not."""
        found = fault(value, m.type)
        if found is not None:
            code, sv, en = found
            self._add(code, at, sv, en)
            return False
        if m.type == "code" and m.binding and m.binding[0] == "required":
            codes = bound_plain(m.binding[1])
            if codes is not None and value not in codes:
                near = (
                    difflib.get_close_matches(value[:60], codes, 1, 0.6) if len(codes) > 12 else []
                )
                listed = ", ".join(sorted(codes)) if len(codes) <= 12 else (near[0] if near else "")
                word_sv, word_en = (
                    ("Tillåtna", "Allowed") if len(codes) <= 12 else ("Närmast", "Nearest")
                )
                self._add(
                    "code-invalid",
                    at,
                    f"Koden ”{shown(value)}” finns inte i {m.binding[1]}."
                    + (f" {word_sv}: {listed}." if listed else ""),
                    f"The code '{shown(value)}' is not in {m.binding[1]}."
                    + (f" {word_en}: {listed}." if listed else ""),
                )
                return False
        return True

    def _sibling(self, sibling: dict[str, Any], at: Path, has_value: bool) -> dict[str, Any]:
        copy: dict[str, Any] = {}
        self._todo.append((sibling, shape("Element"), at, copy, has_value))  # type: ignore[arg-type]
        return copy

    # Faults

    def _list(self, value: Any, at: Path) -> list[Any] | None:
        """The items of what should be a list; one item alone is taken as a list of it, and told."""
        if isinstance(value, list):
            if value:
                return value
            self._add(
                "structure",
                at,
                "Listan är tom; utelämna den i stället.",
                "The list is empty; leave it out instead.",
            )
            return None
        self._add(
            "structure",
            at,
            f"Här ska stå en lista, inte {kind_sv(value)}: sätt hakparenteser om.",
            f"A list belongs here, not {kind_en(value)}: put it in square brackets.",
        )
        return [value] if value is not None else None

    def _not_a_list(self, at: Path) -> None:
        self._add(
            "structure",
            at,
            "Här ska stå ett värde, inte en lista.",
            "One value belongs here, not a list.",
        )

    def _bad_sibling(self, sibling: Any, at: Path) -> None:
        self._drop(at)
        self._add(
            "structure",
            at,
            f"Tilläggen till ett värde står i ett objekt, inte i {kind_sv(sibling)}.",
            f"The extensions of a value stand in an object, not in {kind_en(sibling)}.",
        )

    def _drop(self, at: Path) -> None:
        self.mended.append(expression(at))

    def _add(self, code: str, at: Path, sv: str, en: str) -> None:
        if len(self.issues) >= MOST:
            self._cut = True
            return
        self._ctx.add(code, at, sv, en)


def _may_extend(m: Member, s: Shape) -> bool:
    """Ids, and the url of an extension, are plain values that carry no extensions of their own."""
    return m.primitive and m.name != "id" and not (s.path == "Extension" and m.name == "url")


def _stand_in_for(m: Member) -> dict[str, Any]:
    if m.shape == "Resource":
        return dict(STAND_IN)
    found = shape(m.shape) if m.shape else None
    return stand_in(found) if found else {}


def stand_in(s: Shape) -> dict[str, Any]:
    """The least object the generated class of a shape takes: its required structures, empty."""
    out: dict[str, Any] = {}
    for e in s.elements:
        m = e.members[0] if e.members else None
        if e.min and not e.choice and m is not None and not m.primitive:
            inner = _stand_in_for(m)
            out[m.name] = [inner] if m.many else inner
    return out
