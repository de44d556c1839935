"""0010: emergencies that were reviewed before keep what came of them, and wait for nobody again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from sammanhang.access.review.finding import find
from sammanhang.store import migrate
from sammanhang.store.trace import INSERT_BLOCK, OPEN_CHAIN, Chain, Entry, stamp


def test_a_reviewed_emergency_is_a_decided_case(
    blank_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = migrate._files()
    monkeypatch.setattr(migrate, "_files", lambda: [f for f in files if f.name < "0010"])
    migrate.migrate(blank_database)
    declared = datetime.now(UTC) - timedelta(days=3)
    with psycopg.connect(blank_database, autocommit=True) as connection:
        for outcome, actor in (("justified", "a"), ("ask", "b"), (None, "c")):
            connection.execute(
                "INSERT INTO access.emergency (actor, assignment, unit, provider, patient, patient_id, danger, unable,"
                " said, declared, until, reviewed, reviewed_by, outcome, review_said) VALUES (%s, 'r', 'u', 'p', 1, 'x',"
                " 'life', 'no-time', 'Larm', %s, %s, %s, %s, %s, %s)",
                (
                    f"Practitioner/{actor}", declared, declared, declared + timedelta(days=1) if outcome else None,
                    "Practitioner/r" if outcome else None, outcome, "Stämmer" if outcome else None,
                ),
            )  # fmt: skip
        row = connection.execute(OPEN_CHAIN).fetchone()
        assert row is not None
        entries = [
            Entry(
                at=stamp(declared), actor=f"Practitioner/{actor}", action="emergency", patient="x", unit="u",
                provider="p", purpose="life, no-time", rule="R9", details={"step": 1, "said": "Larm"},
            )
            for actor in "abc"
        ]  # fmt: skip
        connection.execute(INSERT_BLOCK, Chain(row[0], 0, row[1]).block(entries))

    monkeypatch.setattr(migrate, "_files", lambda: files)
    assert "0010_post_review" in migrate.migrate(blank_database)
    find(blank_database)
    with psycopg.connect(blank_database) as connection:
        cases = connection.execute(
            "SELECT c.actor, c.state, c.outcome, array_agg(DISTINCT r.pattern), max(s.said) FROM access.review_case c"
            " JOIN access.review_reason r ON r.review_case = c.id LEFT JOIN access.review_step s"
            " ON s.review_case = c.id GROUP BY c.id ORDER BY 1"
        ).fetchall()
    assert cases == [
        ("Practitioner/a", "done", "justified", ["emergency"], "Stämmer"),
        ("Practitioner/b", "asking", "ask", ["emergency"], "Stämmer"),
        ("Practitioner/c", "open", None, ["emergency"], None),
    ]
