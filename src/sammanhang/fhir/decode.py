"""Bytes → checked resource → bytes. Decoding is validation; what types cannot say comes after.

`decode` is the door for everything from outside: it either returns a resource that keeps all rules
of its type, or raises `Invalid` with every fault. The fast path is msgspec and the generated second
pass; only a resource with a fault, or something the fast path cannot judge alone (a repeated key, an
empty object), is read again by the validator that explains (`validator.py`).
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import msgspec

from sammanhang.kernel.errors import Invalid, Issue, TooLarge, Unprocessable

from .checking import Context
from .r4 import CHECKS, CLASSES, INDEXERS, AnyResource

_any: msgspec.json.Decoder[Any] = msgspec.json.Decoder(AnyResource)
_typed: dict[str, msgspec.json.Decoder[Any]] = {}
_encoder = msgspec.json.Encoder(decimal_format="number")
_raw = msgspec.json.Decoder(float_hook=Decimal)

# Only brackets survive: what is left of a body to measure how deep it is.
_NOT_BRACKETS = bytes(b for b in range(256) if b not in b"{}[]")
_ONLY_ID = re.compile(rb'\{"id":"[^"]*"\}')
_CONTROL = re.compile(rb"\\u00[01][0-9a-fA-F]|\\u[dD][89a-fA-F]")
MAX_DEPTH = 100


def typed_decoder(kind: str) -> msgspec.json.Decoder[Any]:
    """The decoder of one resource type; raises KeyError for an unknown type."""
    decoder = _typed.get(kind)
    if decoder is None:
        decoder = _typed[kind] = msgspec.json.Decoder(CLASSES[kind])
    return decoder


def encode(resource: Any) -> bytes:
    """Compact JSON of a resource, members in the order of the specification, decimals as numbers."""
    return _encoder.encode(resource)


def depth(body: bytes, limit: int) -> int:
    """How deep JSON nests, counting no further than `limit` + 1; brackets in texts may add to it."""
    left = body.translate(None, _NOT_BRACKETS)
    level = 0
    while left and level <= limit:
        shorter = left.replace(b"{}", b"").replace(b"[]", b"")
        if len(shorter) == len(left):
            return level
        left = shorter
        level += 1
    return level


def trusted(body: bytes, kind: str) -> Any:
    """A resource the store itself wrote: decoded without the second pass."""
    return typed_decoder(kind).decode(body)


def second_pass(resource: Any) -> list[Issue]:
    """Every rule a decoded resource breaks that its types could not refuse."""
    ctx = Context(resource)
    name = type(resource).__name__
    CHECKS[name](resource, name, ctx)
    return ctx.issues


def decode(body: bytes, kind: str | None = None, *, max_depth: int = MAX_DEPTH) -> Any:
    """A valid resource from JSON bytes; of type `kind` when given.

    Raises `Invalid` (not JSON, or not the shape of any resource), `Unprocessable` (breaks a rule of
    its type) with every fault as an issue, or `TooLarge` (nests deeper than `max_depth`).
    """
    if len(body) > 4096 and depth(body, max_depth) > max_depth:
        raise TooLarge(
            f"The JSON nests deeper than {max_depth} levels.",
            f"JSON-texten är djupare än {max_depth} nivåer.",
        )
    try:
        resource = (typed_decoder(kind) if kind else _any).decode(body)
        issues = second_pass(resource)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, ValueError) as e:
        raise explain(body, kind, str(e)) from None
    except RecursionError:
        raise TooLarge("The JSON nests too deep.", "JSON-texten är för djupt nästlad.") from None
    if issues:
        raise _unprocessable(issues)
    if suspicious(body, resource):
        found = _explained(body, kind)
        if found:
            raise _unprocessable(found)
    return resource


def suspicious(body: bytes, resource: Any) -> bool:
    """Whether the bytes may hold what decoding cannot see, judged against what we would write.

    A repeated key or a number sent as text shows as fewer quotation marks in what we would write than
    in what came; an element with nothing in it is written `{}`; control characters come in escapes.
    Cheap, and wrong only in the safe direction: a suspect is read again by the validator that
    explains.
    """
    ours = _encoder.encode(resource)
    if body.count(b'"') != ours.count(b'"') or b"{}" in ours:
        return True
    if b'{"id":"' in ours and _ONLY_ID.search(ours) is not None:
        return True
    if b"\\" not in body:
        return False
    return b"\\u" in body and (_CONTROL.search(body) is not None or b"\\u0022" in body)


def explain(body: bytes, kind: str | None, first: str) -> Invalid:
    """The error for bytes that did not decode: all faults found, or the decoder's own words."""
    found = _explained(body, kind)
    if found:
        return _unprocessable(found) if found[0].code != "invalid" else _malformed(found)
    return _malformed([Issue("structure", kind or "Resource", _swedish(first), first)])


def _explained(body: bytes, kind: str | None) -> list[Issue]:
    from .validator import explain_bytes

    return [i for i in explain_bytes(body, kind) if i.severity in ("error", "fatal")]


def _malformed(issues: list[Issue]) -> Invalid:
    return Invalid(issues[0].en, issues[0].sv, issues=tuple(issues))


def _unprocessable(issues: list[Issue]) -> Unprocessable:
    return Unprocessable(issues[0].en, issues[0].sv, issues=tuple(issues))


def _swedish(message: str) -> str:
    return f"Resursen kunde inte läsas: {message}"


def raw(body: bytes) -> Any:
    """Plain JSON values with decimals kept, for what is not (yet) a resource. Raises ValueError."""
    return _raw.decode(body)


def index(resource: Any, base: str = "") -> Any:
    """The search values of a resource; see `indexing.Index`."""
    from .indexing import Index

    ix = Index(base)
    INDEXERS[type(resource).__name__](resource, ix)
    if resource.meta is not None:
        _index_meta(resource.meta, ix)
    return ix


def _index_meta(meta: Any, ix: Any) -> None:
    for profile in meta.profile or ():
        if profile is not None:
            ix.canonical(PROFILE, profile)
    for tag in meta.tag or ():
        ix.coding(TAG, tag)
    for label in meta.security or ():
        ix.coding(SECURITY, label)
    if meta.source is not None:
        ix.canonical(SOURCE, meta.source)


from .indexing import slot  # noqa: E402

PROFILE = slot("Resource.meta.profile", "uri")
TAG = slot("Resource.meta.tag", "token")
SECURITY = slot("Resource.meta.security", "token")
SOURCE = slot("Resource.meta.source", "uri")
