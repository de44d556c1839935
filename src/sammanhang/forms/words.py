"""A text of a form in the languages it has, plain or with markup that is safe to show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from sammanhang.kernel import i18n

from .markup import from_markdown, safe_xhtml
from .urls import HL7, extensions, said


@dataclass(frozen=True, slots=True)
class Words:
    """A text: as it stands, its translations by language, and the same with markup where there is any."""

    plain: str
    others: dict[str, str] = field(default_factory=dict)
    marked: Markup = field(default_factory=Markup)

    def __str__(self) -> str:
        """In the language of this request, else as it stands."""
        return self.in_language(i18n.language())

    def __bool__(self) -> bool:
        return bool(self.plain or self.marked)

    def in_language(self, language: str) -> str:
        if language in self.others:
            return self.others[language]
        for known, text in self.others.items():
            if known.partition("-")[0] == language:
                return text
        return self.plain

    @property
    def html(self) -> Markup:
        """Safe markup in the language of this request; empty when there is only plain text."""
        return self.marked if not self.others or str(self) == self.plain else Markup()


def words_of(element: Any, name: str) -> Words:
    """The text in a primitive member of a JSON element, with what its extensions add."""
    if not isinstance(element, dict):
        return Words("")
    plain = element.get(name)
    more = element.get(f"_{name}")
    if more is None:
        return Words(str(plain) if plain is not None else "")
    others = {}
    for e in extensions(more, HL7 + "translation"):
        language, text = said(e, "lang"), said(e, "content")
        if language and text:
            others[str(language)] = str(text)
    marked = Markup()
    xhtml, markdown = said(more, HL7 + "rendering-xhtml"), said(more, HL7 + "rendering-markdown")
    if xhtml:
        marked = safe_xhtml(str(xhtml))
    if not marked and markdown:
        marked = from_markdown(str(markdown))
    return Words(str(plain) if plain is not None else "", others, marked)
