"""What a client may be registered with, and what is told of what may not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey

from sammanhang.access.clients_registration import Registration, address_fault, check
from sammanhang.access.tokens_scopes import BadScope, checked, parse, within
from sammanhang.kernel.errors import Invalid

APP = Registration(
    "Kurvan", ("launch", "openid", "patient/Observation.read"), "none", "Kurvbolaget", ("https://app.example/done",),
    "https://app.example/launch", offered=("staff",),
)  # fmt: skip
SERVICE = Registration("Labbet", ("system/Observation.rs",))


def key(
    kind: str = "EC", size: Any = "P-384", private: bool = False, **more: Any
) -> dict[str, Any]:
    kinds: dict[str, Any] = {"EC": ECKey, "RSA": RSAKey, "oct": OctKey}
    made = kinds[kind].generate_key(size)
    return {**made.as_dict(private=private), "kid": "k1", **more}


def wrong(registration: Registration) -> set[str]:
    """The fields that are wrong."""
    with pytest.raises(Invalid) as refused:
        check(registration)
    assert all(i.sv and i.en for i in refused.value.issues)
    return {i.expression for i in refused.value.issues}


def test_what_is_registered_is_kept_in_one_form() -> None:
    assert check(APP).scopes == ("launch", "openid", "patient/Observation.rs")
    assert check(SERVICE).offered == ()
    keyed = replace(SERVICE, method="private_key_jwt", jwks={"keys": [key()]})
    assert check(keyed).jwks == keyed.jwks
    assert (
        check(replace(SERVICE, method="private_key_jwt", jwks_uri="https://lab.example/jwks")).jwks
        is None
    )


@pytest.mark.asvs("v5.0.0-3.7.2", "v5.0.0-1.2.2")
@pytest.mark.parametrize(
    ("uri", "fine"),
    [
        ("https://app.example/done", True), ("https://app.example:8443/done?x=1", True), ("https://app.example", True),
        ("http://127.0.0.1:7777/done", True), ("http://localhost/done", True), ("http://[::1]:9/done", True),
        ("com.example.app:/done", True), ("http://app.example/done", False), ("http://127.0.0.1.evil.example/", False),
        ("http://localhost.evil.example/", False), ("http://10.0.0.1/", False), ("https://app.example/done#x", False),
        ("https://app.example/#", False), ("https://*.example/done", False), ("https://app.example/*", False),
        ("https://user@app.example/", False), ("https://user:pw@app.example/", False), ("https://@app.example/", False),
        ("javascript:alert(1)", False), ("data:text/html,x", False), ("myapp:/done", False), ("/done", False),
        ("//app.example/done", False), ("https:///done", False), ("https://app.example/a/../b", False),
        ("https://app.example\\@evil.example/", False), ("https://app.example/ x", False), ("https://app.example/\n", False),
        ("https://app.exåmple/", False), ("ftp://app.example/", False), ("", False), ("https://app.example:x/", False),
        ("https://" + "a" * 600 + ".example/", False), ("com.example.app://host/done", False),
    ],
)  # fmt: skip
def test_addresses_people_may_be_sent_to(uri: str, fine: bool) -> None:
    assert (address_fault(uri, private=True) is None) is fine
    registration = replace(APP, redirect_uris=(uri,))
    if fine:
        check(registration)
    else:
        assert wrong(registration) == {"redirect_uris"}


def test_an_apps_own_scheme_is_for_public_clients() -> None:
    own = replace(APP, redirect_uris=("com.example.app:/done",))
    check(own)
    assert wrong(replace(own, method="client_secret")) == {"redirect_uris"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": " "}, "name"), ({"name": "x" * 101}, "name"), ({"name": "Kur\u202evan"}, "name"), ({"name": "a\0"}, "name"),
        ({"publisher": ""}, "publisher"), ({"redirect_uris": ()}, "redirect_uris"),
        ({"redirect_uris": tuple(f"https://app.example/{i}" for i in range(21))}, "redirect_uris"),
        ({"scopes": ()}, "scopes"), ({"scopes": ("system/*.rs", "launch")}, "scopes"), ({"scopes": ("launch", "x")}, "scopes"),
        ({"scopes": ("openid",)}, "launch_url"), ({"offered": ("resident",)}, "launch_url"), ({"offered": ("dogs",)}, "offered"),
        ({"launch_url": "http://app.example"}, "launch_url"), ({"roles": ("kung",)}, "roles"), ({"id": "a b"}, "id"),
        ({"method": "password"}, "method"), ({"jwks": {"keys": []}}, "jwks"), ({"jwks_uri": "https://x.example"}, "jwks"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_app_is_told_where(change: dict[str, Any], field: str) -> None:
    assert field in wrong(replace(APP, **change))


USELESS: tuple[Any, ...] = (
    {}, [], "x", {"keys": []}, {"keys": [{}]}, {"keys": ["x"]}, {"keys": [key(private=True)]}, {"keys": [key("oct", 256)]},
    {"keys": [key("EC", "P-521")]}, {"keys": [key("RSA", 1024)]}, {"keys": [key(kid="")]}, {"keys": [key(), key()]},
    {"keys": [key(use="enc")]}, {"keys": [key(x="!")]}, {"keys": [key()] * 30},
)  # fmt: skip


@pytest.mark.asvs("v5.0.0-1.3.6", "v5.0.0-11.6.1", "v5.0.0-2.2.3")
@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"method": "none"}, "method"), ({"scopes": ("user/*.rs",)}, "scopes"), ({"scopes": ("system/*.rs", "launch")}, "scopes"),
        ({"redirect_uris": ("https://a.example/",)}, "offered"), ({"launch_url": "https://a.example/"}, "launch_url"),
        ({"method": "private_key_jwt"}, "jwks"), ({"method": "private_key_jwt", "jwks_uri": "http://127.0.0.1/"}, "jwks_uri"),
        ({"method": "private_key_jwt", "jwks_uri": "https://a.example/", "jwks": {"keys": [key()]}}, "jwks"),
        *(({"method": "private_key_jwt", "jwks": jwks}, "jwks") for jwks in USELESS),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_service_is_told_where(change: dict[str, Any], field: str) -> None:
    assert field in wrong(replace(SERVICE, **change))


@pytest.mark.parametrize(
    "scope",
    [
        "patient/Observation.rs?date=2020", "patient/Observation.rs?code:in=x", "patient/Observation.rs?", "patient/*.rs?code=x",
        "patient/Observation.rs?category=", "patient/Observation.rs?category", "patient/Observation.rs?_id=x",
        "patient/Observation.read?category=x", "patient/Observation.rs?category=a&nope=b", "patient/Observation.rs?category=a,",
        "patient/Observation.rs?subject=Patient/1", "patient/Observation.rs?code-value-quantity=x$1", "patient/Nope.rs",
        "patient/Observation.sr", "patient/Observation.", "Patient/Observation.rs", "patient/observation.rs", "patient/Observation",
        "patient/Observation.rs?category=a b", "patient/Observation.rs?category=\0", "x" * 2000, "", "patient/Observation.rs#",
        "patient/Observation.rs?category=|", "patient/Observation.rs?_has:Observation:patient:code=x",
    ],
)  # fmt: skip
def test_a_scope_that_cannot_be_kept_is_refused(scope: str) -> None:
    with pytest.raises(BadScope) as refused:
        parse(scope)
    assert refused.value.sentence.isascii()


def test_restricted_scopes_have_one_form_and_compare() -> None:
    one = "patient/Observation.rs?status=final&category=http://a.example|lab,survey"
    assert (
        str(parse(one))
        == "patient/Observation.rs?category=http://a.example|lab,survey&status=final"
    )
    assert checked(["launch", one, str(parse(one))]) == ["launch", str(parse(one))]
    assert parse("user/Observation.rs?category=http%3A%2F%2Fa.example%7Clab") == parse(
        "user/Observation.rs?category=http://a.example|lab"
    )
    assert (
        str(parse(str(parse("user/Observation.rs?category=a%20b%26c"))))
        == "user/Observation.rs?category=a%20b%26c"
    )
    lab = "user/Observation.rs?category=lab"
    assert (
        within(lab, [lab])
        and within(lab, ["user/*.rs"])
        and within(lab, ["user/Observation.rs?category=lab,survey"])
    )
    assert within("user/Observation.r?category=lab&status=final", [lab])
    assert not within("user/Observation.rs", [lab]) and not within(
        "user/Observation.rs?status=final", [lab]
    )
    assert not within("user/Observation.rs?category=lab,survey", [lab]) and not within(
        "user/Observation.cud?category=lab", [lab]
    )
    assert within("openid", ["openid"]) and not within("openid", ["user/*.cruds"])
