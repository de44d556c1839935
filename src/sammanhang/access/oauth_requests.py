"""What an app asks for at `/oauth/authorize`, understood and checked before anybody is asked.

Who asks and where the answer goes are settled first: until both are known good nothing is sent
anywhere (RFC 9700 4.11). After that every fault is told to the app. Sources: RFC 6749 4.1, RFC 7636,
RFC 9207, SMART App Launch 2.2.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from urllib.parse import urlencode

from sammanhang.kernel.settings import Settings
from sammanhang.store.database import Database

from .clients import Client, client_of
from .clients_registration import CLIENT_ID
from .identity_services import base_url
from .oidc_errors import OAuthError
from .tokens import audience
from .tokens_scopes import LASTING, MOST, OTHERS, BadScope, checked, parse, within
from .verifiers import CHALLENGE

PARAMETERS = (
    "client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "aud", "launch", "nonce",
    "code_challenge", "code_challenge_method", "prompt", "request", "request_uri",
)  # fmt: skip
_PLAIN = re.compile(r"[\x20-\x7e]{1,512}")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that may be put to a person.

    scopes     what is asked for, each once, in version 2
    launch     the launch of a chart it comes from; None for an app that was started elsewhere
    silent     `prompt=none`: an answer without a page, which here is always no
    """

    client: Client
    redirect_uri: str
    scopes: tuple[str, ...]
    state: str
    challenge: str
    nonce: str | None
    launch: str | None
    silent: bool

    @property
    def needs_patient(self) -> bool:
        """Whether a patient has to be chosen: nothing is launched, and the scopes speak of one."""
        return self.launch is None and (
            "launch/patient" in self.scopes
            or "launch/encounter" in self.scopes
            or any(s.startswith("patient/") for s in self.scopes)
        )

    @property
    def needs_encounter(self) -> bool:
        """Whether a visit may be chosen beside the patient."""
        return self.launch is None and "launch/encounter" in self.scopes


class UnknownApp(Exception):
    """No such client, or not such a redirect address: the person is told here, never sent on."""


class AskedWrongly(Exception):
    """A fault the app is told of; `redirect_uri` and `state` are where and with what."""

    def __init__(self, error: OAuthError, redirect_uri: str, state: str | None) -> None:
        super().__init__(error.description)
        self.error = error
        self.redirect_uri = redirect_uri
        self.state = state


async def understood(database: Database, settings: Settings, pairs: list[tuple[str, str]]) -> Asked:
    """The request in a query string's pairs; raises `UnknownApp` or `AskedWrongly`."""
    times = Counter(name for name, _ in pairs)
    sent = dict(pairs)
    id, redirect_uri = sent.get("client_id", ""), sent.get("redirect_uri", "")
    if times["client_id"] != 1 or times["redirect_uri"] != 1 or not CLIENT_ID.fullmatch(id):
        raise UnknownApp
    client = await client_of(database, id, demo=settings.demo)
    if client is None or not client.offered or redirect_uri not in client.redirect_uris:
        raise UnknownApp
    state = sent.get("state", "")
    shown = state if _PLAIN.fullmatch(state) and times["state"] == 1 else None
    try:
        return _checked(settings, client, redirect_uri, sent, times)
    except OAuthError as error:
        raise AskedWrongly(error, redirect_uri, shown) from None


def answer(settings: Settings, redirect_uri: str, state: str | None, said: dict[str, str]) -> str:
    """The address an answer is sent to, with `state` and `iss` (RFC 9207)."""
    said = {**said, **({"state": state} if state is not None else {}), "iss": base_url(settings)}
    return f"{redirect_uri}{'&' if '?' in redirect_uri else '?'}{urlencode(said)}"


def _checked(
    settings: Settings, client: Client, redirect_uri: str, sent: dict[str, str], times: Counter[str]
) -> Asked:
    for name in PARAMETERS:
        if times[name] > 1:
            raise OAuthError("invalid_request", f"{name} is repeated.")
    if not _PLAIN.fullmatch(sent.get("state", "")):
        raise OAuthError("invalid_request", "state is missing, too long, or not plain text.")
    if "request" in sent:
        raise OAuthError("request_not_supported", "Request objects are not supported.")
    if "request_uri" in sent:
        raise OAuthError("request_uri_not_supported", "Request objects are not supported.")
    if sent.get("response_type") != "code":
        raise OAuthError("unsupported_response_type", "response_type must be code.")
    if sent.get("response_mode", "query") != "query":
        raise OAuthError("invalid_request", "response_mode must be query.")
    if sent.get("code_challenge_method") != "S256":
        raise OAuthError("invalid_request", "code_challenge_method must be S256 (PKCE).")
    if not CHALLENGE.fullmatch(sent.get("code_challenge", "")):
        raise OAuthError("invalid_request", "code_challenge must be 43 characters of base64url.")
    if sent.get("aud", "").rstrip("/") != audience(settings):
        raise OAuthError("invalid_request", f"aud must be {audience(settings)}.")
    nonce, launch = sent.get("nonce"), sent.get("launch")
    if nonce is not None and not _PLAIN.fullmatch(nonce):
        raise OAuthError("invalid_request", "nonce is empty, too long, or not plain text.")
    scopes = _scopes(client, sent.get("scope", ""))
    if ("launch" in scopes) != (launch is not None):
        raise OAuthError("invalid_request", "The scope launch and the parameter launch belong together.")  # fmt: skip
    if launch is not None and not _PLAIN.fullmatch(launch):
        raise OAuthError("invalid_request", "launch is not one of ours.")
    return Asked(
        client, redirect_uri, tuple(scopes), sent["state"], sent["code_challenge"], nonce, launch,
        "none" in sent.get("prompt", "").split(),
    )  # fmt: skip


def _scopes(client: Client, text: str) -> list[str]:
    """The scopes asked for, all of them or `invalid_scope` with the one that cannot be given."""
    asked = text.split(" ")
    if not text or "" in asked or len(asked) > MOST:
        raise OAuthError("invalid_scope", f"scope names between one and {MOST} scopes, parted by spaces.")  # fmt: skip
    try:
        scopes = checked(asked)
        beyond = [s for s in scopes if not within(s, client.scopes)]
    except BadScope as bad:
        raise OAuthError("invalid_scope", bad.sentence) from None
    if not beyond and any(s not in OTHERS and parse(s).context == "system" for s in scopes):
        beyond = ["system/"]
    if beyond:
        raise OAuthError("invalid_scope", f"{BadScope(beyond[0], 'is more than this client is registered for').sentence}")  # fmt: skip
    if all(s in LASTING for s in scopes) or {*LASTING} <= {*scopes}:
        raise OAuthError("invalid_scope", "Ask for something, and for offline_access or online_access, not both.")  # fmt: skip
    if "fhirUser" in scopes and "openid" not in scopes:
        raise OAuthError("invalid_scope", "fhirUser takes openid.")
    return scopes
