"""Words in Swedish and English: Swedish in the code, English in `locale/en/messages.po`.

The Swedish sentence is the key, so a template reads as its page does. `locale/sv/messages.po` lists
the same keys and may hold a better Swedish wording without a change in code. The language of a
request is a context variable: `_` anywhere below a page speaks the reader's language.

`python -m sammanhang.kernel.i18n` gathers the keys from code and templates into both files.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from babel.support import Translations

LANGUAGES = ("sv", "en")
LOCALE = Path(__file__).parent / "locale"
SOURCES = Path(__file__).parents[1]
# Folders whose texts people read on a page.
FOLDERS = ("access", "care", "forms", "portal", "web")
KEYWORDS = {
    "_": None, "N_": None, "gettext": None, "ngettext": (1, 2), "pgettext": ((1, "c"), 2),
}  # fmt: skip

_language: ContextVar[str] = ContextVar("language", default="sv")


def use(language: str) -> None:
    """Speak `language` for the rest of this request; Swedish for one we do not have."""
    _language.set(language if language in LANGUAGES else "sv")


def language() -> str:
    """The language of this request."""
    return _language.get()


def _(text: str) -> str:
    """The text in the language of this request."""
    return str(translations(_language.get()).ugettext(text))


def ngettext(one: str, many: str, n: int) -> str:
    """The text for `n` of something, `%(n)s` not yet filled in."""
    return str(translations(_language.get()).ungettext(one, many, n))


def pgettext(context: str, text: str) -> str:
    """The text where one Swedish word is two in English; `context` tells them apart."""
    return str(translations(_language.get()).upgettext(context, text))


def N_(text: str) -> str:
    """Marks a text of a table for translation; `_` translates it where it is shown."""
    return text


def either(sv: str, en: str) -> str:
    """The one of two sentences that is in the language of this request."""
    return en if _language.get() == "en" else sv


@cache
def translations(language: str) -> Translations:
    """The words of one language, read once from its catalogue."""
    compiled = io.BytesIO()
    write_mo(compiled, catalogue(language))
    compiled.seek(0)
    return Translations(compiled)


def catalogue(language: str) -> Catalog:
    """The catalogue of one language as it lies in its file; empty without a file."""
    path = LOCALE / language / "messages.po"
    if not path.exists():
        return Catalog(locale=language)
    with path.open("rb") as file:
        return read_po(file, locale=language)


def asked() -> Catalog:
    """Every text that code and templates ask for."""
    found = Catalog(project="Sammanhang", charset="utf-8")
    for path in _files():
        method = "python" if path.suffix == ".py" else "jinja2.ext:babel_extract"
        options = {"newstyle_gettext": "true", "silent": "false"}
        with path.open("rb") as file:
            for line, message, comments, context in extract(
                method, file, keywords=KEYWORDS, comment_tags=(), options=options
            ):
                place = (str(path.relative_to(SOURCES)), line)
                found.add(message, None, [place], auto_comments=comments, context=context)
    return found


def missing(language: str) -> list[str]:
    """Texts that a page may ask for and the catalogue of `language` does not have."""
    have = catalogue(language)
    out = []
    for message in asked():
        if not message.id:
            continue
        got = have.get(message.id, message.context)
        strings = got.string if got is not None else ""
        whole = all(strings) if isinstance(strings, list | tuple) else bool(strings)
        if got is None or "fuzzy" in got.flags or not whole:
            out.append(message.id if isinstance(message.id, str) else message.id[0])
    return out


def _files() -> Iterator[Path]:
    for folder in FOLDERS:
        for path in sorted((SOURCES / folder).rglob("*")):
            if path.suffix in (".py", ".html") and "tests" not in path.parts:
                yield path


def gather() -> None:
    """Writes the keys of today into both catalogues; what is translated already stays."""
    now = asked()
    for language in LANGUAGES:
        catalog = catalogue(language)
        catalog.update(now, no_fuzzy_matching=True)
        # No dates of its own and no line numbers: the file changes only when a text does.
        catalog.project, catalog.header_comment = "Sammanhang", "# Sammanhang, Apache-2.0"
        catalog.creation_date = catalog.revision_date = datetime(2026, 1, 1, tzinfo=UTC)
        catalog.last_translator = catalog.language_team = catalog.msgid_bugs_address = "Sammanhang"
        catalog.fuzzy = False
        catalog.obsolete.clear()
        path = LOCALE / language / "messages.po"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            write_po(file, catalog, width=100, include_lineno=False, sort_output=True)


if __name__ == "__main__":
    gather()
    for name in missing("en"):
        print(f"en lacks: {name}")
