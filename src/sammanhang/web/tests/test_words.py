"""Both languages are whole, and both looks have every colour."""

import re
from pathlib import Path

import pytest

from sammanhang.kernel import i18n
from sammanhang.web import assets

STATIC = Path(assets.__file__).parent / "static"


def test_english_has_every_text():
    assert i18n.missing("en") == []


def test_both_catalogues_are_of_today():
    """`python -m sammanhang.kernel.i18n` gathers anew."""
    now = {m.id for m in i18n.asked() if m.id}
    for language in i18n.LANGUAGES:
        assert {m.id for m in i18n.catalogue(language) if m.id} == now


def test_what_is_filled_in_is_the_same_in_both_languages():
    for message in i18n.catalogue("en"):
        ids = message.id if isinstance(message.id, tuple) else (message.id,)
        texts = message.string if isinstance(message.string, tuple) else (message.string,)
        wanted = set(re.findall(r"%\((\w+)\)s", str(ids[-1])))
        for text in texts:
            assert set(re.findall(r"%\((\w+)\)s", str(text))) == wanted, message.id


def test_the_dark_look_is_the_same_chosen_or_followed():
    css = (STATIC / "tokens.css").read_text("utf-8")
    blocks = re.findall(r"color-scheme: dark;(.*?)\}", css, re.DOTALL)
    assert len(blocks) == 2
    assert blocks[0].split() == blocks[1].split()


def test_scripts_of_a_page_are_at_most_50_kilobytes():
    names = ("vendor/htmx.min.js", "vendor/uPlot.iife.min.js", "app.js", "chart/curves.js")
    sizes = {name: len(found.packed or b"") for name in names if (found := assets.find(name))}
    assert len(sizes) == 4
    assert sum(sizes.values()) <= 50 * 1024, sizes


@pytest.mark.asvs("v5.0.0-5.3.2", "v5.0.0-13.4.3")
def test_no_file_outside_the_static_folders_is_served():
    assert assets.find("../app.py") is None
    assert assets.find("chart/../../pages.py") is None
    assert assets.find("/etc/passwd") is None
