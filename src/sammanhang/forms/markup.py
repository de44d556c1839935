"""Markup that a form brings with it, made safe to show: known elements, no scripts, no styles, no foreign images.

What is not known loses its tags and keeps its text. Sources: FHIR extensions rendering-xhtml and
rendering-markdown; OWASP XSS prevention (allow lists).
"""

from __future__ import annotations

import html
import re
from functools import lru_cache
from html.parser import HTMLParser

from markupsafe import Markup

TAGS = frozenset(
    [
        "a",
        "abbr",
        "b",
        "blockquote",
        "br",
        "caption",
        "cite",
        "code",
        "dd",
        "del",
        "dfn",
        "div",
        "dl",
        "dt",
        "em",
        "hr",
        "i",
        "img",
        "ins",
        "kbd",
        "li",
        "ol",
        "p",
        "pre",
        "q",
        "s",
        "samp",
        "small",
        "span",
        "strong",
        "sub",
        "sup",
        "table",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "tr",
        "u",
        "ul",
        "var",
    ]
)
# Headings would break the page's own order of headings.
_HEADINGS = frozenset(f"h{n}" for n in range(1, 7))
_GONE = frozenset(
    ["script", "style", "iframe", "object", "embed", "template", "noscript", "svg", "math"]
)
_VOID = frozenset(["br", "hr", "img"])
_ATTRIBUTES = {
    "a": ("href", "title"), "img": ("src", "alt"), "td": ("colspan", "rowspan"), "th": ("colspan", "rowspan", "scope"),
    "abbr": ("title",), "ol": ("start",),
}  # fmt: skip
_LINK = re.compile(r"^(https?:|mailto:|tel:|/(?!/)|#)", re.IGNORECASE)
_IMAGE = re.compile(r"^data:image/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]+$")


class _Cleaner(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.out: list[str] = []
        self.open: list[str] = []
        self.gone = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _GONE:
            self.gone += 1
        if self.gone:
            return
        tag = "b" if tag in _HEADINGS else tag
        if tag not in TAGS:
            return
        kept = []
        for name, value in attrs:
            if name not in _ATTRIBUTES.get(tag, ()) or value is None:
                continue
            if name == "href" and not _LINK.match(value.strip()):
                continue
            if name == "src" and not _IMAGE.match(value.strip()):
                continue
            kept.append(f' {name}="{html.escape(value)}"')
        if tag == "img" and not any(k.startswith(" src=") for k in kept):
            return
        if tag == "img" and not any(k.startswith(" alt=") for k in kept):
            kept.append(' alt=""')
        if tag == "a":
            kept.append(' rel="noopener noreferrer"')
        self.out.append(f"<{tag}{''.join(kept)}>")
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in _GONE:
            self.gone = max(0, self.gone - 1)
            return
        tag = "b" if tag in _HEADINGS else tag
        if self.gone or tag not in self.open:
            return
        while self.open:
            last = self.open.pop()
            self.out.append(f"</{last}>")
            if last == tag:
                break

    def handle_data(self, data: str) -> None:
        if not self.gone:
            self.out.append(html.escape(data, quote=False))


@lru_cache(maxsize=2048)
def safe_xhtml(text: str) -> Markup:
    """Markup with only what is known left in it, every element closed; empty when nothing is left to read."""
    cleaner = _Cleaner()
    cleaner.feed(text)
    cleaner.close()
    cleaner.out += [f"</{tag}>" for tag in reversed(cleaner.open)]
    made = "".join(cleaner.out).strip()
    return Markup(made) if re.sub(r"<(?!img)[^>]+>", "", made).strip() else Markup()


_POINT, _NUMBERED = re.compile(r"^\s*[-*+]\s+"), re.compile(r"^\s*\d+[.)]\s+")
_INLINE = (
    (re.compile(r"`([^`]+)`"), r"<code>\1</code>"),
    (re.compile(r"\*\*([^*]+)\*\*|__([^_]+)__"), lambda m: f"<strong>{m[1] or m[2]}</strong>"),
    (re.compile(r"(?<!\w)\*([^*\s][^*]*)\*(?!\w)|(?<!\w)_([^_\s][^_]*)_(?!\w)"), lambda m: f"<em>{m[1] or m[2]}</em>"),
    (re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)"), lambda m: f'<a href="{m[2]}">{m[1]}</a>'),
)  # fmt: skip


@lru_cache(maxsize=2048)
def from_markdown(text: str) -> Markup:
    """The common part of Markdown (paragraphs, lists, emphasis, links, headings) as safe markup."""
    out: list[str] = []
    for block in re.split(r"\n\s*\n", text.strip()):
        lines = block.splitlines()
        if lines and all(_POINT.match(line) for line in lines):
            points = "".join(f"<li>{_inline(_POINT.sub('', x))}</li>" for x in lines)
            out.append(f"<ul>{points}</ul>")
        elif lines and all(_NUMBERED.match(line) for line in lines):
            points = "".join(f"<li>{_inline(_NUMBERED.sub('', x))}</li>" for x in lines)
            out.append(f"<ol>{points}</ol>")
        else:
            shown = [
                f"<b>{_inline(line.lstrip('# '))}</b>"
                if re.match(r"#{1,6}\s", line)
                else _inline(line)
                for line in lines
            ]
            out.append(f"<p>{'<br>'.join(shown)}</p>")
    return safe_xhtml("".join(out))


def _inline(text: str) -> str:
    made = html.escape(text, quote=False)
    for pattern, into in _INLINE:
        made = pattern.sub(into, made)  # type: ignore[arg-type]
    return made
