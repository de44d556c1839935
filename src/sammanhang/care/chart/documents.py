"""Documents: notes, reports and letters, as text to read."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

from sammanhang.access.door import Stored
from sammanhang.kernel.i18n import N_, _

from .words import Names, Source, displays, source, text, when

TYPES = ("DocumentReference", "Composition", "DiagnosticReport")
OPENING = 140  # characters of a note shown where it is only named
READABLE = 200_000  # characters of one document; longer ones are cut, and say so
_BREAKS = {"p", "div", "br", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "table", "ul", "ol"}
STATES = {
    "preliminary": N_("ej signerad"), "amended": N_("ändrad"), "entered-in-error": N_("felaktig"),
    "superseded": N_("ersatt"), "registered": N_("väntar svar"), "partial": N_("delsvar"),
    "corrected": N_("rättad"), "cancelled": N_("makulerad"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Document:
    """A document in the list.

    id      `DocumentReference/123`
    title   what it is
    at      when it was written
    by      who wrote it
    state   a word when it is not final
    source  unit and care provider
    """

    id: str
    title: str
    at: str
    by: str
    state: str
    source: Source


@dataclass(frozen=True, slots=True)
class Reading:
    """A document opened.

    document  the same as in the list
    parts     headline (may be empty) and paragraphs of each part
    other     what the document holds that is not text: media type and title
    cut       whether the end is left out because it is too long
    """

    document: Document
    parts: tuple[tuple[str, tuple[str, ...]], ...]
    other: tuple[str, ...]
    cut: bool


def documents_of(rows: list[Stored], names: Names) -> list[Document]:
    """The list, newest first as the rows came."""
    return [document_of(row, row.resource, names) for row in rows]


def document_of(row: Stored, d: Any, names: Names) -> Document:
    """One row of the list."""
    if row.type == "DocumentReference":
        first = d.content[0].attachment if d.content else None
        title = text(d.type) or d.description or (first.title if first is not None else "")
        status = "superseded" if d.status == "superseded" else d.docStatus or ""
        by = displays(d.author)
    elif row.type == "Composition":
        title, status, by = d.title or text(d.type), d.status, displays(d.author)
    else:
        title, status, by = text(d.code), d.status, displays(d.performer)
    state = _(STATES[status]) if status in STATES else ""
    return Document(
        f"{row.type}/{row.id}", title or _("Dokument"), when(d) or "", by, state, source(row, names)
    )


def reading_of(row: Stored, names: Names) -> Reading:
    """The text of a document."""
    d = row.resource
    parts: list[tuple[str, str]] = []
    other: list[str] = []
    if row.type == "DocumentReference":
        for content in d.content or ():
            _attachment(content.attachment, parts, other)
    elif row.type == "Composition":
        if not d.section:
            parts.append(("", plain(d.text.div) if d.text is not None else ""))
        for section in d.section or ():
            _section(section, parts)
    else:
        if d.conclusion:
            parts.append(("", d.conclusion))
        for attachment in d.presentedForm or ():
            _attachment(attachment, parts, other)
        if not parts and not other:
            results = displays(d.result) or (plain(d.text.div) if d.text is not None else "")
            parts.append(("", results or _("Svaret står under Provsvar.")))
    whole = sum(len(body) for _head, body in parts)
    shown = tuple((head, _paragraphs(body[:READABLE])) for head, body in parts if body)
    return Reading(document_of(row, d, names), shown, tuple(other), whole > READABLE)


def opening(d: Any) -> str:
    """The first words of a note, to recognise it by; empty when it is not plain text."""
    a = d.content[0].attachment if d.content else None
    if a is None or not a.data or not (a.contentType or "").startswith("text/plain"):
        return ""
    try:
        # Four characters of base64 are three bytes: no more is read than is shown.
        written = base64.b64decode(a.data[: OPENING * 2 // 4 * 4]).decode(
            _charset(a.contentType), "ignore"
        )
    except (binascii.Error, LookupError):
        return ""
    words = " ".join(written.split())
    return words if len(words) <= OPENING else words[:OPENING].rsplit(" ", 1)[0] + " …"


def _section(section: Any, parts: list[tuple[str, str]]) -> None:
    parts.append(
        (
            section.title or text(section.code),
            plain(section.text.div) if section.text is not None else "",
        )
    )
    for inner in section.section or ():
        _section(inner, parts)


def _attachment(a: Any, parts: list[tuple[str, str]], other: list[str]) -> None:
    kind = (a.contentType or "").split(";")[0].strip().lower()
    if a.data and kind in ("text/plain", "text/html", "application/xhtml+xml", "text/markdown"):
        try:
            written = base64.b64decode(a.data, validate=False).decode(
                _charset(a.contentType), "replace"
            )
        except (binascii.Error, LookupError):
            other.append(a.title or kind)
            return
        parts.append(("", written if kind in ("text/plain", "text/markdown") else plain(written)))
    else:
        other.append(a.title or a.url or kind or _("Bilaga"))


def _charset(kind: str) -> str:
    _head, _sign, charset = kind.partition("charset=")
    return charset.strip(' "') or "utf-8"


def _paragraphs(body: str) -> tuple[str, ...]:
    return tuple(p.strip() for p in body.replace("\r\n", "\n").split("\n\n") if p.strip())


class _Text(HTMLParser):
    """Keeps the words of a narrative and its line breaks, nothing else: no mark-up of others is shown."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.out: list[str] = []
        self.silent = 0

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag in ("script", "style"):
            self.silent += 1
        elif tag in _BREAKS:
            self.out.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self.silent = max(0, self.silent - 1)
        elif tag in ("p", "div", "table"):
            self.out.append("\n\n")
        elif tag in ("td", "th"):
            self.out.append(" ")

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.out.append(" ".join(data.split()) + " " if data.strip() else "")


def plain(html: str) -> str:
    """The words of an HTML narrative."""
    parser = _Text()
    parser.feed(html)
    parser.close()
    lines = [line.strip() for line in "".join(parser.out).split("\n")]
    return "\n".join(lines).strip()
