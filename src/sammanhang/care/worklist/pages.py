"""The worklist: what waits, mine, the unit's, and what has come up to its heads."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.responses import JSONResponse, RedirectResponse, Response

from sammanhang.kernel.content import content
from sammanhang.kernel.errors import Invalid
from sammanhang.kernel.i18n import N_, _, ngettext
from sammanhang.web.rendering import render
from sammanhang.web.routing import Visit, page
from sammanhang.web.worklist import Row, Todo, rows_of, todo, worded, words
from sammanhang.work.queries import Counts, counts, some, who_of, worklist

from .asked import PAGE, Asked, asked_back, asked_in
from .doing import Done, Flash, colleagues, do_all, flash_of, functions, sentence

NAMES = {
    "todo": N_("Att göra"), "mine": N_("Mitt"), "unit": N_("Enhetens"), "up": N_("Uppe hos mig"),
}  # fmt: skip
EMPTY = {
    "todo": N_("Inget väntar på dig just nu."),
    "mine": N_("Du har inte tagit någon uppgift."),
    "unit": N_("Enheten har inga öppna uppgifter för din funktion."),
    "up": N_("Inget har gått upp till dig."),
}


@dataclass(frozen=True, slots=True)
class Choice:
    """A tab or a filter: key of its count, words, address, whether it is on, the digit that chooses it, the count."""

    name: str
    said: str
    address: str
    on: bool
    key: str
    count: int | None = None


@dataclass(frozen=True, slots=True)
class WorkPage:
    """A worklist.

    title    the headline
    unit     name of the unit
    tabs     the lists; `filters` what one can narrow them with
    kinds    kinds of work to choose among: key and words; `kind` the one chosen, `kept` what else the address says
    rows     the tasks, the oldest deadline first
    first    number of the first row, `before` and `after` addresses of the neighbouring pages, `top` of the first page
             when this is another; empty
    narrowed whether a filter is on, `whole` the address of the list without
    empty    what an empty list says
    here     address of this view; `back` its query, for forms to come back to
    since    the snapshot live news go on from, `words` what the scripts say
    counts   how much there is, and `waiting` what the menu shows
    head     whether the reader is a head
    flash    what was just done; None
    wrong    what could not be done, a sentence each
    """

    title: str
    unit: str
    tabs: tuple[Choice, ...]
    filters: tuple[Choice, ...]
    kinds: tuple[tuple[str, str], ...]
    kind: str
    kept: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]
    first: int
    before: str
    after: str
    top: str
    narrowed: bool
    whole: str
    empty: str
    here: str
    back: str
    since: str
    words: str
    counts: Counts
    waiting: int
    head: bool
    flash: Flash | None
    wrong: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RowsPart:
    """Rows of a list, for a page that is open."""

    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class TodoPart:
    """What waits, for the start page that is open."""

    todo: Todo


@dataclass(frozen=True, slots=True)
class HandOverPage:
    """To whom several tasks are handed over: their number and ids, who there is, and the view to come back to."""

    title: str
    count: int
    tasks: tuple[str, ...]
    people: tuple[tuple[str, str], ...]
    functions: tuple[tuple[str, str], ...]
    back: str
    typed: dict[str, str]
    wrong: tuple[str, ...]


@page("/work", access="staff")
async def work(visit: Visit) -> Response:
    """A list; without parameters what waits for the reader. Five queries, one more the first time."""
    return await show_list(visit, asked_in(visit.request.query_params))


@page("/work", access="staff", methods=("POST",))
async def act(visit: Visit) -> Response:
    """A verb with one row or with several chosen ones. What could not be done is said on the list."""
    form = visit.form
    asked = asked_back(form.get("back", ""))
    verb, ids = _wanted(visit)
    if verb == "hand-over" and not form.get("to"):
        return await choose(visit, asked, ids)
    try:
        done, wrong = await do_all(visit, verb, ids)
    except Invalid as e:
        return await show_list(visit, asked, (sentence(e),), 400)
    if wrong and verb == "hand-over" and not done:
        return await choose(visit, asked, ids, tuple(wrong))
    undone = form.get("undo") == "1"
    if wrong:
        if done:
            n = len(done)
            wrong = [ngettext("%(n)s uppgift är gjord.", "%(n)s uppgifter är gjorda.", n) % {"n": n}, *wrong]  # fmt: skip
        return await show_list(visit, asked, tuple(wrong), 409)
    query = "&".join(filter(None, [asked.query(), Done(verb, done, undone=undone).query()]))
    return RedirectResponse(f"/work?{query}", 303)


def _wanted(visit: Visit) -> tuple[str, list[str]]:
    """The verb and the tasks of a form: a row's own button, or the choice with the rows that are ticked."""
    for verb in ("take", "complete"):
        if visit.form.get(verb):
            return verb, [visit.form[verb]]
    return visit.form.get("do", ""), [v for name, v in visit.fields if name == "task"]


async def choose(visit: Visit, asked: Asked, ids: list[str], wrong: tuple[str, ...] = ()) -> Response:  # fmt: skip
    """Asks to whom the chosen tasks go."""
    if not ids:
        return await show_list(visit, asked, (_("Välj minst en uppgift."),), 400)
    people = await colleagues(visit)
    shown = HandOverPage(
        _("Lämna över"), len(ids), tuple(ids), tuple(people), tuple(functions()), asked.query(), dict(visit.form),
        wrong,
    )  # fmt: skip
    return render(visit, "worklist/hand_over.html", shown, 400 if wrong else 200)


async def show_list(visit: Visit, asked: Asked, wrong: tuple[str, ...] = (), status: int = 200) -> Response:  # fmt: skip
    """The list as it is now."""
    doors, actor = visit.services.doors, visit.actor
    who, a = who_of(actor), actor.assignment
    seen, since = await counts(doors, actor)
    listed = await worklist(doors, actor, asked.filter, limit=PAGE, offset=asked.start)
    rows = await rows_of(visit, listed)
    head = bool(who.head)
    f = asked.filter
    kinds = content("routing/deadlines")["kinds"]
    before = asked.page(max(asked.start - PAGE, 0)) if asked.start else ""
    shown = WorkPage(
        title=_("Arbete"),
        unit=a.unit_name if a is not None else "",
        tabs=_tabs(asked, seen, head),
        filters=_filters(asked, 4 if head else 3),
        kinds=tuple((key, worded(kinds, key)) for key in kinds),
        kind=f.kind,
        kept=tuple(parse_qsl(asked.query(kind=""))),
        rows=rows,
        first=asked.start + 1,
        before=before,
        after=asked.page(asked.start + PAGE) if listed.more else "",
        top=asked.page(0) if asked.start else "",
        narrowed=bool(f.priorities or f.kind or f.late or f.free),
        whole=Asked(type(f)(f.list)).address(),
        empty=_(EMPTY[f.list]),
        here=asked.page(asked.start),
        back=asked.query(),
        since=since,
        words=words(),
        counts=seen,
        waiting=seen.waiting,
        head=head,
        flash=flash_of(visit) if not wrong and visit.request.method == "GET" else None,
        wrong=wrong,
    )
    return render(visit, "worklist/work.html", shown, status)


def _tabs(asked: Asked, seen: Counts, head: bool) -> tuple[Choice, ...]:
    numbers = {"todo": seen.waiting, "mine": seen.mine, "unit": seen.all, "up": seen.up}
    names = [n for n in NAMES if n != "up" or head]
    return tuple(
        Choice(n, _(NAMES[n]), asked.address(list=n), asked.filter.list == n, str(i), numbers[n])
        for i, n in enumerate(names, 1)
    )


def _filters(asked: Asked, tabs: int) -> tuple[Choice, ...]:
    f = asked.filter
    words = content("routing/deadlines")["priorities"]
    found = []
    for p in ("stat", "asap"):
        on = p in f.priorities
        others = tuple(x for x in f.priorities if x != p)
        changed = others if on else (*others, p)
        found.append((p, worded(words, p), asked.address(priorities=changed), on))
    found.append(("late", _("Försenat"), asked.address(late=not f.late), f.late))
    if f.list != "mine":
        found.append(("free", _("Ingen har tagit"), asked.address(free=not f.free), f.free))
    if f.list in ("todo", "unit"):
        found.append(("all", _("Alla på enheten"), asked.address(everything=not f.everything), f.everything))  # fmt: skip
    return tuple(Choice(*one, str(tabs + i)) for i, one in enumerate(found, 1))


@page("/work/rows", access="staff", quiet=True)
async def rows(visit: Visit) -> Response:
    """Rows that have changed (`ids`), or the first page of a list anew; for a page that is open."""
    doors, actor = visit.services.doors, visit.actor
    ids = [i for i in visit.asked("ids").split(",") if i and len(i) <= 64][:PAGE]
    if visit.asked("ids"):
        listed = await some(doors, actor, ids)
    else:
        asked = asked_in(visit.request.query_params)
        listed = await worklist(doors, actor, asked.filter, limit=PAGE)
    shown = await rows_of(visit, listed)
    return render(visit, "worklist/rows.html", RowsPart(shown))


@page("/work/todo", access="staff", quiet=True)
async def todo_part(visit: Visit) -> Response:
    """What waits, for a start page that is open."""
    return render(visit, "web/todo.html", TodoPart((await todo(visit))[0]))


@page("/work/counts", access="staff", quiet=True)
async def counted(visit: Visit) -> Response:
    """The counts alone, for the menu of a page that is open. One query."""
    seen, _since = await counts(visit.services.doors, visit.actor)
    return JSONResponse({"waiting": seen.waiting, "mine": seen.mine, "late": seen.late})
