"""The system administrator's pages: which clients there are, a new one, and the end of one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from starlette.responses import Response

from sammanhang.access import clients, grants
from sammanhang.access.administrators import need_administrator
from sammanhang.access.clients import Client
from sammanhang.access.clients_registration import METHODS, Registration
from sammanhang.kernel.content import content
from sammanhang.kernel.errors import Conflict, Invalid, Issue, NotFound, Refused
from sammanhang.kernel.i18n import N_, _, either
from sammanhang.web.apps import Wishes, wishes_of
from sammanhang.web.rendering import render
from sammanhang.web.routing import Visit, need_fresh, page

WAYS = {
    "none": N_("Ingen hemlighet (app i webbläsare eller telefon)"),
    "client_secret": N_("Hemlighet (app eller tjänst med egen server)"),
    "private_key_jwt": N_("Egen nyckel (private_key_jwt)"),
}
EXAMPLE = "launch openid fhirUser patient/Observation.rs"


@dataclass(frozen=True, slots=True)
class Line:
    """A client in the list: what it is, how many grants stand, and when one was last used."""

    client: Client
    kind: str
    grants: int
    used: datetime | None


@dataclass(frozen=True, slots=True)
class ClientsPage:
    """Every client, those in use first."""

    title: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class ClientPage:
    """One client: how it is registered, and what people have granted to it.

    kind, way  what it is and how it proves itself, in words; `roles` the roles that see it
    staff      names of staff who let it in, with how many grants each
    residents  how many residents let it in; who they are is not told
    told       what was just done, in words; empty when nothing was
    """

    title: str
    client: Client
    kind: str
    way: str
    roles: tuple[str, ...]
    wishes: Wishes
    scopes: tuple[str, ...]
    staff: tuple[tuple[str, int], ...]
    residents: int
    count: int
    told: str


@dataclass(frozen=True, slots=True)
class RegisterPage:
    """The form for a new client; `typed` is what was typed, `wrong` what was wrong with it by field."""

    title: str
    typed: dict[str, str]
    wrong: dict[str, str]
    ways: tuple[tuple[str, str], ...]
    roles: tuple[tuple[str, str], ...]
    example: str


@dataclass(frozen=True, slots=True)
class RegisteredPage:
    """A client just made; its secret, when it has one, is shown this once."""

    title: str
    id: str
    secret: str
    base: str


@page("/admin/apps", access="staff")
async def all_clients(visit: Visit) -> Response:
    """Every client; two queries."""
    need_administrator(visit.actor)
    services = visit.services
    found = await clients.clients_here(services.database)
    counts = await grants.counts(services.database, services.settings)
    lines = [Line(c, _kind(c), *counts.get(c.id, (0, None))) for c in found]
    lines.sort(key=lambda line: not line.client.active)
    return render(visit, "apps/clients.html", ClientsPage(_("Appar och klienter"), tuple(lines)))


@page("/admin/apps/new", access="staff")
async def new(visit: Visit) -> Response:
    """The form for a new client."""
    need_administrator(visit.actor)
    return _form(visit, {"offered_staff": "1", "method": "client_secret"}, {})


@page("/admin/apps/new", access="staff", methods=("POST",))
async def register(visit: Visit) -> Response:
    """A new client, or the form again with all that was typed and what is wrong where."""
    need_administrator(visit.actor)
    need_fresh(visit, "register-client")
    services, form = visit.services, visit.form
    try:
        registration = _registration(form)
        id, secret = await clients.register_here(services.database, registration, visit.actor.id)
    except Invalid as e:
        wrong: dict[str, str] = {}
        for issue in e.issues:
            said = either(issue.sv, issue.en)
            wrong[issue.expression] = f"{wrong.get(issue.expression, '')} {said}".strip()
        return _form(visit, form, wrong, 400)
    except Conflict as e:
        return _form(visit, form, {"id": either(e.sv, e.en)}, 409)
    await _trace(visit, "client-registered", id, scope=" ".join(registration.scopes))
    shown = RegisteredPage(_("Klienten är registrerad"), id, secret or "", services.base_url)
    return render(visit, "apps/registered.html", shown)


@page("/admin/apps/{client}", access="staff")
async def one(visit: Visit) -> Response:
    """One client, and what people granted to it: staff by name, residents counted."""
    need_administrator(visit.actor)
    return await _one(visit, "")


@page("/admin/apps/{client}", access="staff", methods=("POST",))
async def change(visit: Visit) -> Response:
    """Ends all that was granted to a client, or closes it for good."""
    need_administrator(visit.actor)
    database, id = visit.services.database, visit.request.path_params["client"]
    if visit.form.get("do") == "close":
        client = await _client(visit)
        if client.demo:
            raise Refused("The demo client belongs to the demo.", "Demoklienten hör till demon.", rule="ROLE")  # fmt: skip
        await grants.end_of_client(database, id, "closed")
        await clients.close_here(database, id)
        await _trace(visit, "client-closed", id)
        return await _one(visit, _("Klienten är stängd."))
    if visit.form.get("do") == "end":
        ended = await grants.end_of_client(database, id, "administrator")
        await _trace(visit, "grant-end", id, count=len(ended))
        return await _one(visit, _("All åtkomst är borttagen."))
    raise NotFound("There is no such choice.", "Det valet finns inte.")


async def _one(visit: Visit, told: str) -> Response:
    services = visit.services
    client = await _client(visit)
    given = await grants.of_client(services.database, services.settings, client.id)
    staff: dict[str, list[str]] = {}
    for g in given:
        if g.kind == "staff":
            staff.setdefault(g.person, []).append(g.name)
    known = content("rules/roles")["roles"]
    shown = ClientPage(
        title=client.name, client=client, kind=_kind(client), way=_(WAYS[client.method]),
        roles=tuple(either(known[r]["sv"], known[r]["en"]) for r in sorted(client.roles) if r in known),
        wishes=wishes_of(client.scopes), scopes=tuple(sorted(client.scopes)),
        staff=tuple(sorted((names[0], len(names)) for names in staff.values())),
        residents=len({g.person for g in given if g.kind == "resident"}), count=len(given), told=told,
    )  # fmt: skip
    return render(visit, "apps/client.html", shown)


async def _client(visit: Visit) -> Client:
    wanted = visit.request.path_params["client"]
    found = await clients.clients_here(visit.services.database)
    client = next((c for c in found if c.id == wanted), None)
    if client is None:
        raise NotFound("There is no such client.", "Klienten finns inte.")
    return client


def _registration(form: dict[str, str]) -> Registration:
    """What the form says; raises `Invalid` for keys that are no JSON."""
    jwks = None
    if form.get("jwks", "").strip():
        try:
            jwks = json.loads(form["jwks"])
        except (ValueError, RecursionError):
            fault = Issue("value", "jwks", "Nycklarna är inte JSON.", "The keys are not JSON.")
            raise Invalid(fault.en, fault.sv, issues=(fault,)) from None
    method = form.get("method", "")
    return Registration(
        name=form.get("name", ""), publisher=form.get("publisher", ""),
        scopes=tuple(form.get("scopes", "").split()),
        method=method,  # type: ignore[arg-type]  # an unknown one is told of by `check`
        redirect_uris=tuple(form.get("redirect_uris", "").split()),
        launch_url=form.get("launch_url", "").strip() or None, jwks=jwks,
        jwks_uri=form.get("jwks_uri", "").strip() or None,
        offered=tuple(a for a in ("staff", "resident") if form.get(f"offered_{a}")),
        roles=(form["role"],) if form.get("role") else (),
        provider=form.get("provider", "").strip() or None, id=form.get("id", "").strip() or None,
    )  # fmt: skip


def _form(
    visit: Visit, typed: dict[str, str], wrong: dict[str, str], status: int = 200
) -> Response:
    roles = content("rules/roles")["roles"]
    shown = RegisterPage(
        title=_("Registrera en app eller tjänst"), typed=typed, wrong=wrong,
        ways=tuple((m, _(WAYS[m])) for m in METHODS),
        roles=tuple((code, either(r["sv"], r["en"])) for code, r in roles.items() if r["read"]),
        example=EXAMPLE,
    )  # fmt: skip
    return render(visit, "apps/register.html", shown, status)


def _kind(client: Client) -> str:
    if not client.offered:
        return _("Tjänst")
    if client.offered == {"staff"}:
        return _("App för personal")
    return _("App för invånare") if client.offered == {"resident"} else _("App för alla")


async def _trace(
    visit: Visit, action: str, client: str, count: int | None = None, **details: str
) -> None:
    doors = visit.services.doors
    entry = doors.entry(
        visit.actor, action, what=f"client:{client}"[:100], count=count, request=visit.id, details=details or None,
    )  # fmt: skip
    await visit.services.audit.record(entry)
