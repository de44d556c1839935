"""The second pass: one `check_X(v, at, ctx)` per class for what types cannot say."""

from __future__ import annotations

import re

from .definitions import PRIMITIVES, Definitions, Field, Structure, python_name
from .invariants import Translator, Untranslatable
from .models import Codes

LOOKED_UP = {
    "code": ("check_code", "CODES"), "uri": ("check_uri", "URIS"), "url": ("check_uri", "URIS"),
    "canonical": ("check_uri", "URIS"),
}  # fmt: skip
DATES = ("date", "dateTime", "instant")
NATIVE = {"dom-2", "dom-3", "dom-4", "dom-5", "txt-1", "txt-2", "ref-1"}
# Invariants in common use that the translator does not take, by hand; True when they hold.
BY_HAND = {
    "obs-7": "observation_value_once(v)",
    "tim-9": "v.offset is None or v.when is not None and not {'C', 'CM', 'CD', 'CV'} & set(v.when)",
    "que-1": "(v.type != 'group' or v.item is not None) and (v.type != 'display' or v.item is None)",
    "que-2": "link_ids_distinct(v)",
    "ras-2": "v.probabilityDecimal is None or v.probabilityDecimal <= 100",
    "bdl-7": "full_urls_distinct(v)",
    "bdl-11": "v.type != 'document' or bool(v.entry) and type(v.entry[0].resource).__name__ == 'Composition'",
    "bdl-12": "v.type != 'message' or bool(v.entry) and type(v.entry[0].resource).__name__ == 'MessageHeader'",
    "cnt-3": "(v.code is not None or v.value is None) and v.system in (None, 'http://unitsofmeasure.org')"
    " and v.code in (None, '1') and (v.value is None or v.value == int(v.value))",
    "que-7": "v.operator != 'exists' or v.answerBoolean is not None",
    "ctm-1": "True",  # needs resolve(): checked where references are resolved
}
# Ids carry no extensions, so the classes have no `_id` for "exists" to look at.
ID_SIBLING = re.compile(r" or [\w.]+\._id is not None")
SIMPLE_QUANTITY = "http://hl7.org/fhir/StructureDefinition/SimpleQuantity"


class Checks:
    """Builds check functions; counts what had to be left to fhirpathpy."""

    def __init__(self, definitions: Definitions, codes: Codes) -> None:
        self.d = definitions
        self.codes = codes
        self.targets: dict[tuple[str, ...], str] = {}
        self.fallback: list[str] = []

    def _targets(self, targets: tuple[str, ...]) -> str:
        if not targets or "Resource" in targets:
            return "None"
        return self.targets.setdefault(targets, f"TO_{len(self.targets)}")

    def constants(self) -> list[str]:
        """Lines that define the target sets used so far; clears them (one module each)."""
        lines = [f"{name} = frozenset({targets!r})" for targets, name in self.targets.items()]
        self.targets = {}
        return lines

    def function(self, s: Structure) -> list[str]:
        """Source lines of the check function of a class."""
        body: list[str] = []
        if s.kind == "resource" and s.field("contained"):
            body += ["if v.contained is not None:", "    check_contained(v, at, ctx)"]
        order = self._attribute_order(s)
        for f in s.fields:
            if f.name == "contained" or (f.name == "id" and f.types[0].code in ("id", "string")):
                continue
            if f.choice and len(f.types) > 12:
                body += self._open_choice(s, f, order)
            else:
                body += self._field(f)
            for c in f.constraints:
                if not any(c in self._own(t.code) for t in f.types):
                    body += self._field_constraint(s, f, c)
        if s.name == "Extension":
            body += [
                "if (n != 0) == (v.extension is not None):",
                '    fault_invariant(ctx, at, "ext-1", "either extensions or value[x], not both")',
            ]
        if s.name == "Narrative":
            body.append("check_narrative(v, at, ctx)")
        for c in s.constraints:
            body += self._constraint(s, c)
        return [f"def check_{s.name}(v, at, ctx):"] + ["    " + b for b in body or ["pass"]]

    def _own(self, code: str) -> list[dict[str, str]]:
        s = self.d.structures.get(code)
        return s.constraints if s else []

    def _attribute_order(self, s: Structure) -> list[str]:
        names: list[str] = []
        chain = [s]
        while chain[-1].base in self.d.structures:
            chain.append(self.d.structures[chain[-1].base])  # type: ignore[index]
        for part in reversed(chain):
            own = self.d.own_fields(part)
            names += [n for f in own for n, _ in f.attributes]
            names += [
                "_" + n
                for f in own
                for n, t in f.attributes
                if t.code in PRIMITIVES
                and n != "id"
                and not (part.name == "Extension" and n == "url")
            ]
        return names

    def _open_choice(self, s: Structure, f: Field, order: list[str]) -> list[str]:
        attrs = f.attributes
        start = order.index(attrs[0][0])
        table = []
        for name, t in attrs:
            check = (
                "check_day"
                if t.code in DATES
                else "check_number"
                if t.code == "decimal"
                else LOOKED_UP.get(t.code, (None,))[0]
            )
            if t.code not in PRIMITIVES:
                check = f"check_{t.code}"
                if t.code == "Reference":
                    check = "check_any_reference"
            table.append(f'("{name}", {check}),')
        lines = [
            f"n = open_choice(v, {start}, CHOICE_{s.name}_{f.name}, at, ctx)",
            "if n > 1:",
            f'    fault_one_of(ctx, at, "{f.name}")',
        ]
        if f.min:
            lines += ["elif n == 0:", f'    fault_required(ctx, at, "{f.name}[x]")']
        self.choices.append(f"CHOICE_{s.name}_{f.name} = (")
        self.choices += ["    " + t for t in table] + [")"]
        return lines

    choices: list[str] = []

    def take_choices(self) -> list[str]:
        """Tables of the open choices met so far; clears them."""
        lines, self.choices = self.choices, []
        return lines

    def _field(self, f: Field) -> list[str]:
        lines: list[str] = []
        if f.choice:
            lines.append("n = 0")
        for json_name, t in f.attributes:
            a = python_name(json_name)
            at = f'(at, "{json_name}")'
            primitive = t.code in PRIMITIVES
            inner: list[str] = []
            if f.many:
                each: list[str] = []
                if not primitive:
                    each = self._value(f, t.code, t.targets, t.profiles, f'(at, "{json_name}", i)')
                elif t.code in LOOKED_UP and not (t.code == "code" and self.codes.literal(f)):
                    fn, known = LOOKED_UP[t.code]
                    each = [
                        f"if x is not None and x not in {known}:",
                        f'    {fn}(x, (at, "{json_name}", i), ctx)',
                    ]
                elif t.code in DATES:
                    each = [
                        'if x is not None and x[8:10] > "28":',
                        f'    check_day(x, (at, "{json_name}", i), ctx)',
                    ]
                if each:
                    inner = [f"for i, x in enumerate(v.{a}):"] + ["    " + e for e in each]
                if inner:
                    lines += [f"if v.{a} is not None:"] + ["    " + i for i in inner]
                if primitive:
                    lines += [
                        f"if v._{json_name} is not None or v.{a} is not None and None in v.{a}:",
                        f"    check_nulls(v.{a}, v._{json_name}, {at}, ctx)",
                        f"    for i, x in enumerate(v._{json_name} or ()):",
                        "        if x is not None:",
                        f'            check_Element(x, (at, "_{json_name}", i), ctx)',
                    ]
                    if f.min:
                        lines += [
                            f"if v.{a} is None and v._{json_name} is None:",
                            f'    fault_required(ctx, at, "{json_name}")',
                        ]
                continue
            if primitive:
                if f.choice:
                    lines += [f"if v.{a} is not None or v._{json_name} is not None:", "    n += 1"]
                if t.code in DATES:
                    lines += [
                        f'if v.{a} is not None and v.{a}[8:10] > "28":',
                        f"    check_day(v.{a}, {at}, ctx)",
                    ]
                if t.code in LOOKED_UP and not (t.code == "code" and self.codes.literal(f)):
                    fn, known = LOOKED_UP[t.code]
                    lines += [
                        f"if v.{a} is not None and v.{a} not in {known}:",
                        f"    {fn}(v.{a}, {at}, ctx)",
                    ]
                if t.code == "decimal":
                    lines += [
                        f"if v.{a} is not None and not -400 < v.{a}.adjusted() < 400:",
                        f"    fault_number({at}, ctx)",
                    ]
                if json_name == "url" and f.path == "Extension.url":
                    lines += ["if v.url is None:", '    fault_required(ctx, at, "url")']
                    continue
                lines += [
                    f"if v._{json_name} is not None:",
                    f'    check_Element(v._{json_name}, (at, "_{json_name}"), ctx)',
                ]
                if f.min and not f.choice:
                    lines += [f"elif v.{a} is None:", f'    fault_required(ctx, at, "{json_name}")']
                continue
            lines += [f"x = v.{a}", "if x is not None:"]
            if f.choice:
                lines.append("    n += 1")
            lines += ["    " + e for e in self._value(f, t.code, t.targets, t.profiles, at)]
        if f.choice:
            lines += ["if n > 1:", f'    fault_one_of(ctx, at, "{f.name}")']
            if f.min:
                lines += ["elif n == 0:", f'    fault_required(ctx, at, "{f.name}[x]")']
        return lines

    def _value(
        self, f: Field, code: str, targets: tuple[str, ...], profiles: tuple[str, ...], at: str
    ) -> list[str]:
        if code == "Resource":
            return [f"check_inner(x, {at}, ctx)"]
        if code == "Reference":
            return [
                f"check_reference(x, {at}, {self._targets(targets)}, ctx)",
                "if x.extension is not None or x.identifier is not None:",
                f"    check_Reference(x, {at}, ctx)",
            ]
        lines = [f"check_{code}(x, {at}, ctx)"]
        if code in ("CodeableConcept", "Coding"):
            members = self.codes.member_set(f)
            if members and f.binding:
                fn = "check_codeable" if code == "CodeableConcept" else "check_coding"
                lines.append(f"{fn}(x, {at}, {members}, {f.binding[1]!r}, ctx)")
        if SIMPLE_QUANTITY in profiles:
            lines += [
                "if x.comparator is not None:",
                f'    fault_invariant(ctx, {at}, "sqty-1", "The comparator is not used on a SimpleQuantity")',
            ]
        return lines

    def _truth(self, s: Structure, expression: str, v: str = "v") -> str:
        return ID_SIBLING.sub("", Translator(self.d, s, v).truth(expression))

    def _constraint(self, s: Structure, c: dict[str, str]) -> list[str]:
        if c["key"] in NATIVE or not c["expression"]:
            return []
        human = c["human"]
        try:
            code = BY_HAND.get(c["key"]) or self._truth(s, c["expression"])
        except Untranslatable:
            self.fallback.append(f"{s.path} {c['key']}")
            return [f"run_fhirpath(v, at, {c['key']!r}, {human!r}, {c['expression']!r}, ctx)"]
        return [f"if not ({code}):", f"    fault_invariant(ctx, at, {c['key']!r}, {human!r})"]

    def _field_constraint(self, s: Structure, f: Field, c: dict[str, str]) -> list[str]:
        """A constraint that stands on an element, not on its type."""
        if c["key"] in NATIVE or f.choice or f.types[0].code in PRIMITIVES:
            return []
        t = self.d.structures.get(f.types[0].code)
        if t is None or c in t.constraints or any(k["key"] == c["key"] for k in t.constraints):
            return []
        a = python_name(f.name)
        many = f.many
        try:
            expression = c["expression"]
            if expression == "where(use = 'home').empty()":
                code = "(not (x.use == 'home'))"
            else:
                code = self._truth(t, expression, "x")
        except Untranslatable:
            self.fallback.append(f"{f.path} {c['key']}")
            return []
        at = f'(at, "{f.name}", i)' if many else f'(at, "{f.name}")'
        fault = [
            f"if not ({code}):",
            f"    fault_invariant(ctx, {at}, {c['key']!r}, {c['human']!r})",
        ]
        if many:
            return [f"for i, x in enumerate(v.{a} or ()):"] + ["    " + x for x in fault]
        return [f"x = v.{a}", "if x is not None:"] + ["    " + x for x in fault]
