"""The authorisation server's endpoints for programs: tokens, their end, and what they are.

`/oauth/authorize`, where people say yes or no, is a page (`care.apps`). Sources: RFC 6749, RFC 7009,
RFC 7662, SMART App Launch 2.2. Traces name the client, what was asked and what came of it; a secret, a
code, a token or an assertion is never written down.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from . import grants, tokens
from .clients import Client
from .clients_proof import proved, who
from .grants import Grant
from .identity_services import Services, base_url, services_of, trace
from .keys import FOR_APPS, sign
from .oauth_metadata import discovery, jwks
from .oidc_errors import OAuthError, form_of, json_response
from .tokens_scopes import LASTING, MOST, OTHERS, BadScope, on_resources, parse, within

ID_TOKEN_SECONDS = 300
Answer = tuple[
    dict[str, Any], dict[str, Any]
]  # what the client gets, and what the trace keeps of it
_Grant = Callable[[Services, Client, dict[str, str]], Awaitable[Answer]]


async def token_endpoint(request: Request) -> Response:
    """`POST /oauth/token`: tokens for a client that proves who it is; RFC 6749 3.2 and 5."""
    services = services_of(request)
    named = "client:?"
    try:
        form = await form_of(request)
        named = who(request, form)
        client = await proved(request, form)
        grant_type = form.get("grant_type")
        if grant_type is None:
            raise OAuthError("invalid_request", "grant_type is missing.")
        work = _GRANTS.get(grant_type)
        if work is None:
            raise OAuthError("unsupported_grant_type", "That grant_type is not supported.")
        body, details = await work(services, client, form)
    except OAuthError as refused:
        await trace(request, "token", named, outcome=refused.code, details={"why": str(refused)})
        return refused.response()
    await trace(request, "token", f"client:{client.id}", details=details)
    return json_response(body)


async def revoke_endpoint(request: Request) -> Response:
    """`POST /oauth/revoke` (RFC 7009): a refresh token ends its grant, an access token itself.

    200 whatever the token was: what is not the client's, or nothing any more, is left as it is.
    """
    services = services_of(request)
    named, what = "client:?", "nothing"
    try:
        form = await form_of(request)
        named = who(request, form)
        client = await proved(request, form)
        token = form.get("token", "")
        if not token:
            raise OAuthError("invalid_request", "token is missing.")
        grant = await grants.of_refresh(services.database, services.settings, client.id, token)
        if grant is not None:
            await grants.end(services.database, [grant.id], "app")
            what = f"grant {grant.id}"
        else:
            found = await tokens.claims_of(services.database, services.settings, token)
            if found is not None and found[0]["client_id"] == client.id:
                await tokens.revoke(services.database, found[0]["jti"], found[0]["exp"])
                what = f"token {found[0]['jti']}"
    except OAuthError as refused:
        await trace(request, "revoke", named, outcome=refused.code, details={"why": str(refused)})
        return refused.response()
    await trace(request, "revoke", f"client:{client.id}", details={"revoked": what})
    return json_response({})


async def introspect_endpoint(request: Request) -> Response:
    """`POST /oauth/introspect` (RFC 7662): what a confidential client's own token is worth now."""
    services = services_of(request)
    named = "client:?"
    try:
        form = await form_of(request)
        named = who(request, form)
        client = await proved(request, form)
        if client.method == "none":
            raise OAuthError("invalid_client", "A public client cannot introspect.", status=401)
        if not form.get("token"):
            raise OAuthError("invalid_request", "token is missing.")
        body = await _introspected(services, client, form["token"])
    except OAuthError as refused:
        await trace(request, "introspect", named, outcome=refused.code, details={"why": str(refused)})  # fmt: skip
        return refused.response()
    await trace(request, "introspect", f"client:{client.id}", details={"active": body["active"]})
    return json_response(body)


routes = [
    Route("/oauth/token", token_endpoint, methods=["POST"]),
    Route("/oauth/revoke", revoke_endpoint, methods=["POST"]),
    Route("/oauth/introspect", introspect_endpoint, methods=["POST"]),
    Route("/oauth/jwks", jwks, methods=["GET"]),
    Route("/.well-known/openid-configuration", discovery, methods=["GET"]),
]


async def _by_code(services: Services, client: Client, form: dict[str, str]) -> Answer:
    """RFC 6749 4.1.3: the tokens a code gives."""
    grant = await grants.redeem(services.database, services.settings, client.id, form)
    body, details = await _tokens(services, grant, grant.scopes)
    if "openid" in grant.scopes:
        body["id_token"] = await _id_token(services, grant)
    return body, details


async def _by_refresh(services: Services, client: Client, form: dict[str, str]) -> Answer:
    """RFC 6749 6: new tokens for a refresh token, which is spent; the scopes granted, or fewer."""
    token = form.get("refresh_token", "")
    grant = await grants.of_refresh(services.database, services.settings, client.id, token)
    if grant is None or await grants.person_now(services.database, grant) is None:
        raise grants.bad_grant()
    scopes = _fewer(form.get("scope"), grant)
    await grants.spend_refresh(services.database, client.id, token)
    return await _tokens(services, grant, scopes)


async def _by_itself(services: Services, client: Client, form: dict[str, str]) -> Answer:
    """RFC 6749 4.4, SMART Backend Services: a token for the client itself."""
    if client.offered or client.method == "none":
        raise OAuthError("unauthorized_client", "An app acts for the people who grant it something.")  # fmt: skip
    scopes = _granted(form.get("scope"), client)
    token, claims = await tokens.issue_client_token(
        services.database, services.settings, client.id, scopes
    )
    body = {
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": tokens.LIFE_SECONDS,
        "scope": claims["scope"],
    }
    return body, {"jti": claims["jti"], "scope": claims["scope"]}


_GRANTS: dict[str, _Grant] = {
    "authorization_code": _by_code,
    "refresh_token": _by_refresh,
    "client_credentials": _by_itself,
}


async def _tokens(services: Services, grant: Grant, scopes: tuple[str, ...]) -> Answer:
    """The answer for an app: access token, context of the launch, and a refresh token when it may last."""
    token, claims = await tokens.issue_app_token(
        services.database, services.settings, grant, scopes
    )
    body: dict[str, Any] = {
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": claims["exp"] - claims["iat"],
        "scope": claims["scope"],
    }
    if any(s in grant.scopes for s in LASTING):
        body["refresh_token"] = await grants.new_refresh(services.database, grant)
    if grant.patient is not None:
        # the app opens in a window of its own, where nothing else says who the patient is
        body |= {"patient": grant.patient, "need_patient_banner": True}
    if grant.encounter is not None:
        body["encounter"] = grant.encounter
    details = {
        "grant": grant.id, "person": grant.person, "jti": claims["jti"], "scope": claims["scope"],
    }  # fmt: skip
    return body, details


async def _id_token(services: Services, grant: Grant) -> str:
    """Who the person is, for the app (OpenID Connect Core 2; `fhirUser` of SMART)."""
    base, now = base_url(services.settings), int(time.time())
    claims: dict[str, Any] = {
        "iss": base, "sub": grant.person, "aud": grant.client, "iat": now, "exp": now + ID_TOKEN_SECONDS,
    }  # fmt: skip
    if grant.nonce is not None:
        claims["nonce"] = grant.nonce
    if "fhirUser" in grant.scopes:
        claims["fhirUser"] = f"{base}/fhir/{grant.person}"
    if "profile" in grant.scopes:
        claims["name"] = grant.name
    return await sign(services.database, claims, "JWT", FOR_APPS)


async def _introspected(services: Services, client: Client, token: str) -> dict[str, Any]:
    """RFC 7662 2.2; `active` false and nothing more for what is not this client's, or is worth nothing."""
    grant = await grants.of_refresh(
        services.database, services.settings, client.id, token, asking=True
    )
    if grant is not None:
        return _about(services, grant) | {
            "token_type": "refresh_token", "scope": " ".join(grant.scopes), "exp": int(grant.until.timestamp()),
        }  # fmt: skip
    found = await tokens.claims_of(services.database, services.settings, token)
    if found is None or found[0]["client_id"] != client.id:
        return {"active": False}
    claims, actor = found
    body: dict[str, Any] = {"active": True}
    if actor.app is not None:
        of_token = await grants.in_force(
            services.database, services.settings, actor.app.grant, touch=False
        )
        if of_token is None:
            return {"active": False}
        body = _about(services, of_token)
    kept = ("iss", "sub", "aud", "client_id", "scope", "iat", "exp", "jti")
    return body | {name: claims[name] for name in kept} | {"token_type": "Bearer"}


def _about(services: Services, grant: Grant) -> dict[str, Any]:
    """The context of a grant."""
    base = base_url(services.settings)
    body: dict[str, Any] = {
        "active": True,
        "client_id": grant.client,
        "sub": grant.person,
        "iss": base,
    }
    if grant.patient is not None:
        body["patient"] = grant.patient
    if grant.encounter is not None:
        body["encounter"] = grant.encounter
    if "fhirUser" in grant.scopes:
        body["fhirUser"] = f"{base}/fhir/{grant.person}"
    return body


def _fewer(asked: str | None, grant: Grant) -> tuple[str, ...]:
    """The scopes a refresh asks for: those granted when it names none, never more."""
    if asked is None:
        return grant.scopes
    return tuple(_asked(asked, grant.scopes, "A scope is more than was granted."))


def _granted(asked: str | None, client: Client) -> list[str]:
    """The scopes asked for, all of them or an error; what the client may have when none is asked."""
    if asked is None:
        return sorted(on_resources(client.scopes))
    scopes = _asked(asked, client.scopes, "A scope is more than this client may have.")
    if any(s in OTHERS or parse(s).context != "system" for s in scopes):
        raise OAuthError("invalid_scope", "A service acts for itself: system scopes only.")
    return scopes


def _asked(text: str, allowed: Any, beyond: str) -> list[str]:
    scopes = list(dict.fromkeys(text.split()))
    if not scopes or len(scopes) > MOST:
        raise OAuthError("invalid_scope", f"Name between one and {MOST} scopes.")
    for scope in scopes:
        try:
            if not within(scope, allowed):
                raise OAuthError("invalid_scope", beyond)
        except BadScope as bad:
            raise OAuthError("invalid_scope", bad.sentence) from None
    return scopes
