"""FHIRPath invariants → Python expressions on the generated classes.

The parser is fhirpathpy's; this walks its tree with the static types of the definitions at hand, so
that `value.empty() or system.exists()` becomes two attribute tests. Logic is three-valued as in
FHIRPath (None is "empty"), and an invariant that comes out empty has not been met. What this does not
know (`resolve()`, `descendants()`, regular expressions over paths …) raises `Untranslatable`: the
check then runs the expression with fhirpathpy when the element is present.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from fhirpathpy.parser import parse

from .definitions import PRIMITIVES, Definitions, Structure, python_name

Node = dict[str, Any]
NUMBERS = {"decimal", "integer", "positiveInt", "unsignedInt"}


class Untranslatable(Exception):
    """The expression uses something this translator does not know."""


@dataclass
class Items:
    """A collection: Python code for its items, and cheaper code for special questions."""

    items: str
    type: str | None
    exists: str | None = None
    single: str | None = None  # code that is None or the only item
    structure: Structure | None = None

    def nonempty(self) -> str:
        return self.exists or f"bool({self.items})"


@dataclass
class Truth:
    """A boolean: `two` tells that the code can only give True or False, never None."""

    code: str
    two: bool


@dataclass
class Value:
    """A number or string known to be there."""

    code: str


Result = Items | Truth | Value


class Translator:
    """Translates one invariant standing on `structure`, whose instance is in variable `v`."""

    def __init__(self, definitions: Definitions, structure: Structure, v: str = "v") -> None:
        self.d = definitions
        self.structure = structure
        self.v = v
        self.fresh = (f"_{i}" for i in itertools.count())

    def truth(self, expression: str) -> str:
        """Python code that is True when the invariant holds."""
        tree = parse(expression)
        node = tree["children"][0]
        context = Items(f"[{self.v}]", self.structure.name, "True", self.v, self.structure)
        t = self.boolean(self.eval(node, context))
        return t.code if t.two else f"({t.code}) is True"

    def boolean(self, r: Result) -> Truth:
        if isinstance(r, Truth):
            return r
        if isinstance(r, Items) and r.type == "boolean" and r.single:
            return Truth(r.single, False)
        if isinstance(r, Items):
            raise Untranslatable("a collection used as a boolean")
        raise Untranslatable("a value used as a boolean")

    def eval(self, node: Node, ctx: Items) -> Result:
        kind = node["type"]
        kids = node.get("children", [])
        method = getattr(self, "_" + kind, None)
        if method is not None:
            return method(node, kids, ctx)
        if len(kids) == 1:
            return self.eval(kids[0], ctx)
        raise Untranslatable(kind)

    # logic

    def _logic(self, kids: list[Node], ctx: Items, two: str, three: str) -> Truth:
        a, b = (self.boolean(self.eval(k, ctx)) for k in kids)
        if a.two and b.two:
            return Truth("(" + two.format(a=a.code, b=b.code) + ")", True)
        return Truth(f"{three}({a.code}, {b.code})", False)

    def _OrExpression(self, node: Node, kids: list[Node], ctx: Items) -> Truth:
        if node["terminalNodeText"][0] == "xor":
            return self._logic(kids, ctx, "({a}) != ({b})", "xor3")
        return self._logic(kids, ctx, "{a} or {b}", "or3")

    def _AndExpression(self, node: Node, kids: list[Node], ctx: Items) -> Truth:
        return self._logic(kids, ctx, "{a} and {b}", "and3")

    def _ImpliesExpression(self, node: Node, kids: list[Node], ctx: Items) -> Truth:
        return self._logic(kids, ctx, "not ({a}) or {b}", "implies3")

    # comparison

    def scalar(self, r: Result) -> tuple[str, str | None]:
        if isinstance(r, Value):
            return r.code, None
        if isinstance(r, Truth):
            return f"({r.code})", "boolean"
        if r.single is None:
            raise Untranslatable("comparison of a collection")
        return r.single, r.type

    def _EqualityExpression(self, node: Node, kids: list[Node], ctx: Items) -> Truth:
        left, right = (self.eval(k, ctx) for k in kids)
        op = node["terminalNodeText"][0]
        if isinstance(left, Truth) and isinstance(right, Truth) and left.two and right.two:
            return Truth(f"(({left.code}) {'==' if op == '=' else '!='} ({right.code}))", True)
        (a, ta), (b, tb) = self.scalar(left), self.scalar(right)
        for t in (ta, tb):
            if t is not None and t not in PRIMITIVES:
                raise Untranslatable("equality of structures")
        if op not in ("=", "!="):
            raise Untranslatable(op)
        return Truth(f"{'eq3' if op == '=' else 'ne3'}({a}, {b})", False)

    def _InequalityExpression(self, node: Node, kids: list[Node], ctx: Items) -> Truth:
        left, right = (self.eval(k, ctx) for k in kids)
        (a, _), (b, _) = self.scalar(left), self.scalar(right)
        return Truth(f"compare3({a}, {node['terminalNodeText'][0]!r}, {b})", False)

    def _AdditiveExpression(self, node: Node, kids: list[Node], ctx: Items) -> Value:
        left, right = (self.eval(k, ctx) for k in kids)
        if (
            isinstance(left, Value)
            and isinstance(right, Value)
            and node["terminalNodeText"] == ["+"]
        ):
            return Value(f"({left.code} + {right.code})")
        raise Untranslatable("arithmetic")

    def _MembershipExpression(self, node: Node, kids: list[Node], ctx: Items) -> Truth:
        if node["terminalNodeText"][0] != "in":
            raise Untranslatable("contains")
        a, _ = self.scalar(self.eval(kids[0], ctx))
        members = self._literals(kids[1])
        return Truth(f"in3({a}, {{{', '.join(members)}}})", False)

    def _literals(self, node: Node) -> list[str]:
        if node["type"] == "UnionExpression":
            return [m for k in node["children"] for m in self._literals(k)]
        if node["type"] == "StringLiteral":
            return [repr(self._string(node))]
        if len(node.get("children", [])) == 1:
            return self._literals(node["children"][0])
        raise Untranslatable("membership of something that is not a list of texts")

    def _TypeExpression(self, node: Node, kids: list[Node], ctx: Items) -> Result:
        raise Untranslatable("type expression")

    # terms

    @staticmethod
    def _string(node: Node) -> str:
        text = node["text"][1:-1]
        if "\\" in text:
            raise Untranslatable("escapes")
        return str(text)

    def _StringLiteral(self, node: Node, kids: list[Node], ctx: Items) -> Value:
        return Value(repr(self._string(node)))

    def _NumberLiteral(self, node: Node, kids: list[Node], ctx: Items) -> Value:
        return Value(node["text"])

    def _BooleanLiteral(self, node: Node, kids: list[Node], ctx: Items) -> Truth:
        return Truth(node["text"].capitalize(), True)

    def _ParenthesizedTerm(self, node: Node, kids: list[Node], ctx: Items) -> Result:
        return self.eval(kids[0], ctx)

    def _ExternalConstant(self, node: Node, kids: list[Node], ctx: Items) -> Result:
        name = kids[0].get("text")
        if name == "ucum":
            return Value("'http://unitsofmeasure.org'")
        owner = self.d.structures[self.structure.owner]
        if name == "resource" and owner.kind == "resource":
            return Items("[ctx.resource]", owner.name, "True", "ctx.resource", owner)
        if name == "context":
            return Items(f"[{self.v}]", self.structure.name, "True", self.v, self.structure)
        raise Untranslatable(f"%{name}")

    def _MemberInvocation(self, node: Node, kids: list[Node], ctx: Items) -> Items:
        name = kids[0]["text"].strip("`")
        if ctx.structure is None:
            raise Untranslatable(f"{name} of an unknown type")
        if name == ctx.structure.name and ctx.structure.kind == "resource":
            return ctx
        f = ctx.structure.field(name)
        if f is None:
            raise Untranslatable(f"{name} is not in {ctx.structure.name}")
        attrs = [(python_name(n), t.code) for n, t in f.attributes]
        type_code = attrs[0][1] if len(attrs) == 1 else None
        if type_code in ("Resource",):
            type_code = None
        structure = self.d.structures.get(type_code) if type_code else None
        primitive = type_code in PRIMITIVES
        e = ctx.single
        if (e is not None and e.isidentifier()) or e == "ctx.resource":
            refs = [f"{e}.{a}" for a, _ in attrs]
            tests = [f"{r} is not None" for r in refs]
            for (a, t), _ in zip(attrs, refs, strict=True):
                if t in PRIMITIVES:
                    tests.append(f"{e}._{a.removesuffix('_')} is not None")
            exists = "(" + " or ".join(tests) + ")" if len(tests) > 1 else f"({tests[0]})"
            if f.many:
                return Items(f"({refs[0]} or ())", type_code, exists, None, structure)
            if len(refs) == 1:
                return Items(
                    f"([{refs[0]}] if {refs[0]} is not None else [])",
                    type_code, exists, refs[0], structure,
                )  # fmt: skip
            return Items(f"present({', '.join(refs)})", None, exists, None, None)
        x, y = next(self.fresh), next(self.fresh)
        if f.many:
            code = f"[{y} for {x} in {ctx.items} for {y} in ({x}.{attrs[0][0]} or ())]"
            return Items(code, type_code, None, None, structure)
        if len(attrs) == 1:
            code = f"[{y} for {x} in {ctx.items} if ({y} := {x}.{attrs[0][0]}) is not None]"
            if primitive:
                a = attrs[0][0]
                exists = (
                    f"any({x}.{a} is not None or {x}._{a.removesuffix('_')} is not None"
                    f" for {x} in {ctx.items})"
                )
                return Items(code, type_code, exists, None, structure)
            return Items(code, type_code, None, None, structure)
        parts = ", ".join(f"{x}.{a}" for a, _ in attrs)
        return Items(f"[{y} for {x} in {ctx.items} for {y} in present({parts})]", None)

    def _InvocationExpression(self, node: Node, kids: list[Node], ctx: Items) -> Result:
        left = self.eval(kids[0], ctx)
        return self.invoke(left, kids[1], ctx)

    def _FunctionInvocation(self, node: Node, kids: list[Node], ctx: Items) -> Result:
        return self.invoke(ctx, node, ctx)

    def invoke(self, left: Result, node: Node, ctx: Items) -> Result:
        if node["type"] == "MemberInvocation":
            if not isinstance(left, Items):
                raise Untranslatable("member of a value")
            return self._MemberInvocation(node, node["children"], left)
        if node["type"] != "FunctionInvocation":
            raise Untranslatable(node["type"])
        functn = node["children"][0]
        name = functn["children"][0]["text"]
        params = functn["children"][1]["children"] if len(functn["children"]) > 1 else []
        if name == "not":
            t = self.boolean(left)
            return Truth(f"(not {t.code})", True) if t.two else Truth(f"not3({t.code})", True)
        if not isinstance(left, Items):
            raise Untranslatable(f"{name}() of a value")
        if name in ("exists", "empty") and not params:
            code = left.nonempty()
            return Truth(code if name == "exists" else f"(not {code})", True)
        if name == "hasValue" and left.single:
            return Truth(f"({left.single} is not None)", True)
        if name == "count":
            return Value(f"len({left.items})")
        if name == "isDistinct":
            if left.type not in PRIMITIVES:
                raise Untranslatable("isDistinct of structures")
            return Truth(f"distinct({left.items})", True)
        if name in ("where", "all", "exists", "select"):
            return self._filter(name, left, params)
        single = left.single and left.type in PRIMITIVES
        if name in ("startsWith", "contains") and single and params[:1]:
            text = self.eval(params[0], ctx)
            if isinstance(text, Value):
                return Truth(f"{name.lower()}3({left.single}, {text.code})", False)
        raise Untranslatable(f"{name}()")

    def _filter(self, name: str, left: Items, params: list[Node]) -> Result:
        x = next(self.fresh)
        each = Items(f"[{x}]", left.type, "True", x, left.structure)
        if left.structure is None:
            raise Untranslatable(f"{name}() over an unknown type")
        body = self.eval(params[0], each)
        if name == "select":
            if not isinstance(body, Items) or body.type not in PRIMITIVES:
                raise Untranslatable("select()")
            y = next(self.fresh)
            return Items(f"[{y} for {x} in {left.items} for {y} in {body.items}]", body.type)
        t = self.boolean(body)
        code = t.code if t.two else f"({t.code}) is True"
        if name == "all":
            return Truth(f"all({code} for {x} in {left.items})", True)
        if name == "exists":
            return Truth(f"any({code} for {x} in {left.items})", True)
        return Items(
            f"[{x} for {x} in {left.items} if {code}]", left.type, None, None, left.structure
        )
