"""Figures per unit: what was opened and checked, missing where nothing was checked, the head's own unit only."""

from __future__ import annotations

import csv
import io
import re

import pytest

pytestmark = pytest.mark.usefixtures("clean")


@pytest.fixture
def town(own_town):
    """These tests leave cases behind, so they have a region of their own."""
    return own_town


def rows_of(file) -> list[dict[str, str]]:
    assert file.headers["content-type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(file.text.lstrip("\ufeff")), delimiter=";"))


async def test_a_month_shows_what_was_opened_found_and_decided(as_, did):
    for n in range(3):
        did("karin-ek", "svea-andersson", minutes=60 + n, look=False)
    did("karin-ek", "bertil-holm", rule="R3", purpose="follow-up", look=False)
    did("karin-ek", "greta-lindgren", "refuse", rule="R7", look=False)
    did("oskar-nystrom", "olle-nystrom")
    annika = await as_("Annika Sjöberg")
    page = await annika.get("/review/figures")
    assert page.status_code == 200 and annika.queries <= 12
    assert "Vårdcentralen Södra torget" in page.text
    assert "Ingen kontroll är avslutad" in page.text
    (unit,) = [
        r for r in rows_of(await annika.get("/review/figures.csv")) if r["Öppnade journaler"]
    ]
    assert (unit["Öppnade journaler"], unit["Medarbetare"], unit["Nekade R7"]) == ("5", "2", "1")
    assert (unit["Träffar"], unit["Ingen vårdrelation"], unit["Samma efternamn"]) == ("2", "1", "1")
    assert unit["Avgjorda"] == "" and unit["Befogad"] == ""

    queue = await annika.get("/review?pattern=same-surname")
    (address,) = re.findall(r'<td><a href="(/review/cases/[^"]+)"', queue.text)
    await annika.post(address, {"do": "decide", "outcome": "justified", "said": "=Planerat"}, queue)
    (unit,) = [
        r for r in rows_of(await annika.get("/review/figures.csv")) if r["Öppnade journaler"]
    ]
    assert (unit["Avgjorda"], unit["Befogad"], unit["Obefogad"]) == ("1", "1", "0")
    assert float(unit["Dagar till avgörande, median"]) < 1
    assert "50 %" in (await annika.get("/review/figures")).text
    outcomes = rows_of(await annika.get("/review/outcomes.csv"))
    (decided,) = [r for r in outcomes if r["Utfall"]]
    assert (decided["Utfall"], decided["Av"]) == ("Befogad", "Annika Sjöberg")
    assert decided["Vad visade granskningen?"] == "'=Planerat"
    assert "Nyström" not in str(outcomes)


async def test_months_without_anything_are_missing_and_not_zero(as_, did):
    did("karin-ek", "svea-andersson")
    annika = await as_("Annika Sjöberg")
    page = await annika.get("/review/figures")
    (link,) = re.findall(r'href="(/review/figures\?unit=[^"]+)">', page.text)
    months = await annika.get(link)
    assert months.text.count("Uppgift saknas") == 11
    file = rows_of(await annika.get("/review/figures.csv"))
    assert [r["Öppnade journaler"] for r in file if r["Öppnade journaler"] != "1"] == [""] * 11


async def test_a_head_of_operations_sees_the_figures_of_the_own_unit_and_no_case(as_, did):
    did("karin-ek", "svea-andersson", rule="R3", purpose="follow-up", look=False)
    did("tomas-ryd", "svea-andersson", rule="R3", purpose="follow-up")
    maria = await as_("verksamhetschef södra torget")
    page = await maria.get("/review/figures?unit=SE-other")
    assert page.status_code == 200
    assert "Vårdcentralen Södra torget" in page.text and "Akutmottagning" not in page.text
    assert "Svea" not in page.text and "Karin" not in page.text
    assert "Loggen gicks senast igenom" in page.text
    assert "Akutmottagning" not in (await maria.get("/review/figures.csv")).text
    for address in ("/review", "/review/public", "/review/outcomes.csv"):
        assert (await maria.get(address)).status_code == 403, address
    assert "/review/figures" in (await maria.get("/")).text
