"""The FHIR API as an ASGI application: finds the interaction, and answers every error in one way.

Plain ASGI, because FHIR's URLs are a small grammar of their own and a read should cost little more
than its query.
"""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

import psycopg

from sammanhang.access.actor import Actor
from sammanhang.access.identity_services import secure
from sammanhang.access.permits import permit_of
from sammanhang.access.rates import Rate
from sammanhang.access.security import API_HEADERS, HSTS
from sammanhang.access.services import Services
from sammanhang.fhir.r4 import TYPE_NAMES
from sammanhang.kernel.errors import (
    Conflict,
    Invalid,
    NotFound,
    Refused,
    SammanhangError,
    TooMany,
    Unauthenticated,
    Unavailable,
    Unsupported,
)

from . import (
    binary,
    conditional,
    everything,
    forms,
    gate,
    law,
    meta,
    metadata,
    read,
    search,
    subscriptions,
    transaction,
    validate,
    write,
)  # fmt: skip
from .outcome import of_error
from .request import FHIR_JSON, Answer, FhirRequest

log = logging.getLogger("sammanhang.rest")
Authenticate = Callable[[Services, str | None], Awaitable[Actor]]
# Request ids: one part per process, one per request.
_PROCESS = os.urandom(5).hex() + "-"
_COUNT = itertools.count(1)
_ID_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.")
# Two of these, and two readers of the same request may each believe another.
ONCE = frozenset(
    b"host authorization content-type content-encoding if-match if-none-exist x-security-context".split()
)
_quota = Rate()
OPEN = (["metadata"], [".well-known", "smart-configuration"])


async def bearer(services: Services, header: str | None) -> Actor:
    """The actor of a bearer token; raises `Unauthenticated`."""
    from sammanhang.access.tokens import actor_of_bearer

    return await actor_of_bearer(services.database, header, services.settings)


def fhir_app(services: Services | None = None, authenticate: Authenticate = bearer) -> Any:
    """An ASGI application for the FHIR base; `services` may come later, from the outer app's state."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        here = services or scope["app"].state.services
        common = (*API_HEADERS, HSTS) if secure(here.settings) else API_HEADERS
        here.audit.enter()
        try:
            answer = await _handle(here, authenticate, scope, receive)
        finally:
            here.audit.leave()
        headers = [*answer.headers]
        own = {name for name, _ in headers}
        headers += [h for h in common if h[0] not in own]
        body = answer.body
        if body is not None and answer.status not in (204, 304):
            if not any(k == b"content-type" for k, _ in headers):
                headers.append((b"content-type", FHIR_JSON))
            headers.append((b"content-length", str(len(body)).encode()))
        else:
            body = None
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        if scope["method"] == "HEAD":
            body = None
        await send({"type": "http.response.body", "body": body or b""})

    return app


async def _handle(
    services: Services, authenticate: Authenticate, scope: dict[str, Any], receive: Any
) -> Answer:
    root = scope.get("root_path", "")
    path = scope["path"]
    path = path[len(root) :] if root and path.startswith(root) else path
    headers = dict(scope["headers"])
    fr = FhirRequest(
        services, scope["method"], [p for p in path.split("/") if p],
        _text(scope["query_string"]), headers, receive, services.base_url + "/fhir",
        Actor("client", "client:unknown"), f"{_PROCESS}{next(_COUNT):x}",
    )  # fmt: skip

    async def work(fr: FhirRequest) -> Answer:
        if len(headers) != len(scope["headers"]):
            once_only(scope["headers"])
        if fr.method in ("GET", "HEAD") and fr.path in OPEN:
            return await metadata.open_document(fr)
        auth = headers.get(b"authorization")
        fr.actor = await authenticate(services, auth.decode("latin-1") if auth else None)
        if services.settings.requests_per_minute:
            _within_quota(fr)
        return await dispatch(fr)

    return await answered(fr, work)


def _within_quota(fr: FhirRequest) -> None:
    """Counts one more request of this client or person; raises `TooMany` over their quota."""
    wait = _quota.wait(fr.actor.id, fr.services.settings.requests_per_minute)
    if wait > 0:
        seconds = int(wait) + 1
        raise TooMany(
            f"Too many requests in a minute; wait {seconds} s.",
            f"För många anrop på en minut; vänta {seconds} s.",
            rule="QUOTA",
            retry_after=seconds,
        )


def once_only(headers: list[tuple[bytes, bytes]]) -> None:
    """Raises `Invalid` when a field that says one thing stands twice (RFC 9110 5.3)."""
    seen = set()
    for name, _ in headers:
        if name in ONCE and name in seen:
            field = name.decode()
            raise Invalid(
                f"The header {field} may stand once in a request.",
                f"Rubriken {field} får stå en gång i ett anrop.",
            )
        seen.add(name)


def _text(query: bytes) -> str:
    """The query string; letters that were not percent-encoded are UTF-8."""
    try:
        return query.decode()
    except UnicodeDecodeError:
        return query.decode("latin-1")


async def answered(fr: FhirRequest, work: Callable[[FhirRequest], Awaitable[Answer]]) -> Answer:
    """What `work` answers; every error as an OperationOutcome. Its trace is durable on return."""
    answer = await _answered(fr, work)
    try:
        for traced in fr.traces:
            await traced
    except Unavailable as e:
        return await _failed(fr, e)
    return answer


async def _answered(fr: FhirRequest, work: Callable[[FhirRequest], Awaitable[Answer]]) -> Answer:
    try:
        return await work(fr)
    except SammanhangError as e:
        return await _failed(fr, e)
    except psycopg.errors.QueryCanceled:
        from sammanhang.kernel.errors import TooCostly

        return await _failed(
            fr, TooCostly("The question took too long.", "Frågan tog för lång tid.")
        )
    except (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected):
        return await _failed(
            fr,
            Conflict(
                "Others changed the same data; try again.", "Andra ändrade samma data; försök igen."
            ),
        )
    except psycopg.OperationalError:
        return await _failed(
            fr, Unavailable("The database does not answer.", "Databasen svarar inte.")
        )
    except Exception:
        log.exception("request %s failed: %s %s", fr.id, fr.method, "/".join(fr.path[:1]))
        return Answer(
            500,
            of_error(
                SammanhangError(
                    f"Something went wrong on our side (case {fr.id}).",
                    f"Något gick fel hos oss (ärende {fr.id}).",
                )
            ),
        )


async def _failed(fr: FhirRequest, e: SammanhangError) -> Answer:
    answer = Answer(e.status, of_error(e, fr.swedish))
    if isinstance(e, Unauthenticated):
        answer.headers.append((b"www-authenticate", b'Bearer realm="fhir", error="invalid_token"'))
    if isinstance(e, Unsupported) and e.status == 405 and e.allow is not None:
        answer.headers.append((b"allow", e.allow.encode()))
    if isinstance(e, TooMany):
        # LOOKUP left its trace where it was counted; a quota is no affair of care
        answer.headers.append((b"retry-after", str(e.retry_after).encode()))
    elif isinstance(e, Refused | Unauthenticated):
        try:
            await fr.services.audit.record(
                gate.entry(
                    fr,
                    "refuse",
                    f"{fr.method} {'/'.join(fr.path)[:200]}",
                    rule=getattr(e, "rule", None),
                    outcome=type(e).__name__.lower(),
                )
            )
        except Unavailable as unavailable:
            return Answer(unavailable.status, of_error(unavailable, fr.swedish))
    return answer


def _id(text: str) -> str:
    """A logical id from a URL; anything that is not one cannot exist."""
    text = unquote(text) if "%" in text else text
    if 0 < len(text) <= 64 and _ID_CHARACTERS.issuperset(text):
        return text
    raise NotFound("There is no such resource.", "Resursen finns inte.")


def _type(text: str) -> str:
    if text in TYPE_NAMES:
        return text
    raise NotFound(f"'{text[:60]}' is not a resource type.", f"”{text[:60]}” är ingen resurstyp.")


def allowed(fr: FhirRequest, type_name: str, letter: str) -> None:
    """A token's scopes limit what it may ask for, before anything is looked at."""
    permit = permit_of(fr.actor)
    if permit is not None and not permit.may(type_name, letter):
        raise gate.outside_scopes()


async def dispatch(fr: FhirRequest) -> Answer:
    """The interaction a method and path ask for; raises `Unsupported` (405) when there is none."""
    path, method = fr.path, fr.method
    if method == "HEAD":
        method = "GET"
    n = len(path)
    if n != 2 or path[0] != "Binary":
        fr.check_accept()
    if n == 0:
        if method == "POST":
            return await transaction.process(fr)
        if method == "GET":
            return await search.search(fr, None, fr.pairs)
        raise _method(fr)
    first = path[0]
    if first[0] in "$_" or first == "metadata":
        return await _system(fr, method)
    type_name = _type(first)
    if n == 1:
        return await _on_type(fr, method, type_name)
    second = path[1]
    if second[0] in "_$" and n == 2:
        return await _type_operation(fr, method, type_name, second)
    id = _id(second)
    if n == 2:
        return await _on_instance(fr, method, type_name, id)
    third = path[2]
    if third == "_history" and method == "GET":
        allowed(fr, type_name, "r")
        if n == 3:
            return await read.history(fr, type_name, id)
        if n == 4:
            return await read.vread(fr, type_name, id, path[3])
    if n == 3 and third == "$everything" and type_name == "Patient" and method in ("GET", "POST"):
        allowed(fr, type_name, "r")
        return await everything.everything(fr, id)
    if n == 3 and type_name == "Patient" and method == law.ON_PATIENT.get(third, ("",))[0]:
        allowed(fr, type_name, law.ON_PATIENT[third][1])
        return await law.on_patient(fr, id, third)
    if n == 3 and third == "$withdraw" and type_name == "Consent" and method == "POST":
        allowed(fr, type_name, "u")
        return await law.withdraw(fr, id)
    told = subscriptions.ON_INSTANCE.get(third) if type_name == "Subscription" else None
    if n == 3 and told is not None and method in ("GET", "POST"):
        allowed(fr, type_name, "r")
        return await told(fr, id)
    if n == 3 and third == "$validate" and method == "POST":
        allowed(fr, type_name, "r")
        return await validate.validate(fr, type_name, id)
    if n == 3 and method == "POST" and (type_name, third) in _FORMS:
        allowed(fr, type_name, "r")
        return await _FORMS[type_name, third](fr, id)
    if n == 3 and third in ("$meta", "$meta-add", "$meta-delete"):
        allowed(fr, type_name, "r" if third == "$meta" else "u")
        return await meta.meta(fr, method, type_name, id, third)
    if type_name == "Patient" and n == 3 and third in TYPE_NAMES and method == "GET":
        allowed(fr, third, "s")
        return await search.search(fr, third, fr.pairs, patient=id)
    raise _method(fr)


async def _system(fr: FhirRequest, method: str) -> Answer:
    first = fr.path[0]
    if len(fr.path) == 1:
        if first == "_history" and method == "GET":
            allowed(fr, "*", "r")
            return await read.history(fr)
        if first == "_search" and method == "POST":
            return await search.search(fr, None, [*fr.pairs, *await fr.form()])
        if first == "metadata" and method == "GET":
            return await metadata.open_document(fr)
        if first == "$validate" and method == "POST":
            return await validate.validate(fr, None, None)
    raise _method(fr)


async def _on_type(fr: FhirRequest, method: str, type_name: str) -> Answer:
    if method == "GET":
        allowed(fr, type_name, "s")
        return await search.search(fr, type_name, fr.pairs)
    if method == "POST":
        allowed(fr, type_name, "c")
        if type_name == "Binary":
            return await binary.create(fr)
        return await write.create(fr, type_name)
    if method in ("PUT", "DELETE", "PATCH") and fr.query:
        allowed(fr, type_name, "d" if method == "DELETE" else "u")
        interaction = {
            "PUT": conditional.update_where,
            "DELETE": conditional.delete_where,
            "PATCH": conditional.patch_where,
        }
        return await interaction[method](fr, type_name)
    raise _method(fr)


async def _on_instance(fr: FhirRequest, method: str, type_name: str, id: str) -> Answer:
    if method == "GET":
        allowed(fr, type_name, "r")
        if type_name == "Binary":
            return await binary.read(fr, id)
        return await read.read(fr, type_name, id)
    if method == "PUT":
        allowed(fr, type_name, "u")
        if type_name == "Binary":
            return await binary.update(fr, id)
        return await write.update(fr, type_name, id)
    if method == "DELETE":
        allowed(fr, type_name, "d")
        return await write.delete(fr, type_name, id)
    if method == "PATCH":
        allowed(fr, type_name, "u")
        return await write.patch(fr, type_name, id)
    raise _method(fr)


async def _type_operation(fr: FhirRequest, method: str, type_name: str, name: str) -> Answer:
    if name == "_search" and method == "POST":
        allowed(fr, type_name, "s")
        return await search.search(fr, type_name, [*fr.pairs, *await fr.form()])
    if name == "_history" and method == "GET":
        allowed(fr, type_name, "r")
        return await read.history(fr, type_name)
    if name == "$validate" and method == "POST":
        return await validate.validate(fr, type_name, None)
    if method == "POST" and (type_name, name) in _FORMS:
        allowed(fr, type_name, "r")
        return await _FORMS[type_name, name](fr, None)
    if name == "$status" and type_name == "Subscription" and method in ("GET", "POST"):
        allowed(fr, type_name, "r")
        return await subscriptions.status(fr)
    raise _method(fr)


_FORMS = {
    ("Questionnaire", "$populate"): forms.populate,
    ("QuestionnaireResponse", "$extract"): forms.extract,
}


def _method(fr: FhirRequest) -> Unsupported:
    where = "/".join(fr.path)[:120]
    return Unsupported(
        f"{fr.method} is not offered at '/{where}'.",
        f"{fr.method} finns inte för ”/{where}”.",
        status=405 if fr.method in ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD") else 501,
        allow=_offered(fr.path, bool(fr.query)),
    )


_OPERATIONS = {
    "_history": "GET, HEAD", "metadata": "GET, HEAD", "_search": "POST", "$validate": "POST",
    "$everything": "GET, HEAD, POST", "$meta": "GET, HEAD, POST", "$meta-add": "POST", "$meta-delete": "POST",
    "$decision": "GET, HEAD", "$declare-reason": "POST", "$emergency": "POST", "$populate": "POST", "$extract": "POST", "$accesses": "GET, HEAD", "$withdraw": "POST",
    "$status": "GET, HEAD, POST", "$events": "GET, HEAD, POST",
}  # fmt: skip
_OFFERED = (
    "GET, HEAD, POST",
    "GET, HEAD, POST, PUT, PATCH, DELETE",
    "GET, HEAD, PUT, PATCH, DELETE",
)


def _offered(path: list[str], criteria: bool) -> str:
    """The methods there are at a place, for the Allow header of a 405; none where there is nothing.

    A type may be changed only where criteria say which of its resources.
    """
    for part in path:
        if part[0] in "$_" or part == "metadata":
            return _OPERATIONS.get(part, "")
    if len(path) == 1 and not criteria:
        return _OFFERED[0]
    return _OFFERED[len(path)] if len(path) < len(_OFFERED) else ""
