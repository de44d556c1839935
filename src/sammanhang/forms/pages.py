"""What the pages of forms ask for while one types: drafts saved, and codes looked for."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response

from sammanhang.kernel.errors import Invalid
from sammanhang.kernel.i18n import either
from sammanhang.web.rendering import render
from sammanhang.web.routing import Visit, page

from . import drafts
from .answers import acted, listed
from .drafts import ABOUT_MARK, DraftChanged, DraftGone
from .files import MOST_FILES, held
from .library import NoSuchForm, find
from .options import MANY, Option, search
from .show import FormView
from .tree import PREFIX

# Fields a page with a form may send: the longest forms of others have some thousand questions.
MOST_FIELDS = 4000
CHECKED = f"{PREFIX}~checked"


@dataclass(frozen=True, slots=True)
class FormPart:
    """A form's fields alone, to be put into the page they came from; `conflict` when somebody else saved first."""

    form: FormView
    conflict: str = ""


@dataclass(frozen=True, slots=True)
class Hits:
    """What a search among a question's options found: `options` with key and words; `more` when there is more."""

    options: tuple[Option, ...]
    more: bool


@page(
    "/patients/{patient}/forms/draft",
    access="record",
    methods=("POST",),
    most_fields=MOST_FIELDS,
    files=MOST_FILES,
)
async def save_draft(visit: Visit) -> Response:
    """Saves a draft as one types, and answers with the form as the server sees it now.

    409 when somebody else has saved in it since: nothing is written over, and the page keeps what it has.
    """
    record, told = visit.opened, visit.form
    name = told.get(f"{PREFIX}~form", "")
    if not name:
        raise Invalid("The form is missing.", "Formuläret saknas.")
    form = await find(record.doors.database, name)
    draft = await drafts.open(record, form, told.get(f"{PREFIX}{ABOUT_MARK}") or None)
    conflict, status = "", 200
    try:
        draft = await drafts.save(record, draft, visit.fields, files=visit.files)
    except (DraftChanged, DraftGone) as e:
        conflict, status = either(e.sv, e.en), 409
        draft, _ = drafts.typed(draft, visit.fields)
    faults = drafts.faults(draft)
    if told.get(CHECKED) != "yes":  # what is only missing is said when one has tried to sign
        faults = [f for f in faults if f.code != "required"]
    asked = acted(visit.fields)
    searched = (
        {asked[1]: told.get(f"{asked[1]}.search", "")} if asked and asked[0] == "search" else {}
    )
    shown = drafts.show(draft, faults=faults, searched=searched, checked=told.get(CHECKED) == "yes")
    return render(visit, "forms/part.html", FormPart(shown, conflict), status)


@page("/patients/{patient}/files/{file}", access="record")
async def file(visit: Visit) -> Response:
    """A file of the record, to be saved: a browser neither runs it nor guesses what it is."""
    found = await held(visit.opened, visit.request.path_params["file"])
    shown = found.kind if "/" in found.kind else "application/octet-stream"
    headers = {
        "content-disposition": "attachment", "content-security-policy": "sandbox; default-src 'none'",
    }  # fmt: skip
    return Response(found.body, media_type=shown, headers=headers)


@page("/forms/{form}/options", access="person", methods=("POST",))
async def options(visit: Visit) -> Response:
    """Options of a question that hold what was typed; content, so no patient is named."""
    form = await find(visit.services.database, visit.request.path_params["form"])
    item = form.index.get(visit.form.get("link", ""))
    if item is None:
        raise NoSuchForm(visit.form.get("link", ""))
    found = search(tuple(listed(item, form)), visit.form.get("q", ""), MANY + 1)
    return render(visit, "forms/hits.html", Hits(tuple(found[:MANY]), len(found) > MANY))
