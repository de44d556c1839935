"""How fast is a patient found among 200 000 residents?"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
from _bench import Bench, Figure, column, settle
from _drive import Requests, drive
from _staff import log_in, region

FAMILY = ["Andersson", "Johansson", "Karlsson", "Nilsson", "Eriksson", "Larsson", "Olsson", "Persson", "Svensson", "Gustafsson", "Pettersson", "Jonsson", "Jansson", "Hansson", "Bengtsson", "Jönsson", "Lindberg", "Jakobsson", "Magnusson", "Olofsson", "Lindström", "Lindqvist", "Lindgren", "Berg", "Axelsson", "Bergström", "Lundberg", "Lind", "Lundgren", "Lundqvist", "Mattsson", "Berglund", "Fredriksson", "Sandberg", "Henriksson", "Forsberg", "Sjöberg", "Wallin", "Engström", "Eklund", "Danielsson", "Lundin", "Håkansson", "Björk", "Bergman", "Gunnarsson", "Holm", "Wikström", "Samuelsson", "Isaksson", "Fransson", "Bergqvist", "Nyström", "Holmberg", "Arvidsson", "Löfgren", "Söderberg", "Nyberg", "Blomqvist", "Claesson", "Nordström", "Mårtensson", "Öberg", "Åkesson"]  # fmt: skip
GIVEN = ["Anna", "Eva", "Maria", "Karin", "Sara", "Kristina", "Lena", "Emma", "Kerstin", "Marie", "Ingrid", "Malin", "Jenny", "Annika", "Linda", "Susanne", "Elin", "Johanna", "Monica", "Sofia", "Lars", "Mikael", "Anders", "Johan", "Erik", "Per", "Peter", "Karl", "Thomas", "Jan", "Daniel", "Fredrik", "Hans", "Andreas", "Stefan", "Mats", "Marcus", "Bengt", "Mattias", "Jonas", "Magnus", "Björn", "Åsa", "Märta", "Göran", "Östen"]  # fmt: skip
SYSTEM = "urn:oid:1.2.752.129.2.1.3.1"


def run(bench: Bench) -> list[Figure]:
    """The search page of staff among 200 000 residents: names, wrong spellings, numbers, births."""
    wanted = 20_000 if bench.quick else 200_000
    dsn = region(bench)
    there = column(dsn, "SELECT count(*) FROM store.patient WHERE id LIKE 'find-%%'")[0]
    if there < wanted:
        _load(dsn, there, wanted)
        settle(dsn)
    people = list(_people(0, 400))
    kinds = {
        "family and given name": [f"{p['family']} {p['given']}" for p in people],
        "given and family, wrongly spelt": [f"{p['given']} {_wrong(p['family'])}" for p in people],
        "beginning of a family name": [p["family"][:4] for p in people],
        "name and year of birth": [f"{p['family']} {p['birth'][:4]}" for p in people],
    }
    figures = []
    with bench.server(dsn) as server:
        cookie, _ = log_in(dsn, server.url)
        headers = {
            "Cookie": cookie,
            "X-CSRF-Token": _form_token(server.url, cookie),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        for what, texts in kinds.items():
            asked = [("POST", "/patients", f"q={quote(t)}".encode()) for t in texts]
            result = drive(server.url, Requests(asked, headers), bench.seconds, concurrency=2)
            aim = "p95 ≤ 30 ms"
            note = f"{wanted:,} residents; two clients".replace(",", " ")
            figures.append(result.figure("find_patient", what, aim=aim, note=note))
        names = [
            f"/fhir/Patient?family={quote(p['family'])}&given={quote(p['given'])}&_count=20"
            for p in people
        ]
        api = Requests([("GET", n, b"") for n in names]).with_token(server.token)
        result = drive(server.url, api, bench.seconds, concurrency=2)
        figures.append(result.figure("find_patient", "FHIR: Patient?family&given", aim=aim))
        # Staff may not look for numbers in series, so a program does; the question to the database is the same.
        numbers = [f"/fhir/Patient?identifier={p['number']}" for p in people]
        api = Requests([("GET", n, b"") for n in numbers]).with_token(server.token)
        result = drive(server.url, api, bench.seconds, concurrency=2)
        figures.append(result.figure("find_patient", "FHIR: Patient?identifier", aim=aim))
    return figures


def _form_token(url: str, cookie: str) -> str:
    """The form token of the session's search page."""
    page = httpx.get(f"{url}/patients", headers={"Cookie": cookie}).text
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found is not None, "the search page has no form"
    return found[1]


def _wrong(name: str) -> str:
    return name.replace("ss", "s", 1) if "ss" in name else name.replace("q", "k").replace("w", "v")


def _people(start: int, stop: int) -> Iterator[dict[str, str]]:
    for i in range(start, stop):
        chance = random.Random(i)
        year, month, day = (
            chance.randrange(1925, 2024),
            chance.randrange(1, 13),
            chance.randrange(1, 29),
        )
        yield {
            "id": f"find-{i}", "family": chance.choice(FAMILY), "given": chance.choice(GIVEN),
            "birth": f"{year}-{month:02}-{day:02}", "number": f"{year}{month:02}{day:02}{i % 10000:04}",
        }  # fmt: skip


def _load(dsn: str, start: int, stop: int) -> None:
    from sammanhang.fhir.r4 import Address, HumanName, Identifier, Patient
    from sammanhang.store.bulk import load

    def resources() -> Iterator[Any]:
        for p in _people(start, stop):
            yield Patient(
                id=p["id"], identifier=[Identifier(system=SYSTEM, value=p["number"])], active=True,
                name=[HumanName(use="official", family=p["family"], given=[p["given"]])],
                birthDate=p["birth"], address=[Address(city="Borås", country="SE")],
            )  # fmt: skip

    load(dsn, resources(), actor="system:bench")


if __name__ == "__main__":
    from _bench import main

    raise SystemExit(main({"find_patient": run}))
