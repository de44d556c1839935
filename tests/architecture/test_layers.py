"""The house rules that can be read off the source: who may import whom, and where SQL stands."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "sammanhang"

# A package may import those before it in its row, and nothing else of ours.
BELOW: dict[str, set[str]] = {
    "kernel": set(),
    "fhir": {"kernel"},
    "terminology": {"kernel", "fhir"},
    "store": {"kernel", "fhir", "terminology"},
    "access": {"kernel", "fhir", "terminology", "store"},
    "work": {"kernel", "fhir", "terminology", "store", "access"},
    "web": {"kernel", "fhir", "terminology", "store", "access", "work"},
    "forms": {"kernel", "fhir", "terminology", "store", "access", "work", "web"},
    "care": {"kernel", "fhir", "terminology", "store", "access", "work", "web", "forms"},
    # a resident's view stands on the capabilities: what staff do in care is what it tells in plain words
    "portal": {"kernel", "fhir", "terminology", "store", "access", "work", "web", "forms", "care"},
    "rest": {"kernel", "fhir", "terminology", "store", "access", "work", "forms"},
    "exchange": {"kernel", "fhir", "terminology", "store", "access", "work"},
    "insight": {"kernel", "fhir", "terminology", "store", "access"},
    "region": {"kernel", "fhir", "terminology", "store"},
}
# Where everything is put together, or started: these may know all.
COMPOSITION = {"web/app.py", "web/testing.py", "cli.py"}
TOP = {"operate"}
# Clinical tables: only the store, the door and what serves them may name these in SQL.
CLINICAL = ("store.resource", "store.observation", "store.patient", "store.history", "store.other")
MAY_SPEAK_SQL = {"store", "access", "region", "operate"}


def modules() -> list[Path]:
    return [
        p
        for p in sorted(SOURCE.rglob("*.py"))
        if "tests" not in p.parts and "r4" not in p.parts and p.name != "__init__.py"
    ]


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
    return {m.split(".")[1] for m in found if m.startswith("sammanhang.")}


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_a_module_imports_only_what_lies_below_it(path: Path) -> None:
    relative = str(path.relative_to(SOURCE))
    package = path.relative_to(SOURCE).parts[0]
    if relative in COMPOSITION or package in TOP:
        return
    above = imports(path) - BELOW[package] - {package}
    assert not above, f"{relative} imports {sorted(above)}, which lie above it"


def test_capabilities_under_care_do_not_know_each_other() -> None:
    for path in (SOURCE / "care").rglob("*.py"):
        own = path.relative_to(SOURCE / "care").parts[0]
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
                "sammanhang.care."
            ):
                assert (node.module or "").split(".")[2] == own, path


@pytest.mark.asvs("v5.0.0-1.2.4", "v5.0.0-8.3.1")
def test_only_the_store_and_the_door_name_clinical_tables() -> None:
    guilty = []
    for path in modules():
        package = path.relative_to(SOURCE).parts[0]
        if package in MAY_SPEAK_SQL:
            continue
        text = path.read_text("utf-8")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                sql = node.value
                if any(t in sql for t in CLINICAL) and (
                    "SELECT" in sql or "INSERT" in sql or "UPDATE" in sql
                ):
                    guilty.append(f"{path.relative_to(SOURCE)}:{node.lineno}")
    assert guilty == []


def test_every_page_declares_who_may_see_it() -> None:
    from sammanhang.web.routing import ACCESS, REGISTRY, routes

    assert routes()
    for route in REGISTRY:
        assert route.access in ACCESS, route


def test_modules_fit_in_a_head() -> None:
    long = {
        str(p.relative_to(SOURCE)): n
        for p in modules()
        if (n := len(p.read_text("utf-8").splitlines())) > 500
    }
    assert long == {}
