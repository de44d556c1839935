"""How long does the preflight of a whole region's staff take, and how much memory?"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from typing import Any

from _bench import Bench, Figure, settle

PROVIDER_ID = "SE2321000131-E000000007000"
UNITS = 3000


def staff(people: int) -> Iterator[Any]:
    """A region of units, and people of whom every second has two assignments."""
    import msgspec

    from sammanhang.fhir.decode import decode
    from sammanhang.kernel.identifiers import HSA_ID
    from sammanhang.kernel.owner import PROVIDER, UNIT

    kind, role = (
        f"http://sammanhang.se/fhir/CodeSystem/{n}" for n in ("organisation-type", "role")
    )

    def organisation(id: str, level: str, **more: Any) -> dict[str, Any]:
        types = [{"coding": [{"system": kind, "code": level}]}]
        return {"resourceType": "Organization", "id": id, "name": id, "type": types, **more}

    def bodies() -> Iterator[dict[str, Any]]:
        yield organisation(PROVIDER_ID, "provider")
        part_of = {"reference": f"Organization/{PROVIDER_ID}"}
        units = [f"SE2321000131-EU{n:06}" for n in range(UNITS)]
        for unit in units:
            yield organisation(unit, "unit", partOf=part_of)
        for n in range(people):
            id = f"m{n:06}"
            hsa = [{"system": HSA_ID, "value": f"SE2321000131-PM{n:06}"}]
            name = [{"family": f"F{n}", "given": ["Person"]}]
            yield {"resourceType": "Practitioner", "id": id, "identifier": hsa, "name": name}
            for k in range(1 + n % 2):
                unit = units[(n * 7 + k) % UNITS]
                tags = [{"system": PROVIDER, "code": PROVIDER_ID}, {"system": UNIT, "code": unit}]
                yield {
                    "resourceType": "PractitionerRole", "id": f"{id}-{k}", "meta": {"tag": tags},
                    "practitioner": {"reference": f"Practitioner/{id}"},
                    "organization": {"reference": f"Organization/{unit}"},
                    "code": [{"coding": [{"system": role, "code": "sjukskoterska"}]}],
                }  # fmt: skip

    return (decode(msgspec.json.encode(body)) for body in bodies())


def run(bench: Bench) -> list[Figure]:
    """Everybody's rights, one after the other, with a fault in none."""
    from sammanhang.access.preflight import Preflight, Sums
    from sammanhang.access.preflight_rows import reading
    from sammanhang.store.bulk import load

    people = 10_000 if bench.quick else 100_000
    dsn, _ = bench.database("preflight")
    load(dsn, staff(people))
    settle(dsn)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began, sums = time.perf_counter(), Sums()
    with reading(dsn) as rows:
        for person in Preflight(rows, lambda actor: ("Start", "Patienter")).people():
            sums.add(person)
    seconds = time.perf_counter() - began
    assert (sums.people, sums.faulty) == (people, 0)
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    note = f"{people} staff, five queries, {more:.0f} MB more memory"
    return [Figure("preflight", "preflight", seconds, "s", aim="≤ 60", note=note)]


if __name__ == "__main__":
    from _bench import main

    raise SystemExit(main({"preflight": run}))
