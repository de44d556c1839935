"""Over HTTP, as people do it."""

from __future__ import annotations

import pytest

from .filling import changed, fields_of, post

SVEA = "/patients/svea-andersson"
CAN = "http://sammanhang.se/fhir/CodeSystem/care-request-answer|nej"
GOOD = {
    "reason": "Yrsel, två fall",
    "question": "Vägning tre gånger i veckan",
    "priority": "urgent",
    "ground": "samtycke",
    "form.ta-sig-till-mottagning": CAN,
}


@pytest.fixture
def town(own_town):
    return own_town


async def test_counts(as_):
    k = await as_("Karin Ek")
    for a in ("/requests", f"{SVEA}/requests/new", f"{SVEA}/requests/new?kind=hemsjukvard"):
        p = await k.get(a)
        print(a, p.status_code, k.queries, len(p.content))
        p = await k.get(a)
        print(a, p.status_code, k.queries)
    f = changed(fields_of(p, "/requests/send"), **GOOD)
    print(f)
    for part in (True, True, False):
        r = await post(k, f"{SVEA}/requests/draft", f, part=part)
        print("save", r.status_code, k.queries, r.url, r.text[:100])
    id = dict(f)["id"]
    p = await k.get(f"{SVEA}/requests/{id}/edit")
    print("edit", p.status_code, k.queries)
    f = changed(fields_of(p, "/requests/send"), **GOOD)
    r = await post(k, f"{SVEA}/requests/send", [*f, ("do", "send")])
    print("send", r.status_code, k.queries, r.url)
    for a in ("", "?print=1"):
        p = await k.get(f"{SVEA}/requests/{id}{a}")
        print("one", p.status_code, k.queries)
    a = await as_("Amira Haddad", "Centrum")
    for x in ("/requests", f"{SVEA}/requests/{id}"):
        p = await a.get(x)
        print(x, p.status_code, a.queries)
    for who, unit in (
        ("Mikael Strand", ""),
        ("Eva Holmgren", ""),
        ("Petra Nord", "Medicin"),
        ("Lina Berg", ""),
        ("Tomas Ryd", ""),
    ):
        b = await as_(who, unit)
        for x in ("/requests", f"{SVEA}/requests/new", f"{SVEA}/requests/{id}"):
            p = await b.get(x)
            print(who, x, p.status_code, b.queries)
