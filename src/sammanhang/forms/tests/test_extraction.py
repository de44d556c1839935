"""From a signed response to observations, definitions and templates."""

from __future__ import annotations

from typing import Any

from sammanhang.fhir.decode import decode, encode
from sammanhang.forms import answers
from sammanhang.forms.extraction import Signed, extract
from sammanhang.forms.tests.making import HL7, SDC, form, item, options

SIGNED = Signed("Patient/svea", "PractitionerRole/1", "Amira", "2026-11-22T14:05:00+01:00", "QuestionnaireResponse/r", "Encounter/e")  # fmt: skip
EXTRACT = {"url": SDC + "observationExtract", "valueBoolean": True}
LOINC = "http://loinc.org"


def code(value: str) -> list[dict[str, Any]]:
    return [{"system": LOINC, "code": value, "display": value}]


def made(f: Any, *fields: tuple[str, str]) -> list[Any]:
    """What comes out, each checked as the API would check it."""
    found = extract(f, answers.read(f, fields), SIGNED)
    for r in found:
        r.id = "x"
        decode(encode(r), type(r).__name__)
    return found


def test_every_kind_of_answer_becomes_an_observation() -> None:
    f = form(
        item("a", "quantity", code=code("1"), extension=[EXTRACT, {"url": HL7 + "questionnaire-unit", "valueCoding": {"system": "http://unitsofmeasure.org", "code": "kg", "display": "kg"}}]),
        item("b", "choice", code=code("2"), answerOption=options("ja"), extension=[EXTRACT]),
        item("c", "boolean", code=code("3"), extension=[EXTRACT]),
        item("d", "decimal", code=code("4"), extension=[EXTRACT]), item("e", "date", code=code("5"), extension=[EXTRACT]),
        item("f", "string", code=code("6")),
    )  # fmt: skip
    found = made(f, ("form.a", "67,9"), ("form.b", "s|ja"), ("form.c", "false"), ("form.d", "1,5"), ("form.e", "2026-11-22"), ("form.f", "x"))  # fmt: skip
    assert [o.code.coding[0].code for o in found] == ["1", "2", "3", "4", "5"]
    assert found[0].valueQuantity.code == "kg" and found[1].valueCodeableConcept.text == "Ja"
    assert found[2].valueBoolean is False and str(found[3].valueQuantity.value) == "1.5"
    o = found[0]
    assert (o.subject.reference, o.encounter.reference, o.performer[0].display) == (
        "Patient/svea",
        "Encounter/e",
        "Amira",
    )
    assert (
        o.derivedFrom[0].reference == "QuestionnaireResponse/r"
        and o.effectiveDateTime == SIGNED.authored
    )


def test_parts_belong_to_their_panel_and_what_is_not_asked_gives_nothing() -> None:
    part = {"url": SDC + "observationExtract", "valueCode": "component"}
    f = form(
        item("p", "group", code=code("85354-9"), extension=[EXTRACT], item=[item("s", "integer", code=code("8480-6"), extension=[part]), item("d", "integer", code=code("8462-4"), extension=[part])]),
        item("q", "boolean"),
        item("x", "integer", code=code("9"), extension=[EXTRACT], enableWhen=[{"question": "q", "operator": "=", "answerBoolean": True}]),
    )  # fmt: skip
    (bp,) = made(f, ("form.s", "140"), ("form.d", "80"), ("form.q", "false"), ("form.x", "3"))
    assert [(c.code.coding[0].code, c.valueInteger) for c in bp.component] == [
        ("8480-6", 140),
        ("8462-4", 80),
    ]


def test_definitions_say_which_element_an_answer_is() -> None:
    base = "http://hl7.org/fhir/StructureDefinition/"
    context = {"url": SDC + "itemExtractionContext", "valueCode": "Condition"}
    f = form(
        item("g", "group", extension=[context], item=[
            item("c", "choice", definition=base + "Condition#Condition.code", answerOption=options("ja")),
            item("t", "text", definition=base + "Condition#Condition.note.text"),
            item("o", "date", definition=base + "Condition#Condition.onset[x]"),
            item("n", definition=base + "Condition#Condition.newerElement"),
        ]),
    )  # fmt: skip
    (condition,) = made(
        f, ("form.c", "s|ja"), ("form.t", "Ramlade"), ("form.o", "2026-11"), ("form.n", "x")
    )
    assert condition.code.coding[0].code == "ja" and condition.note[0].text == "Ramlade"
    assert condition.onsetDateTime == "2026-11" and condition.subject.reference == "Patient/svea"


def test_templates_are_filled_in_once_for_each_row() -> None:
    value = SDC + "templateExtractValue"
    template = {
        "resourceType": "RelatedPerson", "id": "t", "active": True,
        "name": [{"_text": {"extension": [{"url": value, "valueString": "item.where(linkId='n').answer.value"}]}}],
        "telecom": [{"extension": [{"url": SDC + "templateExtractContext", "valueString": "item.where(linkId='p').answer.value"}], "system": "phone", "_value": {"extension": [{"url": value, "valueString": "$this"}]}}],
    }  # fmt: skip
    rows = item("g", "group", repeats=True, item=[item("n"), item("p")], extension=[{"url": SDC + "templateExtract", "extension": [{"url": "template", "valueReference": {"reference": "#t"}}]}])  # fmt: skip
    f = form(rows, contained=[template])
    one, two = made(f, ("form.g[0].n", "Anna"), ("form.g[0].p", "070"), ("form.g[1].n", "Bo"))
    assert (
        one.name[0].text == "Anna"
        and one.telecom[0].value == "070"
        and one.patient.reference == "Patient/svea"
    )
    assert two.name[0].text == "Bo" and two.telecom is None
