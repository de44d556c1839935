"""Where forms are found: in `content/forms`, by name or canonical url, else among the record's Questionnaires.

A file of content is one Questionnaire as FHIR has it; an older version lies beside it as a file of its own, and is
found by `url|version`, so that what was once filled in can be read by the form it was filled in by.
"""

from __future__ import annotations

import json
from typing import Any

from sammanhang.fhir.decode import raw
from sammanhang.kernel.content import FOLDER, content, names
from sammanhang.kernel.errors import NotFound
from sammanhang.store import read as store
from sammanhang.store.database import EVERYTHING, Database

from .options import ValueSets
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


_read: dict[str, tuple[Any, Form]] = {}


def of_content(name: str) -> Form | None:
    """A form of content by its name, the version in force; None without. Read anew only when the content changed."""
    if name not in known():
        return None
    told = content(f"forms/{name}")
    held = _read.get(name)
    if held is None or held[0] is not told:
        held = _read[name] = (told, form_of(raw(json.dumps(told).encode()), name))
    return held[1]


def cases(name: str) -> list[dict[str, Any]]:
    """The example cases of a form of content."""
    path = FOLDER / "forms" / f"{name}{CASES}.json"
    return list(json.loads(path.read_text("utf-8"))["cases"]) if path.is_file() else []


async def find(database: Database, name: str) -> Form:
    """A form by its name among content, or by canonical url with or without `|version`. Raises `NoSuchForm`."""
    found = of_content(name) or _of_url(name)
    if found is not None:
        return await _with_sets(database, found)
    url, _sign, version = name.partition("|")
    async with database.reading(EVERYTHING) as connection:
        database.queries += 1
        bodies = await store.definitions(connection, [name, url])
    there = [q for b in bodies if (q := raw(b)).get("resourceType") == "Questionnaire"]
    if version:
        there = [q for q in there if str(q.get("version") or "") == version]
    there.sort(key=lambda q: str(q.get("date") or ""), reverse=True)
    if not there:
        raise NoSuchForm(name)
    return await _with_sets(database, form_of(there[0]))


def _of_url(name: str) -> Form | None:
    """A form of content by its address, with or without `|version`."""
    url, _sign, version = name.partition("|")
    for known_name in known():
        form = of_content(known_name)
        if form is not None and form.url == url and (not version or form.version == version):
            return form
    return None


async def _with_sets(database: Database, form: Form) -> Form:
    """The form with the value sets it names that lie in the record; one query when it lacks any."""
    lacking = {
        i.value_set for i in form.index.values()
        if i.value_set and not i.options and not i.value_set.startswith("#") and form.sets.expand(i.value_set) is None
    }  # fmt: skip
    if not lacking:
        return form
    async with database.reading(EVERYTHING) as connection:
        database.queries += 1
        bodies = await store.definitions(
            connection, [u for v in lacking for u in (v, v.partition("|")[0])]
        )
    found = [raw(b) for b in bodies]
    sets = {str(r["url"]): r for r in found if r.get("resourceType") == "ValueSet" and r.get("url")}
    return form_of(form.raw, form.name, ValueSets(sets)) if sets else form
