"""Batch and transaction: many interactions in one Bundle; a transaction is all or nothing."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

import msgspec
import psycopg

from sammanhang.fhir.decode import encode, raw
from sammanhang.fhir.r4 import TYPE_NAMES
from sammanhang.kernel.errors import (
    Conflict,
    Invalid,
    Issue,
    NotFound,
    PreconditionFailed,
    SammanhangError,
    Unprocessable,
)
from sammanhang.store.write import commit

from . import conditional, write
from .bundle import Writer
from .entries import Item, LightEntry, bundle_of, fault, inner, item_of, located
from .outcome import outcome
from .request import Answer, FhirRequest, version_wanted

_REFERENCE = re.compile(
    rb'"(reference|url|valueUri|valueUrl|valueUuid|valueOid)"(\s*:\s*)"([^"\\]+)"'
)
_ESCAPED = re.compile(rb'"reference"\s*:\s*"[^"]*\\')
_LETTERS = {"POST": "c", "PUT": "u", "PATCH": "u", "DELETE": "d"}
_encoder = msgspec.json.Encoder(decimal_format="number")


async def process(fr: FhirRequest) -> Answer:
    """POST to the base: a Bundle of type batch or transaction."""
    fr.check_json()
    fr.check_accept()
    bundle = bundle_of(await fr.body(), fr.services.settings.max_bundle_entries)
    if bundle.type == "batch":
        return await _batch(fr, bundle.entry)
    return await _transaction(fr, [item_of(fr, i, e) for i, e in enumerate(bundle.entry)])


async def _batch(fr: FhirRequest, entries: list[LightEntry]) -> Answer:
    """Each entry on its own; a fault in one is that entry's answer."""
    from .app import answered, dispatch

    out = Writer("batch-response")
    for number, entry in enumerate(entries):
        one = fr
        try:
            one = inner(fr, item_of(fr, number, entry))
        except SammanhangError as e:
            error = e

            async def fails(_: FhirRequest, error: SammanhangError = error) -> Answer:
                raise error

            a = await answered(one, fails)
        else:
            a = await answered(one, dispatch)
        respond(out, a)
    return Answer(200, out.done())


def respond(out: Writer, a: Answer) -> None:
    """An answer as an entry."""
    headers = dict(a.headers)
    etag = headers.get(b"etag", b"").decode().removeprefix('W/"').rstrip('"')
    body = a.body if a.status not in (204, 304) else None
    out.response(
        str(a.status),
        location=headers[b"location"].decode() if b"location" in headers else None,
        version=int(etag) if etag.isdigit() else None,
        body=body if a.status < 400 else None,
        outcome=body if a.status >= 400 else None,
    )


async def _transaction(fr: FhirRequest, items: list[Item]) -> Answer:
    """All or nothing: ids first, then references, then every change in one commit, then the reads."""
    from .app import allowed

    conditions = []
    for item in items:
        if item.method in _LETTERS:
            try:
                allowed(fr, item.type, _LETTERS[item.method])
            except SammanhangError as e:
                raise located(item, e) from None
        if item.method == "POST" and item.entry.request and item.entry.request.ifNoneExist:
            conditions.append((item.type, item.entry.request.ifNoneExist))
        elif item.method == "PUT" and item.id is None:
            conditions.append((item.type, item.query))
    await _reads(fr, items)
    for tried in range(write.TRIES):
        try:
            if conditions:
                async with conditional.line(fr, conditions) as here:
                    changes = await _changes(fr, items)
                    if changes:
                        await conditional.commit_in_line(fr, here, changes)
            else:
                changes = await _changes(fr, items)
                if changes:
                    rows = [c.row for c in changes]
                    await commit(fr.services.database, rows, write.trace(fr, changes))
            break
        except (Conflict, NotFound, psycopg.errors.DeadlockDetected) as e:
            if tried == write.TRIES - 1 or getattr(e, "issues", None):
                raise  # the entry's own fault, not others' getting between
            if any(i.entry.request and i.entry.request.ifMatch for i in items):
                raise
            await write.pause(tried)
    return Answer(200, await _answers(fr, items))


async def _changes(fr: FhirRequest, items: list[Item]) -> list[write.Change]:
    """Every change of a transaction, prepared against what is stored now."""
    moved: dict[str, str] = {}
    targets: set[tuple[str, str]] = set()
    for item in items:
        item.existing, item.change, item.new_id, item.was = None, None, None, False
        item.found = item.id
        if item.method == "POST":
            await _place_post(fr, item, moved)
        elif item.method in ("PUT", "PATCH", "DELETE"):
            await _place_change(fr, item, moved)
            if item.found is not None:
                key = (item.type, item.found)
                if key in targets:
                    raise fault(
                        item.at,
                        f"{item.type}/{item.found} ändras två gånger.",
                        f"{item.type}/{item.found} is changed twice.",
                    )
                targets.add(key)
    changes: list[write.Change] = []
    for method in ("DELETE", "POST", "PUT", "PATCH"):
        for item in items:
            if item.method == method and item.existing is None:
                try:
                    change = await _change(fr, item, moved)
                except write.Overtaken:
                    raise
                except SammanhangError as e:
                    raise located(item, e) from None
                if change is not None:
                    item.change = change
                    changes.append(change)
    return changes


async def _place_post(fr: FhirRequest, item: Item, moved: dict[str, str]) -> None:
    """Allots an id, or finds what If-None-Exist names."""
    condition = item.entry.request.ifNoneExist if item.entry.request else None
    if condition:
        found = await _matches(fr, item, condition)
        if found:
            item.existing = found[0]
    item.new_id = item.existing.id if item.existing is not None else write.new_id()
    _moves(item, f"{item.type}/{item.new_id}", moved)


async def _matches(fr: FhirRequest, item: Item, condition: str) -> list[Any]:
    """The one resource a condition means, or none; several are a fault of the entry."""
    try:
        found = await conditional.matches(fr, item.type, condition)
        if len(found) > 1:
            raise await conditional.several(fr, item.type, condition)
    except SammanhangError as e:
        raise located(item, e) from None
    return found


def _moves(item: Item, to: str, moved: dict[str, str]) -> None:
    full = item.entry.fullUrl
    if not full:
        return
    if full in moved:
        raise fault(
            f"{item.at}.fullUrl", "fullUrl används två gånger.", "The fullUrl is used twice."
        )
    moved[full] = to
    if "://" in full:
        parts = full.split("/")
        moved.setdefault("/".join(parts[-2:]), to)


async def _place_change(fr: FhirRequest, item: Item, moved: dict[str, str]) -> None:
    """Finds the one resource a conditional change means."""
    if item.found is None:
        if not item.query:
            raise fault(
                f"{item.at}.request.url",
                "Id eller villkor saknas.",
                "An id or a condition is needed.",
            )
        found = await _matches(fr, item, item.query)
        if found:
            item.found = found[0].id
        elif item.method == "PUT":
            item.found = _own_id(item)
            item.new_id = item.found or write.new_id()
    if item.method == "PUT":
        _moves(item, f"{item.type}/{item.found or item.new_id}", moved)


def _own_id(item: Item) -> str | None:
    try:
        id = raw(item.body).get("id")
    except (ValueError, AttributeError):
        return None  # decoding says what is wrong
    return id if isinstance(id, str) else None


async def _change(fr: FhirRequest, item: Item, moved: dict[str, str]) -> write.Change | None:
    if item.method == "DELETE":
        if item.found is None:
            return None
        found = await write.current(fr, item.type, item.found)
        if found is None:
            return None
        _check_version(fr, item, found.version)
        return await write.erase(fr, found)
    one = inner(fr, item)
    if item.method == "PATCH":
        if item.found is None:
            raise NotFound("Nothing matches the condition.", "Inget stämmer in på villkoret.")
        found = await write.current(fr, item.type, item.found)
        if found is None:
            raise NotFound(
                f"{item.type}/{item.found} is not here.", f"{item.type}/{item.found} finns inte."
            )
        _check_version(fr, item, found.version)
        item.was = True
        return await write.patched(one, found, await one.body(), one.content_type())
    body = await _resolved(fr, item, moved)
    resource = write.given(fr, body, item.type)
    write.alone(fr, resource)
    if item.method == "POST":
        return await write.prepare(fr, resource, item.new_id or write.new_id(), 0, "create")
    if item.found is not None and resource.id not in (None, item.found):
        raise Invalid(
            "The id in the body is another than in the URL.",
            "Id i innehållet är ett annat än i adressen.",
        )
    resource.id = item.found or item.new_id
    wanted = version_wanted(one)
    change, item.was = await write.revise(one, item.type, resource.id or "", resource, wanted)
    return change


def _check_version(fr: FhirRequest, item: Item, current: int) -> None:
    wanted = version_wanted(inner(fr, item))
    if wanted is not None and wanted != current:
        raise PreconditionFailed("Another version is current.", "En annan version gäller.")


async def _resolved(fr: FhirRequest, item: Item, moved: dict[str, str]) -> bytes:
    """The resource's bytes with references inside the bundle, and conditional ones, made literal."""
    conditional_: set[str] = set()

    def one(m: re.Match[bytes]) -> bytes:
        text = m[3].decode("utf-8", "replace")
        inside = m[1] == b"reference"
        if not inside and not text.startswith(("urn:uuid:", "urn:oid:")):
            return m[0]  # a URL that only looks like a fullUrl of the bundle
        to = moved.get(text)
        if to is None and inside and "?" in text and ":" not in text.split("?")[0]:
            conditional_.add(text)
        if to is None:
            if inside and text.startswith(("urn:uuid:", "urn:oid:")):
                raise _unresolved(text, item.type)
            return m[0]
        return b'"%s"%s"%s"' % (m[1], m[2], to.encode())

    body = item.body
    if b"\\" in body and _ESCAPED.search(body):
        try:
            body = _encoder.encode(raw(body))
        except ValueError:
            return body  # decoding says what is wrong
    body = _REFERENCE.sub(one, body)
    for text in conditional_:
        type_name, _, query = text.partition("?")
        if type_name not in TYPE_NAMES:
            continue
        found = await conditional.matches(fr, type_name, unquote(query) if "%" in query else query)
        if len(found) != 1:
            raise PreconditionFailed(
                f"The reference '{text[:120]}' matches {len(found) or 'no'} resources; it must match one.",
                f"Referensen ”{text[:120]}” stämmer in på {len(found)} resurser; den ska stämma in på en.",
            )
        body = body.replace(f'"{text}"'.encode(), f'"{type_name}/{found[0].id}"'.encode())
    return body


def _unresolved(text: str, at: str) -> Unprocessable:
    sv, en = f"”{text[:80]}” finns inte i bundlen.", f"'{text[:80]}' is not in the bundle."
    return Unprocessable(en, sv, issues=(Issue("not-found", at, sv, en),))


async def _reads(fr: FhirRequest, items: list[Item]) -> None:
    """Refuses a read that cannot succeed before anything is stored: it would undo the whole."""
    from .app import dispatch

    changed = any(i.method in _LETTERS for i in items)
    targets = {(i.type, i.id) for i in items if i.method in ("POST", "PUT", "PATCH") and i.id}
    for item in items:
        if item.method in _LETTERS or (item.type, item.id) in targets:
            continue
        try:
            a = await dispatch(inner(fr, item))
        except SammanhangError as e:
            raise located(item, e) from None
        if not changed:
            item.answer = a


async def _answers(fr: FhirRequest, items: list[Item]) -> bytes:
    """The transaction-response, entries in the order they came."""
    from .app import answered, dispatch

    out = Writer("transaction-response")
    want = fr.preference("return")
    for item in items:
        if item.method in ("GET", "HEAD"):
            respond(out, item.answer or await answered(inner(fr, item), dispatch))
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
