"""Batch and transaction: many interactions in one Bundle; a transaction is all or nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import msgspec

from sammanhang.fhir.decode import decode, encode
from sammanhang.fhir.r4 import TYPE_NAMES
from sammanhang.kernel.errors import (
    Conflict,
    Invalid,
    Issue,
    NotFound,
    PreconditionFailed,
    SammanhangError,
    TooLarge,
    Unprocessable,
)
from sammanhang.store.write import commit

from . import write
from .bundle import Writer
from .outcome import of_error, outcome
from .request import Answer, FhirRequest


class LightRequest(msgspec.Struct):
    """Bundle.entry.request, as far as processing needs it."""

    method: str
    url: str
    ifNoneMatch: str | None = None
    ifModifiedSince: str | None = None
    ifMatch: str | None = None
    ifNoneExist: str | None = None


class LightEntry(msgspec.Struct):
    """An entry whose resource is still bytes: each is decoded once, when its references are final."""

    fullUrl: str | None = None
    resource: msgspec.Raw = msgspec.Raw(b"")
    request: LightRequest | None = None


class LightBundle(msgspec.Struct):
    resourceType: str
    type: str | None = None
    entry: list[LightEntry] = []


_light = msgspec.json.Decoder(LightBundle)
_REFERENCE = re.compile(
    rb'"(reference|valueUri|valueUrl|valueUuid|valueOid|valueCanonical)"(\s*:\s*)"([^"\\]+)"'
)
METHODS = ("DELETE", "POST", "PUT", "PATCH", "GET", "HEAD")


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
    was: bool = False
    new_id: str | None = None
    body: bytes = b""
    headers: dict[bytes, bytes] = field(default_factory=dict)

    @property
    def at(self) -> str:
        return f"Bundle.entry[{self.number}]"


def _fault(at: str, sv: str, en: str, code: str = "invalid") -> Invalid:
    return Invalid(en, sv, issues=(Issue(code, at, sv, en),))


async def process(fr: FhirRequest) -> Answer:
    """POST to the base: a Bundle of type batch or transaction."""
    fr.check_json()
    fr.check_accept()
    body = await fr.body()
    try:
        bundle = _light.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        decode(body, "Bundle")  # says everything that is wrong
        raise _fault("Bundle", "Bundle går inte att läsa.", "The Bundle cannot be read.") from None
    if bundle.resourceType != "Bundle" or bundle.type not in ("batch", "transaction"):
        raise _fault(
            "Bundle.type",
            "Hit skickas en Bundle av typen batch eller transaction.",
            "A Bundle of type batch or transaction is expected here.",
        )
    limit = fr.services.settings.max_bundle_entries
    if len(bundle.entry) > limit:
        raise TooLarge(f"At most {limit} entries.", f"Högst {limit} poster.")
    items = [_item(fr, i, e) for i, e in enumerate(bundle.entry)]
    if bundle.type == "batch":
        return await _batch(fr, items)
    return await _transaction(fr, items)


def _item(fr: FhirRequest, number: int, entry: LightEntry) -> Item:
    at = f"Bundle.entry[{number}]"
    if entry.request is None:
        raise _fault(at, "Posten saknar request.", "The entry has no request.", "required")
    method = entry.request.method
    if method not in METHODS:
        raise _fault(
            f"{at}.request.method",
            f"Okänd metod ”{method[:20]}”.",
            f"Unknown method '{method[:20]}'.",
        )
    url = entry.request.url.removeprefix(fr.base).lstrip("/")
    path, _, query = url.partition("?")
    parts = [unquote(p) for p in path.split("/") if p]
    if method in ("POST", "PUT", "PATCH", "DELETE"):
        if not parts or parts[0] not in TYPE_NAMES or len(parts) > 2:
            raise _fault(
                f"{at}.request.url",
                f"”{url[:80]}” är ingen giltig adress.",
                f"'{url[:80]}' is not a valid URL.",
            )
        if method in ("POST", "PUT", "PATCH") and not bytes(entry.resource):
            raise _fault(
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


def _inner(fr: FhirRequest, item: Item) -> FhirRequest:
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
    return base64.b64decode(binary.data or "")


async def _batch(fr: FhirRequest, items: list[Item]) -> Answer:
    """Each entry on its own; a fault in one is that entry's answer."""
    from .app import dispatch

    out = Writer("batch-response")
    for item in items:
        inner = _inner(fr, item)
        try:
            a = await dispatch(inner)
        except SammanhangError as e:
            out.response(str(e.status), outcome=of_error(e, fr.swedish))
            continue
        _respond(out, a, fr.preference("return"))
    return Answer(200, out.done())


def _respond(out: Writer, a: Answer, prefer: str | None) -> None:
    headers = dict(a.headers)
    etag = headers.get(b"etag", b"").decode().removeprefix('W/"').rstrip('"')
    out.response(
        str(a.status),
        location=headers[b"location"].decode() if b"location" in headers else None,
        version=int(etag) if etag.isdigit() else None,
        body=a.body if a.status != 304 else None,
    )


async def _transaction(fr: FhirRequest, items: list[Item]) -> Answer:
    """All or nothing: ids first, then references, then every change in one commit, then the reads."""
    moved: dict[str, str] = {}
    targets: set[tuple[str, str]] = set()
    for item in items:
        if item.method == "POST":
            await _place_post(fr, item, moved)
        elif item.method in ("PUT", "PATCH", "DELETE"):
            await _place_change(fr, item, moved)
            if item.id is not None:
                key = (item.type, item.id)
                if key in targets:
                    raise _fault(
                        item.at,
                        f"{item.type}/{item.id} ändras två gånger.",
                        f"{item.type}/{item.id} is changed twice.",
                    )
                targets.add(key)
    changes: list[write.Change] = []
    for method in ("DELETE", "POST", "PUT", "PATCH"):
        for item in items:
            if item.method == method and item.existing is None:
                try:
                    change = await _change(fr, item, moved)
                except SammanhangError as e:
                    raise _located(item, e) from None
                if change is not None:
                    item.change = change
                    changes.append(change)
    if changes:
        await commit(fr.services.database, [c.row for c in changes], write.trace(fr, changes))
    return Answer(200, await _answers(fr, items))


def _located(item: Item, e: SammanhangError) -> SammanhangError:
    """The same error, its issues placed in the bundle."""
    issues = e.issues or (Issue(e.code, "", e.sv, e.en),)
    placed = []
    for i in issues:
        _, dot, rest = i.expression.partition(".")
        placed.append(
            Issue(
                i.code,
                f"{item.at}.resource{dot}{rest}" if i.expression else item.at,
                i.sv,
                i.en,
                i.severity,
            )
        )
    e.issues = tuple(placed)
    return e


async def _place_post(fr: FhirRequest, item: Item, moved: dict[str, str]) -> None:
    """Allots an id, or finds what If-None-Exist names."""
    condition = item.entry.request.ifNoneExist if item.entry.request else None
    if condition:
        found = await write.matches(fr, item.type, condition)
        if len(found) > 1:
            raise _located(
                item,
                PreconditionFailed(
                    "The condition matches several.", "Villkoret stämmer in på flera."
                ),
            )
        if found:
            item.existing = found[0]
    item.new_id = item.existing.id if item.existing is not None else write.new_id()
    _moves(item, f"{item.type}/{item.new_id}", moved)


def _moves(item: Item, to: str, moved: dict[str, str]) -> None:
    full = item.entry.fullUrl
    if not full:
        return
    if full in moved and moved[full] != to:
        raise _fault(
            f"{item.at}.fullUrl", "fullUrl används två gånger.", "The fullUrl is used twice."
        )
    moved[full] = to
    if "://" in full:
        parts = full.split("/")
        moved.setdefault("/".join(parts[-2:]), to)


async def _place_change(fr: FhirRequest, item: Item, moved: dict[str, str]) -> None:
    """Finds the one resource a conditional change means."""
    if item.id is None:
        if not item.query:
            raise _fault(
                f"{item.at}.request.url",
                "Id eller villkor saknas.",
                "An id or a condition is needed.",
            )
        found = await write.matches(fr, item.type, item.query)
        if len(found) > 1:
            raise _located(
                item,
                PreconditionFailed(
                    "The condition matches several.", "Villkoret stämmer in på flera."
                ),
            )
        if found:
            item.id = found[0].id
        elif item.method == "PUT":
            item.new_id = write.new_id()
    if item.method == "PUT":
        _moves(item, f"{item.type}/{item.id or item.new_id}", moved)


async def _change(fr: FhirRequest, item: Item, moved: dict[str, str]) -> write.Change | None:
    if item.method == "DELETE":
        if item.id is None:
            return None
        found = await write.current(fr, item.type, item.id)
        return await write.erase(fr, found) if found is not None else None
    inner = _inner(fr, item)
    if item.method == "PATCH":
        if item.id is None:
            raise NotFound("Nothing matches the condition.", "Inget stämmer in på villkoret.")
        found = await write.current(fr, item.type, item.id)
        if found is None:
            raise NotFound(
                f"{item.type}/{item.id} is not here.", f"{item.type}/{item.id} finns inte."
            )
        item.was = True
        return await write.patched(inner, found, await inner.body(), inner.content_type())
    body = await _resolved(fr, item, moved)
    resource = write.given(fr, body, item.type)
    if item.method == "POST":
        return await write.prepare(fr, resource, item.new_id or write.new_id(), 0, "create")
    id = item.id or resource.id or item.new_id
    if item.id is not None and resource.id not in (None, item.id):
        raise Invalid(
            "The id in the body is another than in the URL.",
            "Id i innehållet är ett annat än i adressen.",
        )
    resource.id = id
    from .request import version_wanted

    change, item.was = await write.revise(fr, item.type, id or "", resource, version_wanted(inner))
    return change


async def _resolved(fr: FhirRequest, item: Item, moved: dict[str, str]) -> bytes:
    """The resource's bytes with references inside the bundle, and conditional ones, made literal."""
    conditional: set[str] = set()

    def one(m: re.Match[bytes]) -> bytes:
        text = m[3].decode()
        to = moved.get(text)
        if to is None and "?" in text and m[1] == b"reference" and ":" not in text.split("?")[0]:
            conditional.add(text)
        if to is None:
            if m[1] == b"reference" and text.startswith(("urn:uuid:", "urn:oid:")):
                raise Unprocessable(
                    f"'{text[:80]}' is not in the bundle.",
                    f"”{text[:80]}” finns inte i bundlen.",
                    issues=(
                        Issue(
                            "not-found", f"{item.type}",
                            f"”{text[:80]}” finns inte i bundlen.", f"'{text[:80]}' is not in the bundle.",
                        ),
                    ),
                )  # fmt: skip
            return m[0]
        return b'"%s"%s"%s"' % (m[1], m[2], to.encode())

    body = _REFERENCE.sub(one, item.body)
    for text in conditional:
        type_name, _, query = text.partition("?")
        if type_name not in TYPE_NAMES:
            continue
        found = await write.matches(fr, type_name, unquote(query) if "%" in query else query)
        if len(found) != 1:
            raise PreconditionFailed(
                f"The reference '{text[:120]}' matches {len(found) or 'no'} resources; it must match one.",
                f"Referensen ”{text[:120]}” stämmer in på {len(found)} resurser; den ska stämma in på en.",
            )
        body = body.replace(f'"{text}"'.encode(), f'"{type_name}/{found[0].id}"'.encode())
    return body


async def _answers(fr: FhirRequest, items: list[Item]) -> bytes:
    """The transaction-response, entries in the order they came."""
    from .app import dispatch

    out = Writer("transaction-response")
    want = fr.preference("return")
    for item in items:
        if item.method in ("GET", "HEAD"):
            try:
                a = await dispatch(_inner(fr, item))
            except SammanhangError as e:
                raise _located(item, Conflict(e.en, e.sv) if e.status >= 500 else e) from None
            _respond(out, a, want)
            continue
        if item.existing is not None:
            hit = item.existing
            out.response(
                "200", location=f"{fr.base}/{hit.type}/{hit.id}/_history/{hit.version}",
                version=hit.version, updated=hit.updated,
            )  # fmt: skip
            continue
        if item.change is None:
            out.response("204")
            continue
        row = item.change.row
        if item.method == "DELETE":
            out.response("204", version=row.version, updated=row.updated)
            continue
        created = item.method == "POST" or (item.method == "PUT" and not item.was)
        out.response(
            "201" if created else "200",
            location=f"{fr.base}/{row.type}/{row.id}/_history/{row.version}",
            version=row.version,
            updated=row.updated,
            body=row.body if want == "representation" else None,
            outcome=encode(outcome([], fr.swedish)) if want == "OperationOutcome" else None,
        )
    return out.done()
