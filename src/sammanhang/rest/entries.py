"""The entries of a batch or transaction, taken apart; their resources stay bytes until needed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import msgspec

from sammanhang.fhir.decode import decode
from sammanhang.fhir.r4 import TYPE_NAMES
from sammanhang.kernel.errors import Invalid, Issue, Refused, SammanhangError, TooLarge

from . import write
from .request import Answer, FhirRequest

_NONE = msgspec.Raw(b"")
ID = re.compile(r"[A-Za-z0-9.-]{1,64}\Z")
METHODS = ("DELETE", "POST", "PUT", "PATCH", "GET", "HEAD")


class LightRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Bundle.entry.request, as far as processing needs it."""

    method: str
    url: str
    ifNoneMatch: str | None = None
    ifModifiedSince: str | None = None
    ifMatch: str | None = None
    ifNoneExist: str | None = None
    id: msgspec.Raw = _NONE
    extension: msgspec.Raw = _NONE
    modifierExtension: msgspec.Raw = _NONE


class LightEntry(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """An entry whose resource is still bytes: each is decoded once, when its references are final."""

    fullUrl: str | None = None
    resource: msgspec.Raw = _NONE
    request: LightRequest | None = None
    id: msgspec.Raw = _NONE
    extension: msgspec.Raw = _NONE
    modifierExtension: msgspec.Raw = _NONE
    link: msgspec.Raw = _NONE
    search: msgspec.Raw = _NONE
    response: msgspec.Raw = _NONE


class LightBundle(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    resourceType: str
    type: str | None = None
    entry: list[LightEntry] = []
    id: msgspec.Raw = _NONE
    meta: msgspec.Raw = _NONE
    implicitRules: msgspec.Raw = _NONE
    language: msgspec.Raw = _NONE
    identifier: msgspec.Raw = _NONE
    timestamp: msgspec.Raw = _NONE
    total: msgspec.Raw = _NONE
    link: msgspec.Raw = _NONE
    signature: msgspec.Raw = _NONE


_light = msgspec.json.Decoder(LightBundle)
_encoder = msgspec.json.Encoder()


def bundle_of(body: bytes, limit: int) -> LightBundle:
    """The Bundle in a body, of type batch or transaction. Raises `Invalid` or `TooLarge`."""
    try:
        bundle = _light.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        decode(body, "Bundle")  # says everything that is wrong
        raise fault("Bundle", "Bundle går inte att läsa.", "The Bundle cannot be read.") from None
    if bundle.resourceType != "Bundle" or bundle.type not in ("batch", "transaction"):
        raise fault(
            "Bundle.type",
            "Hit skickas en Bundle av typen batch eller transaction.",
            "A Bundle of type batch or transaction is expected here.",
        )
    if len(bundle.entry) > limit:
        raise TooLarge(f"At most {limit} entries.", f"Högst {limit} poster.")
    if _encoder.encode(bundle).count(b'"') != body.count(b'"'):
        decode(body, "Bundle")  # a member that stands twice: nobody may choose between them
    return bundle


@dataclass
class Item:
    """One entry in work."""

    number: int
    entry: LightEntry
    method: str
    type: str
    id: str | None
    query: str
    change: write.Change | None = None
    existing: Any = None
    found: str | None = None
    answer: Answer | None = None
    was: bool = False
    new_id: str | None = None
    body: bytes = b""
    headers: dict[bytes, bytes] = field(default_factory=dict)

    @property
    def at(self) -> str:
        return f"Bundle.entry[{self.number}]"


def fault(at: str, sv: str, en: str, code: str = "invalid") -> Invalid:
    return Invalid(en, sv, issues=(Issue(code, at, sv, en),))


def item_of(fr: FhirRequest, number: int, entry: LightEntry) -> Item:
    at = f"Bundle.entry[{number}]"
    if entry.request is None:
        raise fault(at, "Posten saknar request.", "The entry has no request.", "required")
    method = entry.request.method
    if method not in METHODS:
        raise fault(
            f"{at}.request.method",
            f"Okänd metod ”{method[:20]}”.",
            f"Unknown method '{method[:20]}'.",
        )
    url = entry.request.url.removeprefix(fr.base).lstrip("/")
    path, _, query = url.partition("?")
    parts = [unquote(p) for p in path.split("/") if p]
    if method in ("POST", "PUT", "PATCH", "DELETE"):
        whole = len(parts) == 2 and ID.match(parts[1]) is not None
        if (
            not parts
            or parts[0] not in TYPE_NAMES
            or len(parts) > (1 if method == "POST" else 2)
            or (len(parts) == 2 and (not whole or query))
        ):
            raise fault(
                f"{at}.request.url",
                f"”{url[:80]}” är ingen giltig adress.",
                f"'{url[:80]}' is not a valid URL.",
            )
        if method in ("POST", "PUT", "PATCH") and not bytes(entry.resource):
            raise fault(
                f"{at}.resource", "Posten saknar resurs.", "The entry has no resource.", "required"
            )
    item = Item(
        number,
        entry,
        method,
        parts[0] if parts else "",
        parts[1] if len(parts) > 1 else None,
        query,
    )
    if bytes(entry.resource):
        item.body = bytes(entry.resource)
    r = entry.request
    for name, value in (
        (b"if-match", r.ifMatch), (b"if-none-match", r.ifNoneMatch),
        (b"if-none-exist", r.ifNoneExist), (b"if-modified-since", r.ifModifiedSince),
    ):  # fmt: skip
        if value is not None:
            item.headers[name] = value.encode("latin-1", "replace")
    return item


def inner(fr: FhirRequest, item: Item) -> FhirRequest:
    """The entry as a request of its own."""
    url = (item.entry.request.url if item.entry.request else "").removeprefix(fr.base).lstrip("/")
    path, _, query = url.partition("?")
    headers = {
        k: v for k, v in fr.headers.items() if k in (b"prefer", b"accept-language")
    } | item.headers
    headers[b"content-type"] = b"application/fhir+json"
    made = FhirRequest(
        fr.services, item.method, [unquote(p) for p in path.split("/") if p], query, headers,
        fr.receive, fr.base, fr.actor, fr.id,
    )  # fmt: skip
    made._body = item.body
    if item.method == "PATCH" and b'"Binary"' in item.body[:200]:
        made._body = _patch_in_binary(item)
        made.headers[b"content-type"] = b"application/json-patch+json"
    return made


def _patch_in_binary(item: Item) -> bytes:
    """A JSON Patch travels in a bundle as a Binary resource."""
    import base64

    binary = decode(item.body, "Binary")
    try:
        return base64.b64decode(binary.data or "")
    except ValueError:
        raise fault(f"{item.at}.resource.data", "Inte base64.", "Not base64.") from None


def located(item: Item, e: SammanhangError) -> SammanhangError:
    """The same error, its issues placed in the bundle."""
    rule = f" ({e.rule})" if isinstance(e, Refused) else ""
    placed = []
    for i in e.issues or (Issue(e.code, "", e.sv + rule, e.en + rule),):
        _, dot, rest = i.expression.partition(".")
        if i.expression.startswith("Bundle.entry["):
            at = i.expression
        elif i.expression.startswith("http."):
            at = f"{item.at}.request.url"
        else:
            at = f"{item.at}.resource{dot}{rest}" if i.expression else item.at
        placed.append(Issue(i.code, at, i.sv, i.en, i.severity))
    e.issues = tuple(placed)
    return e
