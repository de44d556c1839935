"""The page of requirements is of today, and every requirement of levels 1 and 2 has its answer."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from .page import PAGE, ROOT, annotations, chapters, page, verified


def test_every_requirement_has_a_test_or_a_reason_and_no_annotation_is_unknown() -> None:
    assert verified()[1] == []


def test_the_page_is_of_today() -> None:
    assert PAGE.read_text("utf-8") == page(), "run `python -m tests.asvs`"


def test_the_list_is_the_whole_of_levels_one_and_two() -> None:
    """The edition has 70 requirements at level 1 and 183 at level 2, in chapters V1 to V17."""
    every = [r for chapter in chapters() for r in chapter.requirements]
    assert Counter(r.level for r in every) == {1: 70, 2: 183}
    assert len({r.number for r in every}) == 253
    assert [c.key for c in chapters()] == [f"V{n}" for n in range(1, 18)]
    assert all(r.number.startswith(f"{c.key[1:]}.") for c in chapters() for r in c.requirements)


def test_a_false_number_and_a_silent_requirement_are_told(tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / "tests"
    (tmp_path / "src").mkdir()
    folder.mkdir()
    marked = (
        "import pytest\n@pytest.mark.asvs('v5.0.0-99.9.9', 'v4.0.3-1.2.3')\ndef test_x(): ...\n"
    )
    (folder / "test_x.py").write_text(marked, "utf-8")
    found = list(annotations(tmp_path))
    assert [n for n, _ in found] == ["v5.0.0-99.9.9", "v4.0.3-1.2.3"]
    monkeypatch.setattr("tests.asvs.page.annotations", lambda: iter(found))
    faults = verified()[1]
    assert any("no L1 or L2 number 'v5.0.0-99.9.9'" in f for f in faults)
    assert any("v5.0.0-4.2.1" in f and "neither a test nor a reason" in f for f in faults)


def test_what_a_reason_names_is_there() -> None:
    """A document or test that a reason points to exists."""
    import re

    tests = {t.name for _, t in annotations()}
    sources = "\n".join(p.read_text("utf-8") for p in (ROOT / "src").rglob("test_*.py"))
    for chapter in chapters():
        for r in chapter.requirements:
            for why in r.reasons.values():
                for name in re.findall(r"docs/[\w/.-]+\.md|SECURITY\.md", why):
                    assert (ROOT / name).is_file(), (r.number, name)
                for name in re.findall(r"`(test_\w+)`", why):
                    assert name in tests or f"def {name}(" in sources, (r.number, name)
