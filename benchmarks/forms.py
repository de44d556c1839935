"""How long does a form of 10, 50 and 500 questions take to lay out, check and write as HTML, on one core?"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from _bench import Bench, Figure
from _drive import percentile

AIMS = {10: "", 50: "≤ 15 ms rendered and checked", 500: ""}
KINDS = (
    "choice",
    "boolean",
    "string",
    "integer",
    "decimal",
    "date",
    "text",
    "choice",
    "quantity",
    "dateTime",
)


def questionnaire(questions: int) -> dict[str, Any]:
    """Groups of ten questions of ten types; every third asked only when the one before is answered, limits on
    numbers, and a total of the points of the choices."""
    scale = [
        {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/itemWeight", "valueDecimal": n}], "valueCoding": {"system": "urn:s", "code": str(n), "display": f"Alternativ {n}"}}
        for n in range(4)
    ]  # fmt: skip
    groups: list[dict[str, Any]] = []
    for n in range(questions):
        if n % 10 == 0:
            groups.append(
                {"linkId": f"g{n}", "type": "group", "text": f"Avsnitt {n // 10 + 1}", "item": []}
            )
        kind = KINDS[n % 10]
        item: dict[str, Any] = {
            "linkId": f"q{n}",
            "type": kind,
            "text": f"Fråga nummer {n}",
            "required": n % 2 == 0,
        }
        if kind == "choice":
            item["answerOption"] = scale
        if kind in ("integer", "decimal"):
            item["extension"] = [
                {"url": "http://hl7.org/fhir/StructureDefinition/maxValue", "valueInteger": 100}
            ]
        if n % 3 == 2:
            item["enableWhen"] = [
                {"question": f"q{n - 1}", "operator": "exists", "answerBoolean": True}
            ]
        groups[-1]["item"].append(item)
    total = {
        "linkId": "total", "type": "integer", "text": "Summa", "readOnly": True,
        "extension": [{"url": "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-calculatedExpression", "valueExpression": {"language": "text/fhirpath", "expression": "%resource.item.item.answer.value.weight().sum()"}}],
    }  # fmt: skip
    return {
        "resourceType": "Questionnaire",
        "status": "active",
        "url": "urn:bench",
        "item": [*groups, total],
    }


def run(bench: Bench) -> list[Figure]:
    """Milliseconds for each step, the median."""
    from sammanhang.forms import answers, check, form_of, view
    from sammanhang.web.rendering import ENVIRONMENT

    template = ENVIRONMENT.from_string(
        '{% from "forms/form.html" import form_fields %}{{ form_fields(page) }}'
    )
    figures = []
    for n in AIMS:
        form = form_of(questionnaire(n))
        fields = [(f"form.q{i}", "urn:s|2") for i in range(n) if KINDS[i % 10] == "choice"]
        fields += [(f"form.q{i}", "true") for i in range(n) if KINDS[i % 10] == "boolean"]
        fields += [(f"form.q{i}", "12") for i in range(n) if KINDS[i % 10] in ("integer", "decimal", "quantity", "string", "text")]  # fmt: skip
        response = answers.read(form, fields)

        def page(form: Any = form, response: Any = response) -> str:
            faults = check(form, response)
            return template.render(page=view(form, response, faults=faults))

        steps: list[tuple[str, Callable[[], Any], str]] = [
            ("rendered and checked", page, AIMS[n]),
            ("checked", lambda form=form, response=response: check(form, response), ""),
            ("read from the page's fields", lambda form=form, fields=fields: answers.read(form, fields), ""),
        ]  # fmt: skip
        size = f"{len(page()) / 1000:.0f} KB of HTML"
        figures += [Figure("forms", f"{n} questions, {what}", _median(f, bench), "ms", aim=aim, note=size) for what, f, aim in steps]  # fmt: skip
    return figures


def _median(work: Callable[[], Any], bench: Bench) -> float:
    """Milliseconds of processor time of one call: the median."""
    taken = []
    for _ in range(10 if bench.quick else 40):
        began = time.process_time()
        work()
        taken.append((time.process_time() - began) * 1000)
    return percentile(taken, 50)


if __name__ == "__main__":
    from _bench import main

    raise SystemExit(main({"forms": run}))
