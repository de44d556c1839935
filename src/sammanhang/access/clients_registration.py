"""Registering an API client: what it says of itself, checked before it is believed.

Every fault is told at once, each with the field it stands in. Sources: RFC 6749 2 and 3.1.2, RFC 8252
(native apps), RFC 9700 2.1 (exact redirect addresses), SMART App Launch 2.2 (client registration).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Literal
from urllib.parse import urlsplit

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from sammanhang.kernel.content import content
from sammanhang.kernel.errors import Invalid, Issue

from .tokens_scopes import LAUNCH, BadScope, ResourceScope, checked, on_resources, parse

Method = Literal["none", "client_secret", "private_key_jwt"]
METHODS: tuple[Method, ...] = ("none", "client_secret", "private_key_jwt")
AUDIENCES = ("staff", "resident")
CLIENT_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
LOOPBACK = ("127.0.0.1", "::1", "localhost")
CURVES = ("P-256", "P-384")
LEAST_RSA_BITS = 2048
MOST_KEYS, MOST_ADDRESSES, LONGEST_ADDRESS, LONGEST_NAME = 20, 20, 500, 100
# A scheme of one's own is a domain name backwards (RFC 8252 7.1): `com.example.app:/done`.
_PRIVATE_SCHEME = re.compile(r"[a-z][a-z0-9-]*(\.[a-z0-9-]+)+")
_ADDRESS = re.compile(r"[\x21-\x7e]+")
# No control characters, and none that turn the writing or cannot be seen: a name must be what it looks like.
_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")


@dataclass(frozen=True, slots=True)
class Registration:
    """What a client is registered with.

    name           as people read it; `publisher` is who stands behind it
    scopes         what it may ask for, at most
    method         how it proves itself: `none` (public), `client_secret`, `private_key_jwt`
    redirect_uris  where answers of `/oauth/authorize` may go, compared letter by letter
    launch_url     where the chart starts it
    jwks           its public keys, or `jwks_uri` where they are found
    offered        `staff`, `resident`; nobody for a backend service
    roles          staff roles that see it in the chart; empty means every role
    provider       HSA-id of the care provider its `system/` scopes act for
    everything     trusted with the whole record instead
    id             chosen by us when None
    purpose        what it wants the data for: a key of content/rules/secondary_use
    decision       the number of the decision that lets it have them, and until when (`decided`; R40)
    """

    name: str
    scopes: tuple[str, ...]
    method: Method = "client_secret"
    publisher: str = ""
    redirect_uris: tuple[str, ...] = ()
    launch_url: str | None = None
    jwks: Any = None
    jwks_uri: str | None = None
    offered: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    provider: str | None = None
    everything: bool = False
    id: str | None = None
    purpose: str = "care"
    decision: str | None = None
    decided: date | None = None


class _Faults:
    """Gathers what is wrong, field by field."""

    def __init__(self) -> None:
        self.issues: list[Issue] = []

    def add(self, field: str, sv: str, en: str) -> None:
        self.issues.append(Issue("value", field, sv, en))


def check(r: Registration) -> Registration:
    """The registration in one form only (scopes in version 2).

    Raises `Invalid`; its issues name the field in `expression`.
    """
    faults = _Faults()
    _names(r, faults)
    scopes = _scopes(r, faults)
    _audience(r, scopes, faults)
    for uri in r.redirect_uris:
        why = address_fault(uri, private=r.method == "none")
        if why is not None:
            faults.add("redirect_uris", f"{uri[:80]}: {why[0]}", f"{uri[:80]}: {why[1]}")
    if len(r.redirect_uris) > MOST_ADDRESSES:
        faults.add("redirect_uris", f"Högst {MOST_ADDRESSES} adresser.", f"At most {MOST_ADDRESSES} addresses.")  # fmt: skip
    if r.launch_url:
        why = address_fault(r.launch_url)
        if why is not None:
            faults.add("launch_url", f"{r.launch_url[:80]}: {why[0]}", f"{r.launch_url[:80]}: {why[1]}")  # fmt: skip
        if "launch" not in scopes or "staff" not in r.offered:
            faults.add("launch_url", "Att startas från journalen kräver scope ”launch” och att appen erbjuds personal.",
                       "To be launched from the chart takes the scope 'launch' and being offered to staff.")  # fmt: skip
    _keys(r, faults)
    _purpose(r, faults)
    if faults.issues:
        raise Invalid(
            " ".join(f"{i.expression}: {i.en}" for i in faults.issues),
            " ".join(f"{i.expression}: {i.sv}" for i in faults.issues),
            issues=tuple(faults.issues),
        )
    return replace(
        r, name=r.name.strip(), publisher=r.publisher.strip(), scopes=tuple(scopes),
        launch_url=r.launch_url or None, jwks_uri=r.jwks_uri or None,
        redirect_uris=tuple(dict.fromkeys(r.redirect_uris)),
        offered=tuple(dict.fromkeys(r.offered)), roles=tuple(dict.fromkeys(r.roles)),
    )  # fmt: skip


def _purpose(r: Registration, faults: _Faults) -> None:
    """R39, R40: a purpose of its own is not trusted with the whole record, and may need a decision."""
    known = content("rules/secondary_use")["purposes"].get(r.purpose)
    if known is None:
        faults.add("purpose", "Ändamålet finns inte.", "There is no such purpose.")
        return
    if r.purpose != "care" and r.everything:
        faults.add(
            "purpose", "En klient med eget ändamål får inte hela journalen.",
            "A client with a purpose of its own is not trusted with the whole record.",
        )  # fmt: skip
    if known.get("needs_decision") and not (r.decision and r.decided):
        faults.add(
            "decision", "Forskning kräver ett beslut med diarienummer och slutdag (R40).",
            "Research needs the number of a decision and the day it ends (R40).",
        )  # fmt: skip


def address_fault(uri: str, *, private: bool = False) -> tuple[str, str] | None:
    """What keeps an address from being sent people to, in Swedish and English; None when nothing does.

    https, or http on this machine; with `private` also a scheme of the app's own.
    """
    if not _ADDRESS.fullmatch(uri) or len(uri) > LONGEST_ADDRESS or "\\" in uri:
        return "är ingen adress.", "is not an address."
    if "*" in uri:
        return "har jokertecken; skriv hela adressen.", "has a wildcard; write the whole address."
    try:
        parts = urlsplit(uri)
        host, user, _ = parts.hostname, parts.username or parts.password, parts.port
    except ValueError:
        return "är ingen adress.", "is not an address."
    if "#" in uri:
        return "har ett fragment (#).", "has a fragment (#)."
    if user is not None or "@" in parts.netloc:
        return "har ett användarnamn i sig.", "has a user name in it."
    if private and _PRIVATE_SCHEME.fullmatch(parts.scheme) and not parts.netloc:
        return None
    if parts.scheme not in ("http", "https") or not host:
        return "ska börja med https://.", "must begin with https://."
    if parts.scheme == "http" and host not in LOOPBACK:
        return "ska använda https.", "must use https."
    if any(segment in (".", "..") for segment in parts.path.split("/")):
        return "går uppåt (..) i sökvägen.", "goes upwards (..) in its path."
    return None


def origin_of(uri: str) -> str:
    """`https://app.example` of an address; the scheme of one of an app's own (`com.example.app:`)."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else f"{parts.scheme}:"


def public_key(jwk: Any) -> ECKey | RSAKey:
    """A public key a client may sign with; raises ValueError with what is wrong with it."""
    if not isinstance(jwk, dict) or not isinstance(jwk.get("kid"), str) or not jwk["kid"]:
        raise ValueError("a key has no kid")
    if any(part in jwk for part in ("d", "k", "p", "q")):
        raise ValueError("a key is secret; send the public half only")
    if jwk.get("use", "sig") != "sig":
        raise ValueError("a key is not for signatures")
    try:
        if jwk.get("kty") == "RSA":
            rsa = RSAKey.import_key(jwk)
            if rsa.public_key.key_size < LEAST_RSA_BITS:
                raise ValueError(f"an RSA key is shorter than {LEAST_RSA_BITS} bits")
            return rsa
        if jwk.get("kty") == "EC" and jwk.get("crv") in CURVES:
            return ECKey.import_key(jwk)
    except (JoseError, TypeError, KeyError) as e:
        raise ValueError("a key cannot be read") from e
    raise ValueError("a key is neither RSA nor EC on P-256 or P-384")


def public_keys(jwks: Any) -> dict[str, ECKey | RSAKey]:
    """The keys of a JSON Web Key Set by their ids; raises ValueError with what is wrong with it."""
    keys = jwks.get("keys") if isinstance(jwks, dict) else None
    if not isinstance(keys, list) or not 1 <= len(keys) <= MOST_KEYS:
        raise ValueError(f"it is not a set of 1 to {MOST_KEYS} keys")
    found = {jwk["kid"]: key for jwk in keys for key in [public_key(jwk)]}
    if len(found) < len(keys):
        raise ValueError("two keys have the same kid")
    return found


def _names(r: Registration, faults: _Faults) -> None:
    for field, text in (("name", r.name), ("publisher", r.publisher)):
        if text and (len(text) > LONGEST_NAME or not _NAME.fullmatch(text)):
            faults.add(field, f"Högst {LONGEST_NAME} vanliga tecken.", f"At most {LONGEST_NAME} ordinary characters.")  # fmt: skip
    if not r.name.strip():
        faults.add("name", "Namnet saknas.", "The name is missing.")
    if r.id is not None and CLIENT_ID.fullmatch(r.id) is None:
        faults.add("id", "Bara bokstäver, siffror och . _ - (högst 64).", "Letters, digits and . _ - only (at most 64).")  # fmt: skip
    unknown = [x for x in r.offered if x not in AUDIENCES]
    if unknown:
        faults.add("offered", "Personal eller invånare.", "Staff or residents.")
    strange = [x for x in r.roles if x not in content("rules/roles")["roles"]]
    if strange:
        faults.add("roles", f"Rollen ”{strange[0][:60]}” finns inte.", f"There is no role '{strange[0][:60]}'.")  # fmt: skip


def _scopes(r: Registration, faults: _Faults) -> list[str]:
    try:
        scopes = checked(r.scopes)
    except BadScope as bad:
        faults.add("scopes", f"{bad.args[0][:120]}: går inte att ge ({bad.why}).", bad.sentence)
        return []
    if not scopes:
        faults.add("scopes", "Minst ett scope behövs.", "At least one scope is needed.")
    return scopes


def _audience(r: Registration, scopes: list[str], faults: _Faults) -> None:
    """A client is an app for people, or a service of its own, and is registered as such."""
    contexts = {s.context for s in _resources(scopes)}
    if r.offered:
        if not r.publisher.strip():
            faults.add("publisher", "Säg vem som står bakom appen.", "Say who stands behind the app.")  # fmt: skip
        if not r.redirect_uris:
            faults.add("redirect_uris", "En app behöver minst en adress för svaret.", "An app needs at least one redirect address.")  # fmt: skip
        if "system" in contexts:
            faults.add("scopes", "En app för människor får inga system-scope; registrera tjänsten för sig.",
                       "An app for people gets no system scopes; register the service by itself.")  # fmt: skip
        return
    if r.method == "none":
        faults.add("method", "En klient utan hemlighet måste vara en app för personal eller invånare.",
                   "A public client must be an app for staff or residents.")  # fmt: skip
    if r.redirect_uris:
        faults.add("offered", "Säg vem appen erbjuds: personal eller invånare.", "Say whom the app is offered to: staff or residents.")  # fmt: skip
    elif contexts - {"system"} or any(s in LAUNCH for s in scopes):
        faults.add("scopes", "En tjänst utan användare får bara system-scope.", "A service without a user gets system scopes only.")  # fmt: skip


def _resources(scopes: Iterable[str]) -> list[ResourceScope]:
    return [parse(s) for s in on_resources(scopes)]


def _keys(r: Registration, faults: _Faults) -> None:
    if r.method not in METHODS:
        faults.add("method", "none, client_secret eller private_key_jwt.", "none, client_secret or private_key_jwt.")  # fmt: skip
        return
    if r.method != "private_key_jwt":
        if r.jwks is not None or r.jwks_uri:
            faults.add("jwks", "Nycklar hör till private_key_jwt.", "Keys belong to private_key_jwt.")  # fmt: skip
        return
    if (r.jwks is None) == (not r.jwks_uri):
        faults.add("jwks", "Ange nycklarna eller adressen till dem, en av dem.", "Give the keys or the address they are found at, one of the two.")  # fmt: skip
        return
    if r.jwks_uri:
        why = address_fault(r.jwks_uri)
        if why is not None:
            faults.add("jwks_uri", f"{r.jwks_uri[:80]}: {why[0]}", f"{r.jwks_uri[:80]}: {why[1]}")
        elif not r.jwks_uri.startswith("https://"):
            faults.add("jwks_uri", "ska börja med https://.", "must begin with https://.")
        return
    try:
        public_keys(r.jwks)
    except ValueError as e:
        faults.add("jwks", f"Nycklarna går inte att använda ({e}).", f"The keys cannot be used: {e}.")  # fmt: skip
