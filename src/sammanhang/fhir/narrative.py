"""Narratives: safe XHTML with content (txt-1 and txt-2, http://hl7.org/fhir/R4/narrative.html)."""

from __future__ import annotations

import re
from functools import lru_cache

_XHTML_TAGS = frozenset(
    [
        "a",
        "abbr",
        "acronym",
        "b",
        "big",
        "blockquote",
        "br",
        "caption",
        "cite",
        "code",
        "col",
        "colgroup",
        "dd",
        "dfn",
        "div",
        "dl",
        "dt",
        "em",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "i",
        "img",
        "li",
        "ol",
        "p",
        "pre",
        "q",
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
        "tt",
        "ul",
        "var",
    ]
)
_XHTML_ATTRIBUTES = frozenset(
    [
        "abbr",
        "accesskey",
        "align",
        "alt",
        "axis",
        "bgcolor",
        "border",
        "cellhalign",
        "cellpadding",
        "cellspacing",
        "cellvalign",
        "char",
        "charoff",
        "charset",
        "cite",
        "class",
        "colspan",
        "compact",
        "coords",
        "dir",
        "frame",
        "headers",
        "height",
        "href",
        "hreflang",
        "hspace",
        "id",
        "lang",
        "longdesc",
        "name",
        "nowrap",
        "rel",
        "rev",
        "rowspan",
        "rules",
        "scope",
        "shape",
        "span",
        "src",
        "start",
        "style",
        "summary",
        "tabindex",
        "target",
        "title",
        "type",
        "valign",
        "value",
        "width",
    ]
)


@lru_cache(maxsize=1024)
def narrative_fault(div: str) -> tuple[str, str] | None:
    """(key, reason) when a narrative breaks txt-1 or txt-2; None when it is safe XHTML with content."""
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False)
    if "<!" in div.replace("<!--", ""):
        return "txt-1", "the narrative may not declare a document type or entities"
    try:
        root = etree.fromstring(_named_entities(div).encode(), parser)
    except etree.XMLSyntaxError as e:
        return "txt-1", f"the narrative is not well-formed XHTML ({e.msg})"
    if root.tag not in ("{http://www.w3.org/1999/xhtml}div", "div"):
        return "txt-1", "the narrative must be a div"
    if root.tag == "div":
        return "txt-1", "the narrative must be in the XHTML namespace"
    seen = False
    for element in root.iter():
        if not isinstance(element.tag, str):
            continue
        tag = etree.QName(element).localname
        if tag not in _XHTML_TAGS:
            return "txt-1", f"the element <{tag}> is not allowed"
        for name, value in element.attrib.items():
            plain = etree.QName(name).localname
            if plain.startswith("on") or plain not in _XHTML_ATTRIBUTES:
                return "txt-1", f"the attribute {plain} is not allowed"
            if value.strip().lower().startswith(("javascript:", "vbscript:", "data:text")):
                return "txt-1", f"the attribute {plain} may not hold a script"
        seen = seen or tag == "img" or bool((element.text or "").strip())
        seen = seen or bool((element.tail or "").strip())
    return None if seen else ("txt-2", "the narrative must have content")


def _named_entities(div: str) -> str:
    """HTML's named entities as characters; XML's own five stay."""
    from html.entities import name2codepoint

    def one(match: re.Match[str]) -> str:
        name = match[1]
        if name in ("amp", "lt", "gt", "quot", "apos") or name not in name2codepoint:
            return match[0]
        return chr(name2codepoint[name])

    return re.sub(r"&([A-Za-z]+);", one, div) if "&" in div else div
