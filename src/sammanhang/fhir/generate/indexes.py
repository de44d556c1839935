"""Search-parameter expressions → one `index_X(r, ix)` per resource type.

What is indexed is an element path, once, however many parameters name it: `Observation.code` serves
`code`, `combo-code` and every composite. A *slot* is such a path; the search compiler reads the
same table (`search.json`) to know which slots a parameter stands for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fhirpathpy.parser import parse

from .clinical_times import OWNERS, PRINCIPAL, SKIP
from .definitions import PRIMITIVES, Definitions, Field, Structure, python_name
from .models import Codes

Step = tuple[str, ...]  # ("member", n) ("where", n, value) ("as", type) ("first",)


class Unsupported(Exception):
    """An expression this generator does not take; the parameter is then not offered."""


@dataclass
class Slot:
    """An indexed path: name, what code reaches it, and the FHIR types found there."""

    name: str
    steps: list[Step]
    types: list[str] = field(default_factory=list)
    jsonpath: str = "$"
    many: bool = False

    @property
    def item(self) -> list[Any]:
        """As `search.json` has it: name, jsonpath, FHIR types, whether it may repeat."""
        return [self.name, self.jsonpath, self.types, self.many]


class Indexes:
    """Compiles the search parameters of every resource type."""

    def __init__(self, definitions: Definitions, codes: Codes) -> None:
        self.d = definitions
        self.codes = codes
        self.parameters: dict[str, dict[str, dict[str, Any]]] = {}
        self.refused: list[str] = []
        self.record: dict[str, str] = {}  # type → the reference that makes it part of whose record
        self.by_url: dict[str, dict[str, Any]] = {}
        self.raw = definitions.search_parameters()
        for sp in self.raw:
            self.by_url[sp["url"]] = sp
        self.compartment = definitions.patient_compartment()

    # reading expressions

    def steps(self, node: dict[str, Any]) -> list[Step]:
        kind, kids = node.get("type"), node.get("children", [])
        if kind == "InvocationExpression":
            return self.steps(kids[0]) + self._invocation(kids[1])
        if kind == "TypeExpression":
            spec = kids[1]["text"] if "text" in kids[1] else kids[1]["children"][0]["text"]
            return [*self.steps(kids[0]), ("as", spec)]
        if kind == "MemberInvocation" or kind == "FunctionInvocation":
            return self._invocation(node)
        if kind == "IndexerExpression":
            return [*self.steps(kids[0]), ("first",)]
        if len(kids) == 1:
            return self.steps(kids[0])
        raise Unsupported(str(kind))

    def _invocation(self, node: dict[str, Any]) -> list[Step]:
        if node["type"] == "MemberInvocation":
            return [("member", node["children"][0]["text"].strip("`"))]
        functn = node["children"][0]
        name = functn["children"][0]["text"]
        params = functn["children"][1]["children"] if len(functn["children"]) > 1 else []
        if name in ("as", "ofType"):
            return [("as", params[0]["text"])]
        if name == "where" and params[0]["type"] == "EqualityExpression":
            left, right = params[0]["children"]
            return [("where", left["text"], right["text"][1:-1])]
        if name == "where" and params[0]["type"] == "TypeExpression":
            return []  # resolve() is X: the target's type is in the value
        if name == "where" and "hasExtension" in str(params[0]):
            return []
        raise Unsupported(name)

    def parts(self, expression: str, owner: str) -> list[list[Step]]:
        """The branches of an expression that start at `owner`, without that first name."""
        expression = expression.replace("as DateTime", "as dateTime").replace(
            "as(DateTime)", "as(dateTime)"
        )
        found = []
        todo = [parse(expression)["children"][0]]
        while todo:
            node = todo.pop(0)
            if node["type"] in ("UnionExpression",):
                todo = node["children"] + todo
                continue
            if (
                node["type"] == "TermExpression"
                and node["children"][0]["type"] == "ParenthesizedTerm"
            ):
                inner = node["children"][0]["children"][0]
                if inner["type"] == "UnionExpression":
                    todo = inner["children"] + todo
                    continue
            steps = self.steps(node)
            if (
                steps
                and steps[0][0] == "member"
                and steps[0][1] in (owner, "Resource", "DomainResource")
            ):
                found.append(steps[1:])
        return found

    # walking types

    def resolve(self, structure: Structure, steps: list[Step]) -> Slot:
        """The slot of a path from a structure; Unsupported when a step does not exist."""
        slot = Slot(structure.path, steps)
        current: Structure | None = structure
        f: Field | None = None
        types: list[str] = [structure.name]
        for step in steps:
            if step[0] == "member":
                if current is None or (f := current.field(step[1])) is None:
                    raise Unsupported(f"{slot.name}.{step[1]}")
                types = [t.code for t in f.types]
                slot.many = slot.many or f.many
                slot.name += "." + step[1]
                slot.jsonpath += "." + (step[1] if not f.choice else "\0" + step[1])
            elif step[0] == "as":
                types = [t for t in types if t.lower() == step[1].lower()]
                if not types:
                    raise Unsupported(f"as {step[1]}")
                slot.name += ":" + types[0]
            elif step[0] == "where":
                slot.name += f"({step[1]}={step[2]})"
                slot.jsonpath += f' ? (@.{step[1]} == "{step[2]}")'
            elif step[0] == "first":
                slot.jsonpath += "[0]"
            current = self.d.structures.get(types[0]) if len(types) == 1 else None
        slot.types = types
        # a choice element is one JSON member per type
        if "\0" in slot.jsonpath:
            head, _, rest = slot.jsonpath.partition("\0")
            name, dot, tail = rest.partition(".")
            slot.jsonpath = "|".join(
                head + name + t[0].upper() + t[1:] + dot + tail
                for t in (types if not dot else [types[0]])
            )
        return slot

    def walk(
        self, structure: Structure, steps: list[Step], var: str, depth: int
    ) -> tuple[list[str], list[tuple[str, str, Field | None]]]:
        """Nested source lines that reach the values; the last line's body is left to the caller.

        Returns the opening lines (each one level deeper) and [(variable, type, field)].
        """
        lines: list[str] = []
        current: Structure | None = structure
        f: Field | None = None
        pending: list[tuple[str, str]] = []
        indent = 0
        for i, step in enumerate(steps):
            if step[0] == "member":
                assert current is not None
                f = current.field(step[1])
                assert f is not None
                if f.choice:
                    pending = [(f"{var}.{n}", t.code) for n, t in f.attributes]
                    continue
                x = f"x{depth}{i}"
                a = python_name(f.name)
                if f.many:
                    lines.append("    " * indent + f"for {x} in {var}.{a} or ():")
                    if f.types[0].code in PRIMITIVES:
                        indent += 1
                        lines.append("    " * indent + f"if {x} is not None:")
                else:
                    lines.append("    " * indent + f"if ({x} := {var}.{a}) is not None:")
                indent += 1
                var = x
                current = self.d.structures.get(f.types[0].code)
                pending = []
            elif step[0] == "as" and pending:
                pending = [(v, t) for v, t in pending if t.lower() == step[1].lower()]
                x = f"x{depth}{i}"
                lines.append("    " * indent + f"if ({x} := {pending[0][0]}) is not None:")
                indent += 1
                var = x
                current = self.d.structures.get(pending[0][1])
                pending = [(x, pending[0][1])]
                f = None
            elif step[0] == "where":
                lines.append("    " * indent + f"if {var}.{python_name(step[1])} == {step[2]!r}:")
                indent += 1
        if pending and pending[0][0] != var:
            return lines, [(v, t, f) for v, t in pending]
        t = pending[0][1] if pending else (f.types[0].code if f else structure.name)
        return lines, [(var, t, f)]

    # one value → index entries

    def emit(self, kind: str, slot: str, var: str, t: str, f: Field | None) -> str | None:
        """A call that stores one value of FHIR type `t` under a slot; None when it has no meaning."""
        if kind == "token":
            system = self.codes.system(f) if f is not None and t == "code" else None
            calls = {
                "Coding": f"ix.coding({slot}, {var})", "CodeableConcept": f"ix.concept({slot}, {var})",
                "Identifier": f"ix.identifier({slot}, {var})", "ContactPoint": f"ix.contact({slot}, {var})",
                "code": f"ix.code({slot}, {system!r}, {var})", "boolean": f"ix.boolean({slot}, {var})",
                "Quantity": None, "Range": None, "Reference": None, "Period": None, "dateTime": f"ix.present({slot})",
            }  # fmt: skip
            return calls.get(t, f"ix.code({slot}, None, {var})" if t in PRIMITIVES else None)
        if kind == "reference":
            if t == "Reference":
                return f"ix.reference({slot}, {var})"
            if t in ("canonical", "uri", "url", "oid", "uuid"):
                return f"ix.canonical({slot}, {var})"
            return None
        if kind == "string":
            if t == "HumanName":
                return f"ix.human_name({slot}, {var})"
            if t == "Address":
                return f"ix.address({slot}, {var})"
            return f"ix.string({slot}, {var})" if t in PRIMITIVES else None
        if kind == "date":
            calls = {
                "date": "moment",
                "dateTime": "moment",
                "instant": "moment",
                "Period": "period",
                "Timing": "timing",
            }
            return f"ix.{calls[t]}({slot}, {var})" if t in calls else None
        if kind == "quantity":
            if t in ("Quantity", "Age", "Duration", "Count", "Distance"):
                return f"ix.quantity({slot}, {var})"
            return {"Range": f"ix.range({slot}, {var})", "Money": f"ix.money({slot}, {var})"}.get(t)
        if kind == "number":
            if t in ("decimal", "integer", "positiveInt", "unsignedInt"):
                return f"ix.number({slot}, {var})"
            return f"ix.range({slot}, {var})" if t == "Range" else None
        if kind == "uri":
            return f"ix.uri({slot}, {var})" if t in PRIMITIVES else None
        raise Unsupported(kind)

    def of(self, name: str) -> tuple[list[str], list[str]]:
        """(constant lines, function lines) of a resource type; fills `self.parameters[name]`."""
        s = self.d.structures[name]
        table: dict[str, dict[str, Any]] = {}
        slots: dict[tuple[str, str], Slot] = {}
        composites: list[tuple[str, list[Step], list[tuple[str, str]]]] = []
        for sp in self.raw:
            if not ({name, "Resource", "DomainResource"} & set(sp["base"])) or sp["code"] in SKIP:
                continue
            if sp["code"].startswith("_"):
                continue  # the same for every type: `decode.index` does them
            code, kind = sp["code"], sp["type"]
            if kind == "special" or not sp.get("expression"):
                continue
            if kind == "composite":
                entry = self._composite(s, name, sp, composites)
                if entry:
                    table[code] = entry
                continue
            expression = sp["expression"]
            if (name, code) == ("Patient", "deceased"):
                table[code] = {
                    "type": "token",
                    "slots": [
                        [
                            "Patient.deceased",
                            "$.deceasedBoolean|$.deceasedDateTime",
                            ["boolean", "dateTime"],
                            False,
                        ]
                    ],
                }
                continue
            entry = {"type": kind, "slots": []}
            try:
                branches = self.parts(expression, name)
            except Unsupported as e:
                self.refused.append(f"{name}.{code}: {e}")
                continue
            for steps in branches:
                try:
                    slot = self.resolve(s, steps)
                except Unsupported as e:
                    self.refused.append(f"{name}.{code}: {e}")
                    continue
                slots.setdefault((kind, slot.name), slot)
                item = slot.item
                if item not in entry["slots"]:
                    entry["slots"].append(item)
            if not entry["slots"]:
                continue
            if kind == "reference":
                entry["targets"] = sorted(self._targets(s, sp, branches, code))
            table[code] = entry
        self.parameters[name] = table
        principal = table.get(PRINCIPAL.get(name, "date"))
        if principal is not None:
            principal["principal"] = True
        constants: list[str] = []
        body: list[str] = []
        used: dict[str, str] = {}

        def constant(slot_name: str, kind: str) -> str:
            key = f"{slot_name}|{kind}"
            if key not in used:
                used[key] = f"S{len(used)}"
                constants.append(f'{used[key]} = slot("{slot_name}", "{kind}")')
            return used[key]

        for (kind, slot_name), slot in sorted(slots.items()):
            principal_here = (
                kind == "date"
                and principal is not None
                and slot_name in [x[0] for x in principal["slots"]]
            )
            lines, values = self.walk(s, slot.steps, "r", 0)
            tail: list[str] = []
            for var, t, f in values:
                call = self.emit(kind, constant(slot_name, kind), var, t, f)
                if call is None:
                    continue
                if principal_here:
                    call = call.replace("ix.", "ix.occurred_")
                if len(values) > 1:
                    tail += [f"if {var} is not None:", "    " + call]
                else:
                    tail.append(call)
            if tail:
                depth = len(lines[-1]) - len(lines[-1].lstrip()) + 4 if lines else 0
                body += lines + [" " * depth + x for x in tail]
        if name == "Patient":
            p = constant("Patient.deceased", "token")
            body += [
                f"ix.boolean({p}, bool(r.deceasedBoolean) or r.deceasedDateTime is not None)",
            ]
        for slot_name, base, components in composites:
            body += self._composite_lines(s, name, slot_name, base, components, constant)
        body += self._compartment(name, table, constant)
        return constants, [f"def index_{name}(r, ix):"] + ["    " + b for b in body or ["pass"]]

    def _targets(
        self, s: Structure, sp: dict[str, Any], branches: list[list[Step]], code: str
    ) -> set[str]:
        found: set[str] = set()
        for steps in branches:
            current: Structure | None = s
            for step in steps:
                f = current.field(step[1]) if current and step[0] == "member" else None
                if f:
                    for t in f.types:
                        if t.code in ("Reference", "canonical"):
                            found |= set(t.targets)
                    current = self.d.structures.get(f.types[0].code)
        if "resolve() is" in sp["expression"]:
            wanted = sp["expression"].split("resolve() is ")[1].split(")")[0].strip()
            found &= {wanted} | ({"Resource"} & found)
            if not found or "Resource" in found:
                found = {wanted}
        if not found or "Resource" in found:
            found = set(sp.get("target") or [])
        return found or {"Resource"}

    # composites

    def _composite(
        self, s: Structure, name: str, sp: dict[str, Any], out: list[Any]
    ) -> dict[str, Any] | None:
        entry: dict[str, Any] = {"type": "composite", "parts": []}
        for branch in self._branches(sp["expression"], name):
            components = []
            for c in sp["component"]:
                definition = self.by_url.get(c["definition"])
                if definition is None:
                    return None
                components.append((definition["type"], c["expression"]))
            if not branch:
                items = []
                for kind, expression in components:
                    slots = [
                        self.resolve(s, steps)
                        for steps in self.parts(self._rooted(expression, name), name)
                    ]
                    items.append({"type": kind, "slots": [x.item for x in slots]})
                entry["parts"].append({"components": items})
            else:
                base_slot = self.resolve(s, branch)
                slot_name = base_slot.name + "$" + "$".join(e for _, e in components)
                entry["parts"].append({"slot": slot_name, "kinds": [k for k, _ in components]})
                if all(slot_name != o[0] for o in out):
                    out.append((slot_name, branch, components))
        return entry

    def _branches(self, expression: str, name: str) -> list[list[Step]]:
        return self.parts(expression, name)

    @staticmethod
    def _rooted(expression: str, name: str) -> str:
        return " | ".join(
            f"{name}.{p.strip().removeprefix('%resource.')}" for p in expression.split("|")
        )

    def _composite_lines(
        self,
        s: Structure,
        name: str,
        slot_name: str,
        base: list[Step],
        components: list[tuple[str, str]],
        constant: Any,
    ) -> list[str]:
        lines, values = self.walk(s, base, "r", 8)
        var, t, _ = values[0]
        inner_structure = self.d.structures[t]
        p = constant(slot_name, "composite")
        depth = len(lines[-1]) - len(lines[-1].lstrip()) + 4 if lines else 0
        body = ["parts = []"]
        level = ""
        for kind, expression in reversed(components):
            body.append(level + "ix.begin()")
            if expression.startswith("%resource."):
                start, structure, text = "r", s, self._rooted(expression, name)
                branches = self.parts(text, name)
            else:
                start, structure = var, inner_structure
                text = " | ".join(f"{name}.{x.strip()}" for x in expression.split("|"))
                branches = self.parts(text, name)
            for n, steps in enumerate(branches):
                more, found = self.walk(structure, steps, start, 90 + n)
                d = len(more[-1]) - len(more[-1].lstrip()) + 4 if more else 0
                tail = []
                for v, vt, f in found:
                    call = self.emit(kind, "0", v, vt, f)
                    if call is None:
                        continue
                    tail += [f"if {v} is not None:", "    " + call] if len(found) > 1 else [call]
                if tail:
                    body += [level + x for x in more + [" " * d + x for x in tail]]
            body.append(level + "if ix.end(parts):")
            level += "    "
        body.append(level + f"ix.composite({p}, parts)")
        return lines + [" " * depth + b for b in body]

    # compartments

    def _compartment(self, name: str, table: dict[str, Any], constant: Any) -> list[str]:
        if name == "Patient":
            return ["ix.own_patient(r)"]
        params = [p for p in self.compartment.get(name, []) if p in table]
        # A task or a device for somebody is of that person's record, though the specification's compartment
        # leaves it out: outside a record the wall would not keep it from those with no care relation.
        params = params or [p for p in OWNERS if "Patient" in table.get(p, {}).get("targets", ())]
        first = [p for p in OWNERS if p in params]
        ordered = first + [p for p in params if p not in first]
        lines: list[str] = []
        seen: set[str] = set()
        s = self.d.structures[name]
        for code in ordered:
            if table[code]["type"] != "reference":
                continue
            for slot_name, _, types, many in table[code]["slots"]:
                if slot_name in seen or "Reference" not in types:
                    continue
                if not seen and not many:
                    self.record[name] = slot_name
                seen.add(slot_name)
                for sp in self.raw:
                    if sp["code"] == code and name in sp["base"]:
                        for steps in self.parts(sp["expression"], name):
                            if self.resolve(s, steps).name == slot_name:
                                more, found = self.walk(s, steps, "r", 5)
                                d = len(more[-1]) - len(more[-1].lstrip()) + 4 if more else 0
                                for v, vt, _ in found:
                                    if vt == "Reference":
                                        pre = [f"if {v} is not None:"] if len(found) > 1 else []
                                        pad = "    " if pre else ""
                                        lines += more + [
                                            " " * d + x
                                            for x in [*pre, pad + f"ix.compartment({v})"]
                                        ]
                        break
        return lines
