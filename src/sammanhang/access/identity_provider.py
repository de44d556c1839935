"""The OpenID Connect provider as the relying party sees it: where it is, what it says, whether to believe it.

The built-in one is asked in this process, any other over HTTP; what comes back goes through the same
checks (OpenID Connect Core 3.1.3.7, RFC 8725).
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard
from urllib.parse import urlsplit

import httpx
import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, KeySet, RSAKey

from sammanhang.kernel.errors import Unauthenticated, Unavailable
from sammanhang.kernel.settings import BadSetting, Settings

from . import oidc_grants as grants
from .identity_services import Services
from .keys import keys_of
from .oidc_errors import OAuthError

ALGORITHMS = ("ES256", "RS256", "PS256")
_KEY_TYPE = {"ES256": ECKey, "RS256": RSAKey, "PS256": RSAKey}
LEEWAY_SECONDS = 30
METADATA_SECONDS = 3600.0
KEYS_SECONDS = 600.0
UNKNOWN_KEY_SECONDS = 30.0
_TIMEOUT = httpx.Timeout(10.0)
_LARGEST_ANSWER = 256 * 1024

LEVELS = {
    "http://id.elegnamnden.se/loa/1.0/loa2": 2,
    "http://id.elegnamnden.se/loa/1.0/loa3": 3,
    "http://id.elegnamnden.se/loa/1.0/loa4": 4,
    "http://id.sambi.se/loa/loa2": 2,
    "http://id.sambi.se/loa/loa3": 3,
    "http://id.sambi.se/loa/loa4": 4,
}
"""Levels of assurance by `acr`: DIGG's quality mark for e-identification, and Sambi's names."""


def acr_values(level: int, metadata: Mapping[str, Any]) -> str:
    """What to ask a provider for to reach a level: the names it publishes that do, else DIGG's and Sambi's.

    The one that is just enough stands first (OpenID Connect Core 3.1.2.1).
    """
    enough = sorted(
        (n for n, reached in LEVELS.items() if reached >= level), key=LEVELS.__getitem__
    )
    published = metadata.get("acr_values_supported")
    known = [n for n in enough if isinstance(published, list) and n in published]
    return " ".join(known or enough)


class TokenRefused(Unauthenticated):
    """What the log-in service said does not stand up to the check; nobody is logged in."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The log-in service's answer was refused: {why}.", "Svaret avvisades.")
        self.why = why


class ProviderDown(Unavailable):
    """The log-in service does not answer, or not as one."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"The log-in service does not answer: {why}.", "Inloggningstjänsten svarar inte."
        )


@dataclass
class Provider:
    """An OpenID Connect provider people log in through.

    issuer         its name, also where its metadata is found
    client_id      what we are called there
    client_secret  our secret there; None for a public client
    builtin        whether it is ours, in this process
    transport      another way to it than the network, for tests
    """

    issuer: str
    client_id: str
    client_secret: str | None = None
    builtin: bool = False
    transport: httpx.AsyncBaseTransport | None = None
    _metadata: dict[str, Any] = field(default_factory=dict)
    _metadata_read: float = float("-inf")
    _keys: KeySet | None = None
    _keys_read: float = float("-inf")

    async def metadata(self, settings: Settings) -> dict[str, Any]:
        """Its metadata (OpenID Connect Discovery 1.0 4), read once an hour; raises `ProviderDown`."""
        if self.builtin:
            return grants.discovery(settings)
        if time.monotonic() - self._metadata_read > METADATA_SECONDS:
            found = await self._get(f"{self.issuer}/.well-known/openid-configuration")
            if found.get("issuer") != self.issuer:
                raise ProviderDown("its metadata names another issuer")
            for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                if not _safe(found.get(name)):
                    raise ProviderDown(f"its {name} is not an https address")
            self._metadata, self._metadata_read = found, time.monotonic()
        return self._metadata

    async def exchange(
        self, services: Services, code: str, verifier: str, redirect_uri: str
    ) -> str:
        """The ID token a code gives. Raises `TokenRefused` or `ProviderDown`."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "client_id": self.client_id,
            "code_verifier": verifier,
        }
        if self.builtin:
            try:
                answer = await grants.exchange(services.database, services.settings, form)
            except OAuthError as refused:
                raise TokenRefused(refused.code) from refused
        else:
            answer = await self._post(
                (await self.metadata(services.settings))["token_endpoint"], form
            )
        id_token = answer.get("id_token")
        if not isinstance(id_token, str):
            raise TokenRefused("there is no ID token in it")
        return id_token

    async def check(self, services: Services, id_token: str, nonce: str) -> dict[str, Any]:
        """The claims of an ID token that holds; raises `TokenRefused` with what does not.

        Signature by a key the provider publishes, an algorithm of our list and of the key's type;
        issuer, audience, authorised party, times with half a minute's leeway, and our nonce. `acr` must
        be a level we know: without it nobody can say how sure the provider is.
        """
        _, claims = await self.verified(services, id_token)
        self.check_origin(claims)
        _check_log_in(claims, nonce)
        return claims

    async def verified(
        self, services: Services, token: str
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Header and claims of a token this provider signed; raises `TokenRefused` for any other.

        The algorithm is one of our list and of the key's type; keys and key addresses in the header are
        not looked at (RFC 8725 3.1).
        """
        try:
            header = jws.extract_compact(token.encode("ascii")).headers()
            algorithm = header.get("alg")
            if algorithm not in ALGORITHMS or "crit" in header:
                raise TokenRefused("algorithm")
            key = await self._key(services, header.get("kid"), algorithm)
            payload = jws.deserialize_compact(token, key, algorithms=[algorithm]).payload
            claims = msgspec.json.decode(payload or b"")
        except (JoseError, ValueError, TypeError, RecursionError) as e:
            raise TokenRefused("signature") from e
        if not isinstance(claims, dict):
            raise TokenRefused("claims")
        return header, claims

    def check_origin(self, claims: dict[str, Any]) -> None:
        """Issuer, audience, authorised party and times; raises `TokenRefused` with what does not hold."""
        _check_origin(claims, self.issuer, self.client_id)

    async def _key(self, services: Services, kid: object, algorithm: str) -> Key:
        if self.builtin:
            own = await keys_of(services.database).by_kid(services.database, kid)
            if own is None or algorithm != "ES256":
                raise TokenRefused("unknown key")
            return own
        found = self._find(kid, algorithm)
        age = time.monotonic() - self._keys_read
        if age > KEYS_SECONDS or (found is None and age > UNKNOWN_KEY_SECONDS):
            metadata = await self.metadata(services.settings)
            published = await self._get(metadata["jwks_uri"])
            try:
                self._keys = KeySet.import_key_set(published)  # type: ignore[arg-type]
            except (JoseError, ValueError, TypeError, KeyError) as e:
                raise ProviderDown("its keys cannot be read") from e
            self._keys_read = time.monotonic()
            found = self._find(kid, algorithm)
        if found is None:
            raise TokenRefused("unknown key")
        return found

    def _find(self, kid: object, algorithm: str) -> Key | None:
        """The key of that id which may sign so; without id, the only one that may."""
        fitting = [
            key
            for key in self._keys or ()
            if isinstance(key, _KEY_TYPE[algorithm])
            and key.get("use") in (None, "sig")
            and key.get("alg") in (None, algorithm)
        ]
        if kid is None:
            return fitting[0] if len(fitting) == 1 else None
        return next((key for key in fitting if key.kid == kid), None)

    async def _get(self, url: str) -> dict[str, Any]:
        async with self._http() as http:
            return await self._read(http.build_request("GET", url), http)

    async def _post(self, url: str, form: Mapping[str, str]) -> dict[str, Any]:
        auth = httpx.BasicAuth(self.client_id, self.client_secret) if self.client_secret else None
        async with self._http(auth) as http:
            return await self._read(http.build_request("POST", url, data=form), http)

    def _http(self, auth: httpx.BasicAuth | None = None) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=self.transport, timeout=_TIMEOUT, follow_redirects=False, auth=auth
        )

    async def _read(self, request: httpx.Request, http: httpx.AsyncClient) -> dict[str, Any]:
        """A JSON object of bounded size. A 4xx to a code is a refusal, the rest is being down."""
        try:
            response = await http.send(request, stream=True)
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _LARGEST_ANSWER:
                    raise ProviderDown("its answer is too large")
            await response.aclose()
        except httpx.HTTPError as e:
            raise ProviderDown(type(e).__name__) from e
        if request.method == "POST" and 400 <= response.status_code < 500:
            raise TokenRefused(f"the code was refused ({response.status_code})")
        try:
            answer = msgspec.json.decode(body)
        except ValueError:
            answer = None
        if response.status_code != 200 or not isinstance(answer, dict):
            raise ProviderDown(f"it answered {response.status_code}")
        return answer


def configured(settings: Settings) -> Provider | None:
    """The provider the settings name; None when they name none. Raises `BadSetting`."""
    issuer = settings.oidc_issuer.rstrip("/")
    if not issuer:
        return None
    if not _safe(issuer) or urlsplit(issuer).query or urlsplit(issuer).fragment:
        raise BadSetting(f"oidc_issuer is {issuer!r}; it must be an https address.")
    if not settings.oidc_client_id:
        raise BadSetting("oidc_client_id is empty; the provider gives it.")
    return Provider(issuer, settings.oidc_client_id, settings.oidc_client_secret or None)


def provider_of(services: Services) -> Provider | None:
    """The provider people log in through: the configured one, else the built-in one, in the demo."""
    configured: Provider | None = getattr(services, "provider", None)
    if configured is not None:
        return configured
    if not services.settings.demo:
        return None
    return Provider(grants.issuer(services.settings), grants.CLIENT_ID, builtin=True)


def _check_origin(claims: dict[str, Any], issuer: str, client_id: str) -> None:
    now = time.time()
    audiences = claims.get("aud")
    audiences = [audiences] if isinstance(audiences, str) else audiences
    if claims.get("iss") != issuer:
        raise TokenRefused("issuer")
    if not isinstance(audiences, list) or client_id not in audiences:
        raise TokenRefused("audience")
    azp = claims.get("azp")
    if azp != client_id and (azp is not None or len(audiences) > 1):
        raise TokenRefused("authorised party")
    exp, iat = claims.get("exp"), claims.get("iat")
    if not _is_time(exp) or now >= exp + LEEWAY_SECONDS:
        raise TokenRefused("expired")
    if not _is_time(iat) or iat > now + LEEWAY_SECONDS:
        raise TokenRefused("issued in the future")


def _check_log_in(claims: dict[str, Any], nonce: str) -> None:
    said = claims.get("nonce")
    if not isinstance(said, str) or not hmac.compare_digest(said.encode(), nonce.encode()):
        raise TokenRefused("nonce")
    if not is_name(claims.get("sub")):
        raise TokenRefused("subject")
    if claims.get("sid") is not None and not is_name(claims["sid"]):
        raise TokenRefused("session")
    level = claims.get("acr")
    if not isinstance(level, str) or level not in LEVELS:
        raise TokenRefused("level of assurance")


def is_name(value: object) -> TypeGuard[str]:
    """Whether a value can be `sub`, `sid` or `jti`: text of 1 to 255 letters that can be written down."""
    return isinstance(value, str) and 0 < len(value) <= 255 and value.isprintable()


def _is_time(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12


def _safe(url: object) -> bool:
    """An https address, or one on this machine."""
    if not isinstance(url, str):
        return False
    parts = urlsplit(url)
    return parts.scheme == "https" or (
        parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1")
    )
