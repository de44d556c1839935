"""How long does log review take to go through a day of a region's trace?"""

from __future__ import annotations

import json
import random
import resource
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from _bench import Bench, Figure

PATIENTS, STAFF, CHAINS = 20_000, 4_000, 24
A_DAY = 3_000_000  # entries of a region with 1.8 million residents, about


def run(bench: Bench) -> list[Figure]:
    """A trace of staff, patients and units as in a region; every entry is an opening or a write after one."""
    from sammanhang.access.review.finding import find

    dsn, _ = bench.database("log_review")
    entries = 60_000 if bench.seconds < 5 else 300_000
    _people(dsn)
    _trace(dsn, entries)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("ANALYZE")
    before = _peak_mb()
    began = time.perf_counter()
    report = find(dsn)
    rate = report.entries / (time.perf_counter() - began)
    again = time.perf_counter()
    find(dsn)
    return [
        Figure(
            "log_review", f"the trace gone through, {CHAINS} chains", rate, "entries/s", aim="≥ 5 000",
            note=f"{A_DAY / rate / 60:.1f} min for {A_DAY:,} entries; {report.cases} cases of {report.entries:,};"
            f" +{_peak_mb() - before:.0f} MB".replace(",", " "),
        ),
        Figure("log_review", "a run with nothing new", (time.perf_counter() - again) * 1000, "ms"),
    ]  # fmt: skip


def _people(dsn: str) -> None:
    from sammanhang.fhir.decode import trusted
    from sammanhang.kernel.owner import PROVIDER, UNIT
    from sammanhang.store.bulk import load

    rng = random.Random("log review")
    families = [f"Namn{n}" for n in range(3000)]

    def resources() -> Any:
        for n in range(PATIENTS):
            yield (
                "Patient",
                {
                    "resourceType": "Patient",
                    "id": f"p{n}",
                    "identifier": [
                        {
                            "system": "http://electronichealth.se/identifier/personnummer",
                            "value": f"{n:012d}",
                        }
                    ],
                    "name": [{"use": "official", "family": rng.choice(families), "given": ["A"]}],
                    "address": [
                        {
                            "use": "home",
                            "line": [f"Gatan {n // 2}"],
                            "postalCode": f"{n // 100:05d}",
                        }
                    ],
                },
            )
        for n in range(STAFF):
            tags = [
                {"system": PROVIDER, "code": "SE-P"},
                {"system": UNIT, "code": f"SE-U{n // 20}"},
            ]
            number = [
                {
                    "system": "http://electronichealth.se/identifier/personnummer",
                    "value": f"{n * 5:012d}",
                }
            ]
            yield (
                "Practitioner",
                {
                    "resourceType": "Practitioner",
                    "id": f"s{n}",
                    **({"identifier": number} if n % 2 else {}),
                    "name": [{"use": "official", "family": rng.choice(families), "given": ["B"]}],
                },
            )
            yield (
                "PractitionerRole",
                {
                    "resourceType": "PractitionerRole",
                    "id": f"r{n}",
                    "meta": {"tag": tags},
                    "practitioner": {"reference": f"Practitioner/s{n}"},
                    "code": [
                        {
                            "coding": [
                                {
                                    "system": "http://sammanhang.se/fhir/CodeSystem/role",
                                    "code": "sjukskoterska",
                                }
                            ]
                        }
                    ],
                },
            )

    def decoded() -> Any:
        for kind, body in resources():
            yield trusted(json.dumps(body).encode(), kind)

    load(dsn, decoded())


def _trace(dsn: str, entries: int) -> None:
    """Blocks of some entries each, in chains written side by side, over one day."""
    from sammanhang.store.trace import OPEN_CHAIN, Chain, Entry, stamp

    rng = random.Random("trace")
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
    with psycopg.connect(dsn, autocommit=True) as connection:
        chains = []
        for _ in range(CHAINS):
            row = connection.execute(OPEN_CHAIN).fetchone()
            assert row is not None
            chains.append(Chain(row[0], 0, row[1]))
        done = 0
        copying = "COPY audit.block (chain, seq, at, keys, entries, hash) FROM STDIN"
        with connection.cursor().copy(copying) as copy:
            while done < entries:
                some = []
                for _ in range(rng.randrange(1, 8)):
                    who = rng.randrange(STAFF)
                    # staff keep to the patients of their unit, and now and then to others
                    patient = (who // 20 * 100 + rng.randrange(100)) % PATIENTS if rng.random() < 0.95 else rng.randrange(PATIENTS)  # fmt: skip
                    at = start + timedelta(seconds=86_400 * done / entries)
                    some.append(
                        Entry(
                            at=stamp(at), actor=f"Practitioner/s{who}", patient=f"p{patient}", provider="SE-P",
                            action="open" if rng.random() < 0.7 else "read", unit=f"SE-U{who // 20}",
                            assignment=f"r{who}", rule="R2" if rng.random() < 0.98 else "R3", request=f"{done}",
                        )
                    )  # fmt: skip
                    done += 1
                chain = rng.choice(chains)
                block = chain.block(some)
                copy.write_row(block)
                chain.moved(block)


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    from _bench import main

    raise SystemExit(main({"log_review": run}))
