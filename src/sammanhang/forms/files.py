"""Files that come with a form: known by their content, stored as Binary in the patient's record, referred to by the answer.

A file is taken only when its first bytes say it is of a kind that cannot run: PDF, picture or plain text. What the
browser says it is, and its name, decide nothing. Sources: OWASP File Upload, ASVS 5.0.0 V5.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import UploadFile

from sammanhang.access.door import Record
from sammanhang.access.writing import Changes
from sammanhang.fhir.decode import trusted
from sammanhang.fhir.r4 import Binary, Reference
from sammanhang.kernel import clock
from sammanhang.kernel.errors import Issue, NotFound
from sammanhang.store import read as store

from .tree import Answer, Node, Tree

MOST_FILES = 10
LONGEST_NAME = 120
Files = Iterable[tuple[str, UploadFile]]
_KINDS = (
    (b"%PDF-", "application/pdf"), (b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"), (b"GIF89a", "image/gif"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Held:
    """A stored file: its media type and its bytes."""

    kind: str
    body: bytes


class NoSuchFile(NotFound):
    """The file is not there, or not for the reader's eyes."""

    def __init__(self) -> None:
        super().__init__("There is no such file.", "Filen finns inte.")


def kind_of(body: bytes) -> str:
    """The media type that the content itself shows; empty for one that is not taken."""
    for start, kind in _KINDS:
        if body.startswith(start):
            return kind
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        return "image/webp"
    if body[4:12] in (b"ftypheic", b"ftypmif1", b"ftypheix"):
        return "image/heic"
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return ""
    plain = all(c.isprintable() or c in "\r\n\t\ufeff" for c in text)
    return "text/plain" if plain and not text.lstrip("\ufeff \r\n\t").startswith("<") else ""


async def take(tree: Tree, files: Files, changes: Changes, record: Record) -> list[Issue]:
    """Adds the files to the answers of their questions, and their content to the changes; what is not taken and why.

    Nothing is stored until the changes are committed.
    """
    by_name = {f"{n.name}.file": n for n in tree.all() if n.item.type == "attachment"}
    faults: list[Issue] = []
    for name, upload in list(files)[:MOST_FILES]:
        node = by_name.get(name)
        body = await upload.read() if node is not None else b""
        if node is None or not body:
            continue
        place = node.name.removeprefix(tree.prefix)
        kind, title = kind_of(body), _title(upload.filename)
        wrong = _wrong(node, kind, len(body), record, title)
        if wrong is not None:
            faults.append(Issue("value", place, *wrong))
            continue
        stored = Binary(
            contentType=kind, data=base64.b64encode(body).decode(),
            securityContext=Reference(reference=f"Patient/{record.patient_id}"),
        )  # fmt: skip
        reference = changes.create(stored)
        attachment: dict[str, Any] = {
            "contentType": kind, "url": reference.reference, "size": len(body), "title": title,
            "creation": clock.now().astimezone(clock.STOCKHOLM).isoformat(timespec="seconds"),
        }  # fmt: skip
        kept = node.answers if node.item.repeats else []
        node.answers = [*kept, Answer("Attachment", attachment)]
    return faults


def _wrong(node: Node, kind: str, size: int, record: Record, title: str) -> tuple[str, str] | None:
    """Why a file is not taken, in both languages; None when it is."""
    if not kind:
        return (f"”{title}” togs inte emot. Bifoga PDF, bild eller ren text.", f"“{title}” was not taken. Attach a PDF, a picture or plain text.")  # fmt: skip
    if node.item.mime and kind not in node.item.mime:
        kinds = ", ".join(node.item.mime)
        return (f"”{title}” ska vara av typen {kinds}.", f"“{title}” is to be of type {kinds}.")
    if node.item.max_size is not None and size > node.item.max_size * 1024 * 1024:
        most = f"{node.item.max_size:f}"
        return (f"”{title}” får vara högst {most.replace('.', ',')} MB.", f"“{title}” may be at most {most} MB.")  # fmt: skip
    return None


def _title(name: str | None) -> str:
    """A file's name without folders and without what could not be shown."""
    plain = "".join(
        c for c in (name or "").replace("\\", "/").rsplit("/", 1)[-1] if c.isprintable()
    )
    return plain.strip()[-LONGEST_NAME:] or "fil"


async def held(record: Record, id: str) -> Held:
    """A file of the record. Raises `NoSuchFile`."""
    database = record.doors.database
    async with database.reading(record.scope) as connection:
        database.queries += 1
        found = await store.read(connection, "Binary", id)
    if found is None or found.body is None or found.patient != record.patient_self:
        raise NoSuchFile
    binary = trusted(found.body, "Binary")
    return Held(binary.contentType, base64.b64decode(binary.data or ""))
