"""The region in a real database: created once, found again, taken up after a stop."""

from __future__ import annotations

import psycopg
import pytest

from sammanhang.region.create import create_region, login_table, region_exists
from sammanhang.region.generate import everything

pytestmark = pytest.mark.slow  # the whole suite has it; `make check` stays quick

RESIDENTS = 120


def _counted(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT count(*) FROM store.resource").fetchone()
    assert row is not None
    return int(row[0])


def test_a_region_is_created_once_and_whole_by_two_processes(empty_database):
    assert not region_exists(empty_database)
    assert login_table(empty_database) == []
    seen: list[int] = []
    report = create_region(
        empty_database, RESIDENTS, 1, lambda done, total: seen.append(done), processes=2
    )
    assert region_exists(empty_database)
    assert (
        report.resources
        == _counted(empty_database)
        == sum(1 for _ in everything(1, RESIDENTS, enrolled=False))
    )
    assert seen == sorted(seen)
    rows = login_table(empty_database)
    assert ("staff", "Karin Ek", "läkare", "Vårdcentralen Södra torget") in rows
    assert ("resident", "Svea Andersson", "resident", "19371104-2386") in rows
    amira = [row[3] for row in rows if row[1] == "Amira Haddad"]
    assert amira == ["Hemsjukvård Centrum, Borås", "Hemsjukvård Brämhult, Borås"]


def test_a_creation_that_stopped_is_taken_up(empty_database):
    from sammanhang.store.bulk import load

    whole = list(everything(1, RESIDENTS, enrolled=False))
    stored = [r for i, r in enumerate(whole) if i % 3 and not r.id.startswith("svea-andersson")]
    load(empty_database, stored)
    assert not region_exists(empty_database)
    report = create_region(empty_database, RESIDENTS, 1, processes=1)
    assert report.resources == len(whole) - len(stored)
    assert _counted(empty_database) == len(whole)
    assert region_exists(empty_database)
