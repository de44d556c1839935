"""What the built-in OpenID Connect provider promises and keeps: requests, codes, tokens.

Authorization code flow with PKCE S256 and nothing else (OpenID Connect Core 3.1, RFC 7636, OAuth 2.0
Security BCP RFC 9700). One relying party is known, Sammanhang itself, with one exact redirect address.
The provider has no session of its own: everybody chooses who they are each time.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sammanhang.kernel.settings import Settings
from sammanhang.store.database import Database

from .identity_services import base_url
from .keys import ALGORITHM, opened, sign
from .oidc_errors import OAuthError
from .tokens import KIND, revoke, stands
from .verifiers import CHALLENGE, right_verifier

CLIENT_ID = "sammanhang"
CODE_SECONDS = 60
TOKEN_SECONDS = 300
LOA2 = "http://id.elegnamnden.se/loa/1.0/loa2"
LOA3 = "http://id.elegnamnden.se/loa/1.0/loa3"
_PLAIN = re.compile(r"[\x20-\x7e]{1,512}")


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A request of the relying party that may be answered."""

    redirect_uri: str
    scope: str
    state: str
    nonce: str
    challenge: str


class BadRelyingParty(Exception):
    """Unknown client or redirect address: the person is told here, never sent on (RFC 9700 4.11)."""


def issuer(settings: Settings) -> str:
    """The provider's name for itself."""
    return f"{base_url(settings)}/oidc"


def redirect_uri(settings: Settings) -> str:
    """The one address an answer is sent to."""
    return f"{base_url(settings)}/login/callback"


def after_logout(settings: Settings) -> str:
    """The one address a logged-out person is sent to."""
    return f"{base_url(settings)}/logout/done"


def discovery(settings: Settings) -> dict[str, Any]:
    """The provider's metadata: OpenID Connect Discovery 1.0 section 3, RFC 9207."""
    here = issuer(settings)
    return {
        "issuer": here,
        "authorization_endpoint": f"{here}/authorize",
        "token_endpoint": f"{here}/token",
        "userinfo_endpoint": f"{here}/userinfo",
        "end_session_endpoint": f"{here}/end_session",
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
        "jwks_uri": f"{here}/jwks",
        "scopes_supported": ["openid", "profile"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
        "token_endpoint_auth_methods_supported": ["none"],
        "code_challenge_methods_supported": ["S256"],
        "acr_values_supported": [LOA3, LOA2],
        "claims_supported": [
            "iss",
            "sub",
            "aud",
            "exp",
            "iat",
            "auth_time",
            "nonce",
            "acr",
            "name",
            "azp",
            "sid",
        ],
        "ui_locales_supported": ["sv", "en"],
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "authorization_response_iss_parameter_supported": True,
    }


def authorization_request(settings: Settings, sent: Mapping[str, str]) -> AuthorizationRequest:
    """The request when it may be answered.

    Raises `BadRelyingParty`, or `OAuthError` for a fault the relying party is told by redirect.
    """
    if sent.get("client_id") != CLIENT_ID or sent.get("redirect_uri") != redirect_uri(settings):
        raise BadRelyingParty
    scope, state, nonce = (sent.get(n, "") for n in ("scope", "state", "nonce"))
    if "request" in sent:
        raise OAuthError("request_not_supported", "Request objects are not supported.")
    if "request_uri" in sent:
        raise OAuthError("request_uri_not_supported", "Request objects are not supported.")
    if sent.get("response_type") != "code":
        raise OAuthError("unsupported_response_type", "Only code is supported.")
    if "openid" not in scope.split() or not _PLAIN.fullmatch(scope):
        raise OAuthError("invalid_scope", "The scope openid is needed.")
    if not _PLAIN.fullmatch(state) or not _PLAIN.fullmatch(nonce):
        raise OAuthError("invalid_request", "state and nonce are needed.")
    challenge = sent.get("code_challenge", "")
    if sent.get("code_challenge_method") != "S256" or not CHALLENGE.fullmatch(challenge):
        raise OAuthError("invalid_request", "PKCE with S256 is needed.")
    if sent.get("prompt") == "none":
        raise OAuthError("login_required", "Nobody is logged in here: one chooses each time.")
    return AuthorizationRequest(redirect_uri(settings), scope, state, nonce, challenge)


# grant: a code that can be used once, for a minute
_GRANT = """
INSERT INTO access.authorization_code
    (code, client, redirect_uri, challenge, nonce, scope, subject, name, acr, expires)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, now() + make_interval(secs => %s))
"""
# use: the code, taken by the first who asks, in time or not
_USE = """
UPDATE access.authorization_code SET used = now(), issued = %s WHERE code = %s AND used IS NULL
RETURNING client, redirect_uri, challenge, nonce, scope, subject, name, acr,
          extract(epoch FROM auth_time)::bigint, expires > now()
"""


async def grant(
    database: Database, request: AuthorizationRequest, subject: str, name: str, acr: str
) -> str:
    """A code for somebody who has just said who they are."""
    code = secrets.token_urlsafe(32)
    async with database.writing() as connection:
        await connection.execute(
            _GRANT,
            (
                _hash(code), CLIENT_ID, request.redirect_uri, request.challenge, request.nonce,
                request.scope, subject, name, acr, CODE_SECONDS,
            ),
        )  # fmt: skip
    return code


async def exchange(
    database: Database, settings: Settings, form: Mapping[str, str]
) -> dict[str, Any]:
    """The answer of the token endpoint to a code (OpenID Connect Core 3.1.3).

    Called directly by our own relying party, so that a process never waits for itself. Raises
    `OAuthError`. Whatever comes of it the code is spent; a code that comes a second time also revokes
    the access token the first one gave (RFC 6749 4.1.2).
    """
    if form.get("grant_type") != "authorization_code":
        raise OAuthError("unsupported_grant_type", "Only authorization_code is supported.")
    if form.get("client_id") != CLIENT_ID:
        raise OAuthError("invalid_client", "The client is not known.", status=401)
    code, verifier = form.get("code", ""), form.get("code_verifier", "")
    jti = secrets.token_urlsafe(16)
    async with database.writing() as connection:
        cursor = await connection.execute(_USE, (jti, _hash(code)))
        row = await cursor.fetchone()
    if row is None:
        await _revoke_issued(database, code)
        raise _bad_grant()
    client, where, challenge, nonce, scope, subject, name, acr, auth_time, in_time = row
    if (
        not in_time
        or client != CLIENT_ID
        or form.get("redirect_uri") != where
        or not right_verifier(verifier, challenge)
    ):
        raise _bad_grant()
    now = int(time.time())
    id_claims = {
        "iss": issuer(settings), "sub": subject, "aud": CLIENT_ID, "azp": CLIENT_ID,
        "iat": now, "exp": now + TOKEN_SECONDS, "auth_time": auth_time,
        "nonce": nonce, "acr": acr, "name": name, "sid": secrets.token_urlsafe(16),
    }  # fmt: skip
    access_claims = {
        "iss": issuer(settings), "sub": subject, "aud": f"{issuer(settings)}/userinfo",
        "client_id": CLIENT_ID, "scope": scope, "iat": now, "exp": now + TOKEN_SECONDS,
        "jti": jti, "name": name,
    }  # fmt: skip
    return {
        "access_token": await sign(database, access_claims, KIND),
        "token_type": "Bearer",
        "expires_in": TOKEN_SECONDS,
        "scope": scope,
        "id_token": await sign(database, id_claims, "JWT"),
    }


async def hinted(database: Database, settings: Settings, hint: str) -> dict[str, Any] | None:
    """The claims of an ID token we gave, as a hint of whom to log out; None when it is not one.

    One that has expired is a hint all the same (RP-Initiated Logout 1.0, 2).
    """
    claims = await opened(database, hint, "JWT") if hint.isascii() else None
    if claims is None or claims.get("iss") != issuer(settings) or claims.get("aud") != CLIENT_ID:
        return None
    return claims if isinstance(claims.get("sid"), str) and "events" not in claims else None


async def logout_token(database: Database, settings: Settings, log_in: dict[str, Any]) -> str:
    """What the provider tells the relying party when a log-in is over (Back-Channel Logout 1.0, 2.4)."""
    now = int(time.time())
    claims = {
        "iss": issuer(settings), "aud": CLIENT_ID, "iat": now, "exp": now + 120,
        "jti": secrets.token_urlsafe(16), "sub": log_in["sub"], "sid": log_in["sid"],
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    }  # fmt: skip
    return await sign(database, claims, "logout+jwt")


async def userinfo(database: Database, settings: Settings, header: str | None) -> dict[str, Any]:
    """Who the access token in an `Authorization` header stands for; raises `OAuthError` (401)."""
    scheme, _, token = (header or "").partition(" ")
    claims = await opened(database, token.strip(), KIND) if scheme.lower() == "bearer" else None
    wanted = f"{issuer(settings)}/userinfo"
    if claims is None or not stands(claims, issuer(settings), wanted):
        raise _bad_token()
    async with database.writing() as connection:
        cursor = await connection.execute(
            "SELECT 1 FROM access.revoked_token WHERE jti = %s", (claims["jti"],)
        )
        if await cursor.fetchone() is not None:
            raise _bad_token()
    return {"sub": claims["sub"], "name": claims["name"]}


async def _revoke_issued(database: Database, code: str) -> None:
    async with database.writing() as connection:
        cursor = await connection.execute(
            "SELECT issued FROM access.authorization_code WHERE code = %s", (_hash(code),)
        )
        row = await cursor.fetchone()
    if row is not None and row[0] is not None:
        await revoke(database, row[0])


def _hash(code: str) -> bytes:
    return hashlib.sha256(code.encode()).digest()


def _bad_grant() -> OAuthError:
    return OAuthError("invalid_grant", "The code is not valid, has been used, or is too old.")


def _bad_token() -> OAuthError:
    return OAuthError(
        "invalid_token",
        "The token is not valid.",
        status=401,
        headers={"WWW-Authenticate": 'Bearer realm="Sammanhang", error="invalid_token"'},
    )
