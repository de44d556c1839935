"""Where forms are found: in `content/forms`, by name or canonical url, else among the record's Questionnaires.

A file of content is one Questionnaire as FHIR has it; an older version lies beside it as a file of its own, and is
found by `url|version`, so that what was once filled in can be read by the form it was filled in by.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from sammanhang.fhir.decode import raw
from sammanhang.kernel.content import FOLDER, content, names
from sammanhang.kernel.errors import NotFound
from sammanhang.store import read as store
from sammanhang.store.database import EVERYTHING, Database

from .questionnaire import Form, form_of

CASES = ".cases"


class NoSuchForm(NotFound):
    """There is no form of that name or address."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"There is no form called {name}.", f"Det finns inget formulär som heter {name}."
        )


def known() -> list[str]:
    """The names of the forms among content."""
    return [n.removeprefix("forms/") for n in names("forms") if not n.endswith(CASES)]


def of_content(name: str) -> Form | None:
    """A form of content by its name; None without."""
    if name not in known():
        return None
    return _compiled(name, json.dumps(content(f"forms/{name}"), sort_keys=False))


def cases(name: str) -> list[dict[str, Any]]:
    """The example cases of a form of content."""
    path = FOLDER / "forms" / f"{name}{CASES}.json"
    return list(json.loads(path.read_text("utf-8"))["cases"]) if path.is_file() else []


@lru_cache(maxsize=64)
def _compiled(name: str, body: str) -> Form:
    return form_of(raw(body.encode()), name)


async def find(database: Database, name: str) -> Form:
    """A form by its name among content, or by canonical url with or without `|version`. Raises `NoSuchForm`."""
    found = of_content(name)
    if found is not None:
        return found
    url, _sign, version = name.partition("|")
    of_url = [f for n in known() if (f := of_content(n)) is not None and f.url == url]
    for f in of_url:
        if not version or f.version == version:
            return f
    async with database.reading(EVERYTHING) as connection:
        database.queries += 1
        bodies = await store.definitions(connection, [name, url])
    there = [raw(b) for b in bodies]
    there = [q for q in there if q.get("resourceType") == "Questionnaire"]
    there.sort(
        key=lambda q: (str(q.get("version") or "") == version, str(q.get("date") or "")),
        reverse=True,
    )
    if version:
        there = [q for q in there if str(q.get("version") or "") == version]
    if not there:
        raise NoSuchForm(name)
    return form_of(there[0])
