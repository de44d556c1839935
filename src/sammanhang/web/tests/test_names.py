"""A name is found however it is written."""

import pytest

from sammanhang.web.names import Names, parts, slips, sound

NAMES = Names(
    [("andersson", 9), ("carlsson", 4), ("karlsson", 7), ("maj-britt", 2), ("von der berg", 1),
     ("al-hassan", 3), ("mohammed", 5), ("gustafsson", 6), ("lindqvist", 3), ("ek", 2), ("ekstrom", 2)]
)  # fmt: skip


def test_a_name_is_found_by_any_of_its_parts():
    assert NAMES.exact("britt") == {"maj-britt"}
    assert NAMES.exact("majbritt") == {"maj-britt"}
    assert NAMES.exact("berg") == {"von der berg"}
    assert NAMES.beginning("has") == {"al-hassan"}


def test_a_beginning_is_not_a_whole_name():
    assert NAMES.exact("ek") == {"ek"}
    assert NAMES.beginning("ek") == {"ek", "ekstrom"}


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("karlson", "karlsson"), ("carlsson", "karlsson"), ("gustavsson", "gustafsson"),
     ("lindkvist", "lindqvist"), ("lindquist", "lindqvist"), ("mohamed", "mohammed"),
     ("andresson", "andersson"), ("nadersson", "andersson")],
)  # fmt: skip
def test_a_misspelt_name_is_found(typed: str, meant: str):
    assert meant in NAMES.alike(typed)


def test_short_names_are_not_guessed():
    assert NAMES.alike("ed") == set()


def test_slips_count_changed_lost_added_and_swapped_letters():
    assert slips("svea", "svea", 2) == 0
    assert slips("anders", "adners", 2) == 1
    assert slips("anders", "karlsson", 2) == 3


def test_what_sounds_the_same_is_the_same():
    assert sound("christina") == sound("kristina")
    assert sound("wallin") == sound("vallin")
    assert parts("von der berg") == ["von", "der", "berg", "vonderberg"]
