"""Every form among content is a valid Questionnaire, complete in both languages, and does what its cases say."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from sammanhang.fhir.decode import decode, raw
from sammanhang.forms import answers
from sammanhang.forms.calculating import order
from sammanhang.forms.library import cases, known, of_content
from sammanhang.forms.questionnaire import Form
from sammanhang.forms.scoring import bands_of, scores
from sammanhang.kernel import i18n
from sammanhang.kernel.content import FOLDER

CASES = [(name, case) for name in known() for case in cases(name)]


def found(name: str) -> Form:
    form = of_content(name)
    assert form is not None
    return form


@pytest.mark.parametrize("name", known())
def test_it_is_valid_and_nothing_in_it_is_unread(name: str) -> None:
    body = (FOLDER / "forms" / f"{name}.json").read_bytes()
    decode(body, "Questionnaire")
    form = found(name)
    assert form.faults == () and form.lacks == () and order(form)[1] == []
    assert (
        form.version
        and form.copyright
        and form.raw.get("purpose")
        and raw(body)["effectivePeriod"]["start"]
    )


@pytest.mark.parametrize("name", known())
def test_its_source_is_for_readers_and_notes_of_the_project_are_not_shown(name: str) -> None:
    source = found(name).copyright.lower()
    assert not any(w in source for w in ("verifierat", "underlag", "projekt", "licens"))


@pytest.mark.parametrize("name", known())
def test_every_word_of_it_is_there_in_english(name: str) -> None:
    form = found(name)
    lacking = []
    for item in form.index.values():
        words = [
            item.text,
            item.short,
            *(o.words for o in item.options),
            *(w for _kind, w in item.beside),
        ]
        for b in bands_of(item):
            words += [b.text, b.action]
        lacking += [str(w.plain) for w in words if w.plain and "en" not in w.others]
    assert lacking == []


@pytest.mark.parametrize("name", sorted({name for name, _case in CASES}))
def test_bands_meet_without_gap_or_overlap_and_every_edge_has_a_case(name: str) -> None:
    form = found(name)
    tried = {str(c["score"]) for n, c in CASES if n == name}
    for item in form.index.values():
        bands = sorted(
            (b for b in bands_of(item) if b.low is not None and b.high is not None),
            key=lambda b: b.low or 0,
        )
        for one, other in pairwise(bands):
            assert one.high is not None and other.low == one.high + 1
        edges = {str(int(e)) for b in bands for e in (b.low, b.high) if e is not None} | {b.value for b in bands_of(item) if b.value}  # fmt: skip
        assert edges <= tried, (name, edges - tried)


@pytest.mark.parametrize(
    ("name", "case"), CASES, ids=lambda v: v if isinstance(v, str) else v["name"]
)
def test_a_case_comes_out_as_it_says(name: str, case: dict[str, Any]) -> None:
    i18n.use("sv")
    form = found(name)
    fields = [
        (f"form.{link}", next((o.key for o in form.index[link].options if o.key.endswith(f"|{v}")), str(v)))
        for link, some in case["answers"].items() for v in some
    ]  # fmt: skip
    tree = answers.read_tree(form, fields)
    assert tree.notes == []
    (score,) = scores(tree)
    value = score.value["code"] if isinstance(score.value, dict) else score.value
    assert value == case["score"]
    assert (str(score.band.text) if score.band else None) == case["band"]
    if case["score"] is None:
        assert score.missing > 0
