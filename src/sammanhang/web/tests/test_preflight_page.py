"""The preflight as a page: for system administrators, filtered, and as a file."""

from __future__ import annotations

import csv
import io

from sammanhang.web.preflight import _plain


async def test_a_system_administrator_sees_what_everybody_will_see(as_):
    david = await as_("David Wallin")
    page = await david.get("/preflight")
    assert page.status_code == 200 and "kommer in" not in page.text
    page = await david.get("/preflight", params={"run": "1", "person": "amira-haddad"})
    assert "1 av 1 kommer in; inga fel hittades." in page.text
    assert "Hemsjukvård Centrum" in page.text and "läser och skriver (R2)" in page.text
    assert "Har flera uppdrag" in page.text
    page = await david.get("/preflight", params={"run": "1", "only_faults": "1"})
    assert "Rättas av systemförvaltningen" in page.text
    assert "Amira Haddad" not in page.text
    everybody = await david.get("/preflight", params={"run": "1"})
    assert "personer till finns i filen" in everybody.text
    unit = await david.get("/preflight", params={"run": "1", "unit": "SE2120001561-E000101000001"})
    assert "Amira Haddad" in unit.text and "personer till" not in unit.text
    nobody = await david.get("/preflight", params={"run": "1", "unit": "<b>x"})
    assert "Ingen personal hittades" in nobody.text and "<b>x" not in nobody.text


async def test_the_file_holds_everybody_a_line_for_each_assignment(as_):
    david = await as_("David Wallin")
    answer = await david.get("/preflight.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    assert "attachment" in answer.headers["content-disposition"]
    assert answer.text.startswith("\ufeff")
    head, *lines = csv.reader(io.StringIO(answer.text[1:]), delimiter=";")
    assert head[:3] == ["id", "Namn", "HSA-id"]
    assert all(len(line) == len(head) for line in lines)
    assert len(lines) > 6000
    amira = [line for line in lines if line[0] == "amira-haddad"]
    assert {line[5] for line in amira} >= {
        "Hemsjukvård Centrum, Borås",
        "Hemsjukvård Brämhult, Borås",
    }
    only = (await david.get("/preflight.csv?only_faults=1")).text
    assert "amira-haddad" not in only


async def test_nobody_else_sees_it(as_):
    karin = await as_("Karin Ek")
    for path in ("/preflight", "/preflight?run=1", "/preflight.csv"):
        refused = await karin.get(path)
        assert refused.status_code == 403 and "R2" in refused.text


def test_no_cell_is_a_formula():
    assert _plain("=HYPERLINK()") == "'=HYPERLINK()"
    assert (
        _plain("+46") == "'+46"
        and _plain("@x") == "'@x"
        and _plain("Åsa") == "Åsa"
        and _plain("") == ""
    )
