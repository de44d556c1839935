"""The people of the stories, in a region of their own, with accesses worth a look."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from sammanhang.access.review.finding import find
from sammanhang.region.staff import named_people
from sammanhang.store.trace import INSERT_BLOCK, OPEN_CHAIN, Chain, Entry, stamp
from sammanhang.web.testing import *  # noqa: F403


@pytest.fixture
def did(town) -> Callable[..., None]:
    """Puts what somebody did into the trace, an hour ago if nothing else is said, and goes through the log."""

    def act(who: str, patient: str, action: str = "open", *, assignment: int = 1, minutes: int = 60,
            look: bool = True, **more) -> None:  # fmt: skip
        at = datetime.now(UTC) - timedelta(minutes=minutes)
        held = named_people()[who].assignments[assignment - 1]
        values = {"rule": "R2", "provider": held.unit.provider, "unit": held.unit.id, **more}
        entry = Entry(
            at=stamp(at), actor=f"Practitioner/{who}", action=action, patient=patient, assignment=held.id,
            request=f"{who}{minutes}", **values,
        )  # fmt: skip
        with psycopg.connect(
            town, autocommit=True, options="-c role=sammanhang_writer"
        ) as connection:
            row = connection.execute(OPEN_CHAIN).fetchone()
            assert row is not None
            connection.execute(INSERT_BLOCK, Chain(row[0], 0, row[1]).block([entry]))
        if look:
            find(town)

    return act


@pytest.fixture
def clean(town):
    """No cases from before."""
    with psycopg.connect(town, autocommit=True) as connection:
        connection.execute(
            "TRUNCATE access.review_case, access.review_reason, access.review_step, access.log_question,"
            " access.public_person, access.review_tally, access.review_person, access.review_recent CASCADE"
        )


@pytest.fixture
def second_reviewer(town):
    """Another log reviewer at the care provider of Karl Östlund."""
    with psycopg.connect(town) as connection:
        there = connection.execute("SELECT FROM store.other WHERE id = 'eva-granskar'").rowcount
    if not there:
        from sammanhang.region.staff import Assignment, Person, _practitioner, _role
        from sammanhang.store.bulk import load

        unit = named_people()["karl-ostlund"].assignments[0].unit
        held = Assignment("eva-granskar-1", "loggranskare", unit, "2026-11-02", "")
        eva = Person(
            "eva-granskar", "SE2120001561-P000000000999", "Eva", "Granskar", "female", (held,)
        )
        load(town, [_practitioner(eva), _role(eva, held)])
