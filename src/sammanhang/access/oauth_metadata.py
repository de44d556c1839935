"""What the authorisation server says of itself: what exists, nothing more.

Sources: SMART App Launch 2.2 (Conformance), OpenID Connect Discovery 1.0, RFC 8414.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from .clients_assertions import ALGORITHMS
from .identity_services import base_url, services_of
from .keys import FOR_APPS, keys_of
from .oidc_errors import json_response
from .tokens_scopes import IDENTITY, LASTING, LAUNCH

CAPABILITIES = (
    "launch-ehr", "launch-standalone", "client-public", "client-confidential-symmetric",
    "client-confidential-asymmetric", "context-ehr-patient", "context-ehr-encounter",
    "context-standalone-patient", "context-standalone-encounter", "sso-openid-connect",
    "permission-offline", "permission-online", "permission-patient", "permission-user", "permission-v1",
    "permission-v2",
)  # fmt: skip
SCOPES = (
    *IDENTITY, *LAUNCH, *LASTING, "patient/*.cruds", "patient/*.rs", "patient/*.read", "user/*.cruds",
    "user/*.rs", "user/*.read", "system/*.cruds", "system/*.rs", "system/*.read",
)  # fmt: skip


def _common(base: str) -> dict[str, Any]:
    """What both documents say."""
    return {
        "issuer": base,
        "jwks_uri": f"{base}/oauth/jwks",
        "authorization_endpoint": f"{base}/oauth/authorize",
        "token_endpoint": f"{base}/oauth/token",
        "revocation_endpoint": f"{base}/oauth/revoke",
        "introspection_endpoint": f"{base}/oauth/introspect",
        "token_endpoint_auth_methods_supported": [
            "client_secret_basic", "client_secret_post", "private_key_jwt", "none",
        ],
        "token_endpoint_auth_signing_alg_values_supported": [*ALGORITHMS],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "scopes_supported": [*SCOPES],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
    }  # fmt: skip


def smart_configuration(base_url: str) -> dict[str, Any]:
    """What `{base_url}/fhir/.well-known/smart-configuration` says, in the demo and outside it.

    `base_url` is `settings.base_url`. The built-in provider people log in through in the demo is
    another issuer (`/oidc`), which no app speaks with.
    """
    return {
        **_common(base_url),
        "management_endpoint": f"{base_url}/apps",
        "capabilities": [*CAPABILITIES],
    }


def openid_configuration(base_url: str) -> dict[str, Any]:
    """What `{base_url}/.well-known/openid-configuration` says: the issuer of apps' ID tokens."""
    return {
        **_common(base_url),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [FOR_APPS],
        "claims_supported": ["iss", "sub", "aud", "exp", "iat", "nonce", "fhirUser", "name"],
        "ui_locales_supported": ["sv", "en"],
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
    }


async def discovery(request: Request) -> Response:
    """`GET /.well-known/openid-configuration`."""
    document = openid_configuration(base_url(services_of(request).settings))
    return json_response(document, headers={"Cache-Control": "public, max-age=300"})


async def jwks(request: Request) -> Response:
    """`GET /oauth/jwks`: the public keys our tokens can be checked with."""
    database = services_of(request).database
    own, for_apps = [await keys_of(database, a).public(database) for a in ("ES256", FOR_APPS)]
    body = {"keys": [*for_apps["keys"], *own["keys"]]}
    return json_response(body, headers={"Cache-Control": "public, max-age=300"})
