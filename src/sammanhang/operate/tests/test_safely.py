"""What must not run in the clear outside the demo, and clocks that must agree."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sammanhang.kernel.settings import BadSetting, Settings
from sammanhang.operate.check import check_clock
from sammanhang.operate.run import check_reached_safely

REAL = Settings(demo=False, base_url="https://journal.example")


@pytest.mark.asvs("v5.0.0-12.2.1", "v5.0.0-12.3.3")
def test_outside_the_demo_people_come_by_https() -> None:
    for fine in (
        Settings(base_url="http://demo.example"),
        REAL,
        replace(REAL, base_url="http://127.0.0.1:8000"),
    ):
        check_reached_safely(fine)
    with pytest.raises(BadSetting, match="https"):
        check_reached_safely(replace(REAL, base_url="http://journal.example"))


@pytest.mark.asvs("v5.0.0-12.3.1", "v5.0.0-12.3.2")
def test_outside_the_demo_a_database_elsewhere_shows_its_certificate() -> None:
    for fine in (
        "", "host=/run/postgresql dbname=x", "postgresql://u@127.0.0.1/x", "postgresql:///x?host=/tmp",
        "postgresql://u:p@db.example/x?sslmode=verify-full", "host=db.example sslmode=verify-ca", "nonsense",
    ):  # fmt: skip
        check_reached_safely(replace(REAL, database_url=fine))
    for wrong in (
        "postgresql://u:p@db.example/x", "host=10.1.2.3 sslmode=require", "host=db.example sslmode=prefer",
        "postgresql://u@127.0.0.1,db.example/x",
    ):  # fmt: skip
        with pytest.raises(BadSetting, match="verify-full") as told:
            check_reached_safely(replace(REAL, database_url=wrong))
        assert "u:p" not in str(told.value)
        check_reached_safely(Settings(base_url="http://x.example", database_url=wrong))


@pytest.mark.asvs("v5.0.0-13.3.1", "v5.0.0-13.3.2")
def test_a_settings_file_with_a_secret_that_others_can_read_is_told(tmp_path: Path) -> None:
    file = tmp_path / "sammanhang.toml"
    file.write_text('database_url = "postgresql://u:s3cret@db/x"\nport = 8001\n', "utf-8")
    for mode, told in ((0o644, True), (0o640, True), (0o600, False)):
        file.chmod(mode)
        said: list[str] = []
        Settings.load({}, file, warn=said.append)
        assert any("can be read by others" in s for s in said) is told
        assert "s3cret" not in "".join(said)


@pytest.mark.asvs("v5.0.0-16.2.2")
def test_a_clock_that_is_not_the_databases_is_told(database: str) -> None:
    assert check_clock(database).ok
    wrong = check_clock(database, ahead=90.0)
    assert not wrong.ok and "90" in wrong.found
