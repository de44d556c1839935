"""What was typed twice, told to those whose figures it is, and nothing so small that it points at somebody."""

from __future__ import annotations

import html
import re
from datetime import date, timedelta

import pytest

from sammanhang.access.actor import SYSTEM
from sammanhang.access.writing import Changes
from sammanhang.care.requests.errors import NotYourFigures
from sammanhang.care.requests.followup import span, told
from sammanhang.care.requests.retyped import Counts, Retyped, mark, whose
from sammanhang.fhir.r4 import QuestionnaireResponse
from sammanhang.kernel import clock
from sammanhang.region.organisations import named
from sammanhang.work.tasks import instant
from sammanhang.work.testing import somebody

pytestmark = pytest.mark.slow  # the whole suite has it; `make check` stays quick

PAGE = "/followup/retyped"
CENTRE, ELSEWHERE = named("Vårdcentralen Södra torget"), named("Vårdcentralen Trandared")
TOWN = named("Hemsjukvård Centrum, Borås")
FORM = "http://sammanhang.se/fhir/Questionnaire/vardbegaran-hemsjukvard"


async def count(services, unit, times: int, counts: Counts, days: int = 0, form: str = FORM):
    """Requests with these counts each, sent so many days ago."""
    changes = Changes.by_system(services.doors, SYSTEM, "", (unit.provider, unit.id))
    for _n in range(times):
        at = instant(clock.now() - timedelta(days=days))
        response = QuestionnaireResponse(status="completed", questionnaire=form, authored=at)
        mark(response, counts)
        changes.create(response)
    await changes.commit("create")


def rows(page) -> list[list[str]]:
    """The cells of the table, row by row."""
    found = re.findall(r"<tr>(<th scope=\"row\">.*?)</tr>", page.text, re.S)
    strip = lambda cell: html.unescape(re.sub(r"<[^>]+>", "", cell)).strip()  # noqa: E731
    return [[strip(c) for c in re.findall(r"<t[hd].*?</t[hd]>", row, re.S)] for row in found]


@pytest.fixture(scope="module")
def filled():
    return []


@pytest.fixture(autouse=True)
async def figures(services, filled):
    if not filled:
        await count(services, CENTRE, 6, Counts(kept=8, changed=1, removed=1, retyped=2, typed=3))
        await count(services, CENTRE, 4, Counts(kept=8, retyped=9), form=FORM + "-annat")
        await count(services, ELSEWHERE, 5, Counts(kept=3, typed=1, retyped=0), days=100)
        await count(services, TOWN, 7, Counts(kept=4, duplicates=1))
        filled.append(True)


async def test_a_statistician_sees_the_care_providers_units_by_name_and_form(as_):
    stina = await as_("Stina Berg")
    await stina.get(PAGE)
    page = await stina.get(PAGE)
    assert page.status_code == 200 and stina.queries <= 6, stina.queries
    assert [CENTRE.name, "Vårdbegäran om hemsjukvård"] in [r[:2] for r in rows(page)]
    (row,) = [r for r in rows(page) if r[1] == "Vårdbegäran om hemsjukvård"]
    none = "–visas inte"
    assert row[2:] == ["6", "48", "6", "6", "12", "18", none, "80 %", "17 %"]
    assert CENTRE.id not in page.text and TOWN.name not in page.text
    assert "Vad kolumnerna säger" in page.text and "Ska inte förekomma." in page.text


async def test_a_count_under_five_is_not_told_nor_what_it_could_be_had_from(as_):
    stina = await as_("Stina Berg")
    (few,) = [r for r in rows(await stina.get(PAGE)) if r[1].endswith("-annat")]
    assert set(few[2:]) == {"–visas inte"}  # four requests: not even the 36 answers
    told_ = told(Retyped("u", "f", 50, Counts(kept=100, changed=20, removed=4, retyped=10, typed=0)))  # fmt: skip
    assert told_ == ("50", "100", "20", None, "10", None, None, None, None)


async def test_the_period_is_chosen_among_three_and_any_other_is_this_month(as_):
    stina = await as_("Stina Berg")
    year = await stina.get(f"{PAGE}?period=year")
    assert ELSEWHERE.name in {r[0] for r in rows(year)}
    for other in ("", "?period=last", "?period=%00%27"):
        page = await stina.get(PAGE + other)
        assert page.status_code == 200 and ELSEWHERE.name not in page.text, other
    last = html.unescape((await stina.get(f"{PAGE}?period=last")).text)
    assert "Ingen begäran skickades under perioden." in last
    assert re.search(r'aria-current="true">Förra månaden', last)
    assert span("last", date(2026, 1, 15)) == (date(2025, 12, 1), date(2026, 1, 1))
    assert span("month", date(2026, 12, 31)) == (date(2026, 12, 1), date(2027, 1, 1))
    assert span("year", date(2026, 11, 22)) == (date(2025, 12, 1), date(2026, 12, 1))


async def test_a_head_sees_the_own_units_and_nobody_elses(as_):
    head = await as_("verksamhetschef södra torget")
    page = await head.get(f"{PAGE}?period=year")
    assert page.status_code == 200 and {r[0] for r in rows(page)} == {CENTRE.name}
    assert f'href="{PAGE}"' in (await head.get("/")).text


async def test_whose_figures_they_are_not_is_refused_and_has_no_link(as_, services):
    karin = await as_("Karin Ek")
    page = await karin.get(PAGE)
    assert page.status_code == 403 and "R38" in page.text
    assert PAGE not in (await karin.get("/")).text
    with pytest.raises(NotYourFigures):
        whose(await somebody(services, "david-wallin"))


async def test_a_statistician_finds_it_on_the_first_page_and_the_look_is_in_the_trace(
    as_, own_town, services
):
    stina = await as_("Stina Berg")
    start = await stina.get("/")
    assert start.text.count(f'href="{PAGE}"') == 2  # the menu, and what one can do
    await stina.get(f"{PAGE}?period=year")
    async with services.database.writing() as connection:
        cursor = await connection.execute("SELECT convert_from(entries, 'UTF8') FROM audit.block ORDER BY at DESC LIMIT 5")  # fmt: skip
        said = "".join(r[0] for r in await cursor.fetchall())
    assert '"figures"' in said and '"rule":"R38"' in said and "period=year" in said
    assert (await stina.get("/patients/svea-andersson")).status_code == 403
