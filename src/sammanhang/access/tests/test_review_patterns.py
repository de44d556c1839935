"""R36: what makes an access worth a look; the content's cases, and the windows that count."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from sammanhang.access.review.known import address_key
from sammanhang.access.review.patterns import (
    Someone,
    Window,
    Windows,
    emergency,
    hits,
    rules,
    span_of,
)
from sammanhang.access.review.sample import chosen, quota, rank
from sammanhang.fhir.indexing import fold
from sammanhang.kernel.content import content
from sammanhang.store.trace import Entry, stamp

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
LOG = content("rules/log_review")


def someone(case: dict) -> Someone:
    family = fold(case["family"])
    street, _, postal = case.get("address", "").rpartition(",")
    lives = postal and not case.get("protected")
    return Someone(
        names=frozenset({family, *family.split()}),
        name=f"{fold(case['given'])} {family}",
        numbers=frozenset({case["number"]} if "number" in case else ()),
        address=address_key(street, postal) if lives else "",
        works=frozenset((p, u) for p, u in case.get("works", ())),
        public=case.get("public", False),
    )


@pytest.mark.parametrize("case", LOG["cases"], ids=lambda c: c["about"])
def test_the_examples_of_the_content_come_out_as_they_say(case):
    entry = Entry(
        at=stamp(NOON), actor="Practitioner/a", action="open", patient="p", provider="SE-P",
        unit=case["actor"].get("unit", "SE-U"), rule=case.get("rule", "R2"),
    )  # fmt: skip
    found = hits(entry, someone(case["actor"]), someone(case["patient"]))
    assert sorted(h.pattern for h in found) == sorted(case["hits"])


def test_every_pattern_has_words_in_both_languages_and_a_weight():
    for key, pattern in LOG["patterns"].items():
        assert pattern["weight"] > 0, key
        for words in (pattern, pattern["why"]):
            assert words["sv"] and words["en"], key


def opened(n: int, minute: float, actor: str = "Practitioner/a") -> tuple[Entry, datetime]:
    at = NOON + timedelta(minutes=minute)
    return Entry(at=stamp(at), actor=actor, action="open", patient=f"p{n}"), at


def test_many_patients_in_a_short_time_is_a_hit_at_the_limit_of_the_role():
    _, limit = span_of("many-patients", "underskoterska")
    windows = Windows()
    found = [windows.opened(*opened(n, n), "underskoterska") for n in range(limit)]
    assert found[:-1] == [None] * (limit - 1)
    assert found[-1] is not None and found[-1].details["patients"] == limit
    others = Windows()
    assert not any(others.opened(*opened(n, n), "medicinsk_sekreterare") for n in range(limit))


def test_the_same_patient_many_times_and_many_over_a_long_day_are_no_hit():
    _, limit = span_of("many-patients", "sjukskoterska")
    same, slow = Windows(), Windows()
    assert not any(same.opened(*opened(1, n / 2), "sjukskoterska") for n in range(limit * 2))
    assert not any(slow.opened(*opened(n, n * 4), "sjukskoterska") for n in range(limit * 2))


def test_windows_open_again_from_what_was_kept():
    _, limit = span_of("many-patients", "underskoterska")
    kept = [
        ("many-patients", "Practitioner/a", f"p{n}", NOON + timedelta(minutes=n))
        for n in range(limit - 1)
    ]
    windows = Windows(kept)
    assert windows.opened(*opened(999, limit), "underskoterska") is not None
    assert Windows(kept).opened(*opened(999, 300), "underskoterska") is None


def test_who_is_refused_again_and_again_is_looked_at():
    limit = rules("refused-repeatedly")["refusals"]
    windows = Windows()
    found = [windows.refused(*opened(1, n)) for n in range(limit)]
    assert [bool(f) for f in found] == [False] * (limit - 1) + [True]


def test_a_window_counts_each_thing_once_and_forgets():
    window = Window(timedelta(minutes=10))
    assert window.add("a", NOON) == 1
    assert window.add("b", NOON + timedelta(minutes=5)) == 2
    assert window.add("a", NOON + timedelta(minutes=6)) == 2
    assert window.add("c", NOON + timedelta(minutes=15)) == 2


def test_those_who_have_done_nothing_lately_are_let_go():
    windows = Windows([("many-patients", "Practitioner/b", "p", NOON - timedelta(hours=5))])
    windows.opened(*opened(1, 0), "lakare")
    windows.forget(NOON - timedelta(hours=1))
    assert len(windows._open) == 1 and not windows._recent
    windows.forget(NOON + timedelta(hours=1))
    assert not windows._open and not windows._seen


def test_an_emergency_tells_what_was_declared_and_opened():
    entry = Entry(
        at=stamp(NOON), actor="Practitioner/a", action="emergency", patient="p", purpose="life, no-time",
        details={"step": 2, "said": "Larm", "opened": ["SE-X"]},
    )  # fmt: skip
    assert emergency(entry).details == {
        "danger": "life", "unable": "no-time", "said": "Larm", "opened": ["SE-X"],
    }  # fmt: skip


def test_the_draw_can_be_repeated_and_only_with_its_seed():
    day = date(2026, 11, 20)
    accesses = [(f"Practitioner/{n % 7}", f"p{n}") for n in range(200)]
    units = [f"SE-{n}" for n in range(300)]
    seed, other = b"1" * 32, b"2" * 32
    once = [chosen(seed, u, day, accesses) for u in units]
    assert once == [chosen(seed, u, day, reversed(accesses)) for u in units]
    assert once != [chosen(other, u, day, accesses) for u in units]
    assert rank(seed, "u", "a", "p") != rank(other, "u", "a", "p")
    expected = 300 * rules("random-sample")["per_unit_and_month"] / 30
    assert 0.7 * expected < sum(len(c) for c in once) < 1.3 * expected


def test_over_a_month_a_unit_gets_its_share():
    days = [date(2026, 11, d) for d in range(1, 31)]
    drawn = [sum(quota(f"{u}{d}".encode(), f"SE-{u}", d) for d in days) for u in range(200)]
    assert 9.3 < sum(drawn) / len(drawn) < 10.7
