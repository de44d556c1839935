"""kill -9 writers, job workers, receivers and the database, while requests are sent; again and again."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from sammanhang.operate.database import EmbeddedDatabase
from sammanhang.store.migrate import migrate

from .deliveries import Run

FAULTS = [
    "worker", "database", "worker", "receiver", "worker", "writer", "database", "worker", "receiver", "worker",
    "database", "worker",
]  # fmt: skip


@pytest.mark.asvs("v5.0.0-2.3.3", "v5.0.0-16.5.3")
@pytest.mark.slow
@pytest.mark.alone
def test_every_request_is_told_by_one_number_whatever_dies_on_the_way(
    own_database: EmbeddedDatabase, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    migrate(own_database.dsn())
    seed = random.randrange(1_000_000)
    run = Run(own_database, tmp_path, count=6000, size=3, most=20, seed=seed)
    ledger = run.run(FAULTS, (0.2, 0.9), patience=300)
    ledger.faults += run.traced()
    with capsys.disabled():
        print(f"\nDeliveries under kills (seed {seed}, {ledger.seconds:.0f} s):\n{ledger}")
    assert not ledger.faults, "\n".join([f"seed {seed}", *ledger.faults[:20]])
    assert ledger.lost == 0
    assert ledger.acknowledged >= 6000 and ledger.recorded == ledger.matched == ledger.received
