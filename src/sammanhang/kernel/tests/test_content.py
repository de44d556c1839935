"""Content has versions with a day they begin; a region adds its own and never loses a number."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from sammanhang.kernel import clock
from sammanhang.kernel.content import (
    FOLDER,
    BadContent,
    content,
    fitting,
    instead,
    names,
    use_own,
    versions,
)

AGES = json.loads((FOLDER / "rules" / "ages.json").read_text("utf-8"))


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Path]:
    """An empty folder of own content, not yet in use; what is shipped is in force again afterwards."""
    (tmp_path / "rules").mkdir()
    yield tmp_path
    use_own(None)


def put(own: Path, made: Any, name: str = "rules/ages") -> Path:
    path = own / f"{name}.json"
    path.write_text(made if isinstance(made, str) else json.dumps(made), "utf-8")
    return path


def test_a_version_is_in_force_from_its_day(own: Path) -> None:
    tomorrow = clock.today() + timedelta(days=1)
    put(own, AGES | {"valid_from": tomorrow.isoformat(), "guardian_until": 15})
    use_own(own)
    assert content("rules/ages")["guardian_until"] == 13
    assert content("rules/ages", tomorrow)["guardian_until"] == 15
    assert [v["guardian_until"] for v in versions("rules/ages")] == [13, 15]


def test_several_versions_in_one_file_and_one_that_replaces_the_shipped(own: Path) -> None:
    put(own, {"versions": [AGES | {"guardian_until": 14}, AGES | {"valid_from": "2026-05-01", "guardian_until": 15}]})  # fmt: skip
    use_own(own)
    assert content("rules/ages", date(2026, 4, 30))["guardian_until"] == 14
    assert content("rules/ages", date(2026, 5, 1))["guardian_until"] == 15


def test_before_the_first_version_nothing_is_in_force() -> None:
    with pytest.raises(BadContent, match="nothing is in force on 2020-01-01"):
        content("rules/ages", date(2020, 1, 1))


@pytest.mark.parametrize(
    ("made", "says"),
    [
        ({k: v for k, v in AGES.items() if k != "adult"}, "adult is missing"),
        (AGES | {"adult": "arton"}, "adult is int in the shipped"),
        (AGES | {"valid_from": "1 januari"}, "valid_from is a day"),
        ({k: v for k, v in AGES.items() if k != "valid_from"}, "valid_from is missing"),
        ([1], "an object is needed"),
        ("{", "cannot be read"),
        ({"versions": ["x"]}, "each version is an object"),
    ],
)
def test_content_that_cannot_be_used_is_refused_by_name(own: Path, made: Any, says: str) -> None:
    path = put(own, made)
    with pytest.raises(BadContent, match=says) as refused:
        use_own(own)
    assert str(path) in str(refused.value)


def test_an_own_file_needs_a_shipped_one_of_its_name(own: Path) -> None:
    put(own, AGES, "rules/aegs")
    with pytest.raises(BadContent, match="no content named rules/aegs"):
        use_own(own)
    with pytest.raises(BadContent, match="not a folder"):
        use_own(own / "nowhere")


def test_a_change_is_tried_and_gone_again(own: Path) -> None:
    with instead({"rules/ages": fitting(put(own, AGES | {"adult": 21}), "rules/ages")}):
        assert content("rules/ages")["adult"] == 21
        assert content("rules/reasons")["hours"] > 0
    assert content("rules/ages")["adult"] == 18


@pytest.mark.parametrize("name", names("rules"))
def test_every_rule_tells_its_source_and_when_it_begins(name: str) -> None:
    for version in versions(name):
        assert version["source"] and date.fromisoformat(version["valid_from"]), name
