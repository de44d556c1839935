"""Bytes of a file → resources one by one: lines, single resources, and bundles with their references
resolved. Nothing here knows the database."""

from __future__ import annotations

import gzip
import hashlib
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from sammanhang.fhir.r4 import TYPE_NAMES
from sammanhang.kernel.errors import Issue

from .plan import LINES, Part

MAX_TEXT = 256 * 1024 * 1024
OPENED = ("transaction", "batch", "collection", "searchset", "document")
_ID = re.compile(r"[A-Za-z0-9.\-]{1,64}")
_REFERENCE = re.compile(
    rb'"(reference|valueUri|valueUrl|valueUuid|valueOid|valueCanonical)"(\s*:\s*)"([^"\\]+)"'
)
_LOOSE = re.compile(rb'"reference"\s*:\s*"((?:urn:(?:uuid|oid):|[A-Z][A-Za-z]+\?)[^"\\]*)"')


@dataclass(frozen=True, slots=True)
class Text:
    """One line of a file, or the whole of a file that is one JSON text. `after` is where the next
    begins; `body` None means that it is too long to take."""

    line: int
    after: int
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Found:
    """One resource to load: its bytes, and its type and id when they are known already."""

    entry: int
    type: str | None
    id: str | None
    body: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """One resource that is not loaded, and why."""

    entry: int
    type: str | None
    id: str | None
    issues: tuple[Issue, ...]


class _Head(msgspec.Struct):
    resourceType: str | None = None
    id: str | None = None


class _Request(msgspec.Struct):
    method: str = ""
    url: str = ""
    ifNoneExist: str | None = None


class _Search(msgspec.Struct):
    mode: str | None = None


class _Entry(msgspec.Struct):
    fullUrl: str | None = None
    resource: msgspec.Raw = msgspec.Raw()
    request: _Request | None = None
    search: _Search | None = None


class _Outer(_Head):
    type: Any = None
    entry: list[_Entry] = []


_head = msgspec.json.Decoder(_Head)
_outer = msgspec.json.Decoder(_Outer)


def texts(part: Part) -> Iterator[Text]:
    """The lines of a part from its position on, or its one text. Memory holds one at a time."""
    path = Path(part.file)
    packed = path.suffix == ".gz"
    in_lines = (Path(path.stem).suffix if packed else path.suffix) in LINES
    with gzip.open(path) if packed else path.open("rb", buffering=1 << 20) as file:
        if not in_lines:
            body = file.read(MAX_TEXT + 1)
            yield Text(1, max(1, len(body)), body if len(body) <= MAX_TEXT else None)
            return
        file.seek(part.position)
        at, line = part.position, part.line
        while part.stop < 0 or at < part.stop:
            body = file.readline(MAX_TEXT)
            if not body:
                return
            at += len(body)
            whole = body
            while not body.endswith(b"\n") and len(body) == MAX_TEXT:
                body = file.readline(MAX_TEXT)
                at += len(body)
                whole = b""
            yield Text(line, at, whole or None)
            line += 1


def resources(body: bytes, place: str) -> Iterator[Found | Refused]:
    """The resources in a text: itself, or what its Bundle holds. `place` makes new ids repeatable.

    Broken JSON comes out as it is, for the decoder to explain.
    """
    try:
        outer = _outer.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        yield Found(-1, *_named(body), body)
        return
    if outer.resourceType != "Bundle":
        yield Found(-1, outer.resourceType, outer.id, body)
    elif outer.type in OPENED:
        yield from _opened(outer.entry, place)
    else:
        yield _refused(
            -1, "Bundle", outer.id, "not-supported", "Bundle.type",
            f"En Bundle av typen ”{outer.type}” läses inte in; {', '.join(OPENED)} gör det.",
            f"A Bundle of type '{outer.type}' is not loaded; {', '.join(OPENED)} are.",
        )  # fmt: skip


def _named(body: bytes) -> tuple[str | None, str | None]:
    """Type and id of a resource whose text may be broken elsewhere."""
    try:
        head = _head.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None, None
    return head.resourceType, head.id


def _opened(entries: list[_Entry], place: str) -> Iterator[Found | Refused]:
    names: list[tuple[str | None, str | None]] = []
    moved: dict[bytes, bytes] = {}
    for number, entry in enumerate(entries):
        type_name, id = _named(entry.resource)
        if type_name in TYPE_NAMES:
            assert type_name is not None
            id = _id(type_name, id, entry, f"{place}/{number}")
            if entry.fullUrl is not None and entry.fullUrl.startswith(("urn:", "http")):
                moved[entry.fullUrl.encode()] = f"{type_name}/{id}".encode()
        else:
            id = None
        names.append((type_name, id))
    get = moved.get

    def literal(m: re.Match[bytes]) -> bytes:
        to = get(m[3])
        return m[0] if to is None else b'"%s"%s"%s"' % (m[1], m[2], to)

    for number, (entry, (type_name, id)) in enumerate(zip(entries, names, strict=True)):
        if entry.search is not None and entry.search.mode == "outcome":
            continue
        fault = _fault(entry, type_name)
        if fault is not None:
            yield _refused(number, type_name, id, "not-supported", "", *fault)
            continue
        found = bytes(entry.resource)
        if moved:
            found = _REFERENCE.sub(literal, found)
        loose = _LOOSE.search(found) if b'"urn:' in found or b"?" in found else None
        if loose is not None:
            text = loose[1][:120].decode("utf-8", "replace")
            yield _refused(
                number, type_name, id, "not-found", type_name or "",
                f"Referensen ”{text}” leder inte till något i bundlen.",
                f"The reference '{text}' leads to nothing in the bundle.",
            )  # fmt: skip
            continue
        yield Found(number, type_name, id, found)


def _id(type_name: str, id: str | None, entry: _Entry, place: str) -> str:
    """The id an entry's resource gets: its own, that of its fullUrl, or one made from its place."""
    if id is not None:
        return id
    full = entry.fullUrl or ""
    if full.startswith("urn:uuid:") and _ID.fullmatch(full[9:]):
        return full[9:]
    parts = full.split("/")
    if "://" in full and parts[-2] == type_name and _ID.fullmatch(parts[-1]):
        return parts[-1]
    return made_id(place, full.encode())


def made_id(place: str, body: bytes) -> str:
    """A new id for what came without one: the same when the same text is read again from there."""
    digest = hashlib.blake2b(place.encode() + b"|" + body, digest_size=16).digest()
    return str(uuid.UUID(bytes=digest, version=5))


def _fault(entry: _Entry, type_name: str | None) -> tuple[str, str] | None:
    """Why an entry cannot be loaded as it stands (Swedish, English), or None."""
    if type_name is None and bytes(entry.resource) in (b"", b"null"):
        return "Posten saknar resurs.", "The entry has no resource."
    request = entry.request
    if request is None:
        return None
    if request.method not in ("POST", "PUT", ""):
        return (
            f"”{request.method[:20]}” utförs inte vid inläsning; skicka bundlen till API:t.",
            f"'{request.method[:20]}' is not done by a load; send the bundle to the API.",
        )
    if request.ifNoneExist or "?" in request.url:
        return (
            "Villkor prövas inte vid inläsning; skicka bundlen till API:t.",
            "Conditions are not judged by a load; send the bundle to the API.",
        )
    return None


def _refused(
    entry: int, type_name: str | None, id: str | None, code: str, at: str, sv: str, en: str
) -> Refused:
    return Refused(entry, type_name, id, (Issue(code, at, sv, en),))


TOO_LONG = Refused(
    -1, None, None,
    (Issue("too-long", "", f"Texten är längre än {MAX_TEXT >> 20} MB.",
           f"The text is longer than {MAX_TEXT >> 20} MB."),),
)  # fmt: skip
