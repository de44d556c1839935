"""What the record says is filled in, and each answer remembers where it came from."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sammanhang.access.door import Stored
from sammanhang.forms.contexts import Given, Row, names_asked
from sammanhang.forms.prefill import filled, sources_of
from sammanhang.forms.query import answer
from sammanhang.forms.tests.making import HL7, SDC, form, item, options, path
from sammanhang.kernel import clock


def row(id: str, **resource: Any) -> Row:
    kind = resource["resourceType"]
    return Row(Stored(kind, id, 1, datetime.now(UTC), 1, 7, b""), {"id": id, **resource})


def weight(id: str, day: str, kg: str) -> Row:
    return row(
        id, resourceType="Observation", status="final", effectiveDateTime=day,
        code={"coding": [{"system": "http://loinc.org", "code": "29463-7"}], "text": "Kroppsvikt"},
        valueQuantity={"value": Decimal(kg), "unit": "kg", "code": "kg"},
    )  # fmt: skip


def given(**rows: list[Row]) -> Given:
    return Given(
        {n: [r.resource for r in some] for n, some in rows.items()},
        rows,
        {7: "Vårdcentralen Södra torget"},
    )


def test_an_expression_on_the_record_with_its_source() -> None:
    asks = "%observations.where(code.coding.code = '29463-7').first().value"
    f = form(item("w", "quantity", extension=[path("initialExpression", asks)]))
    assert names_asked(f, True) == {"observations"} and names_asked(f, False) == set()
    tree = filled(
        f,
        given(
            observations=[weight("o2", "2026-11-12", "67.9"), weight("o1", "2026-10-01", "65.2")]
        ),
    )
    assert tree.nodes[0].values[0]["value"] == Decimal("67.9")
    source = sources_of(tree)["w"]
    assert (source.reference, source.at, source.where, source.was, source.what) == (
        "Observation/o2", "2026-11-12", "Vårdcentralen Södra torget", "67,9", "Kroppsvikt",
    )  # fmt: skip


def test_the_newest_observation_of_the_items_code_no_older_than_it_says() -> None:
    period = {"url": SDC + "observationLinkPeriod", "valueDuration": {"value": 30, "code": "d"}}
    f = form(
        item(
            "w",
            "decimal",
            code=[{"system": "http://loinc.org", "code": "29463-7"}],
            extension=[period],
        )
    )
    today = clock.today().isoformat()
    assert filled(f, given(observations=[weight("a", "2020-01-01", "60")])).nodes[0].values == []
    assert filled(f, given(observations=[weight("a", "2020-01-01", "60"), weight("b", today, "67.9")])).nodes[0].values == [Decimal("67.9")]  # fmt: skip


def test_a_row_for_each_of_the_things_there_are() -> None:
    f = form(item(
        "g", "group", repeats=True, extension=[path("itemPopulationContext", "%conditions", "c")],
        item=[item("t", extension=[path("initialExpression", "%c.code.text")])],
    ))  # fmt: skip
    some = [
        row(str(n), resourceType="Condition", code={"text": t})
        for n, t in enumerate(("Hjärtsvikt", "Höftfraktur"))
    ]
    tree = filled(f, given(conditions=some))
    assert [n.values for n in tree.by_link["t"]] == [["Hjärtsvikt"], ["Höftfraktur"]]
    assert [n.name for n in tree.by_link["t"]] == ["form.g[0].t", "form.g[1].t"]
    assert [n.values for n in filled(f, given(conditions=[])).by_link["t"]] == [[]]


def test_first_values_of_the_form_itself() -> None:
    some = options("a", "b")
    some[1]["initialSelected"] = True
    f = form(item("x", "choice", answerOption=some), item("y", "string", repeats=True, initial=[{"valueString": "ett"}, {"valueString": "två"}]))  # fmt: skip
    tree = filled(f, Given())
    assert tree.nodes[0].values[0]["code"] == "b" and tree.nodes[1].values == ["ett", "två"]
    assert sources_of(tree) == {}


def test_a_query_is_answered_from_the_rows_and_never_beyond_them() -> None:
    rows = [
        w.resource for w in (weight("o1", "2026-10-01", "65.2"), weight("o2", "2026-11-12", "67.9"))
    ]
    contexts = {"patient": {"resourceType": "Patient", "id": "svea"}}
    notes: list[str] = []
    asked = "Observation?code=http://loinc.org|29463-7&patient={{%patient.id}}&_sort=-date&_count=1"
    assert [r["id"] for r in answer(asked, rows, contexts, notes)] == ["o2"]
    assert answer("Observation?patient=greta", rows, contexts, notes) == []
    assert [
        r["id"] for r in answer("Observation?date=ge2026-11-01&status=final", rows, contexts, notes)
    ] == ["o2"]
    assert notes == []
    assert (
        answer("Observation?performer=x", rows, contexts, notes) == [] and "performer" in notes[0]
    )


def test_a_variable_that_is_a_query_is_a_bundle() -> None:
    query = {"url": HL7 + "variable", "valueExpression": {"language": "application/x-fhir-query", "name": "w", "expression": "Observation?code=29463-7"}}  # fmt: skip
    f = form(
        item(
            "a", "decimal", extension=[path("initialExpression", "%w.entry.resource.value.value")]
        ),
        extension=[query],
    )
    some = weight("o2", "2026-11-12", "67.9")
    g = Given(
        {"w": {"resourceType": "Bundle", "entry": [{"resource": some.resource}]}},
        {"w": [some]},
        {7: "Borås"},
    )
    tree = filled(f, g)
    assert tree.nodes[0].values == [Decimal("67.9")] and sources_of(tree)["a"].where == "Borås"
