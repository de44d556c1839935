"""What is installed is locked, named with its reason, and tied to no registry."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
REQUIREMENTS = ROOT / "requirements"


def wanted(name: str) -> list[str]:
    lines = (REQUIREMENTS / name).read_text(encoding="utf-8").split("\n")
    return [re.split(r"[\[<>=~ ]", line)[0] for line in lines if line and line[0] not in "-#"]


def locked(name: str) -> str:
    return (REQUIREMENTS / name).read_text(encoding="utf-8")


@pytest.mark.asvs("v5.0.0-15.1.2")
@pytest.mark.parametrize("name", ["base", "dev", "bootstrap", "node"])
def test_every_requirement_is_locked_with_hashes(name: str) -> None:
    lock = locked(f"{name}.txt")
    for package in wanted(f"{name}.in"):
        assert re.search(rf"^{re.escape(package)}(\[[^]]*\])?==", lock, re.MULTILINE), package
    for requirement in re.split(r"^(?=[a-z])", lock, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in requirement, requirement


def test_tests_run_on_the_versions_that_the_server_runs_on() -> None:
    pins = re.compile(r"^(\S+==\S+)", re.MULTILINE)
    assert set(pins.findall(locked("base.txt"))) <= set(pins.findall(locked("dev.txt")))


def test_no_lock_names_a_registry() -> None:
    for path in [*REQUIREMENTS.iterdir(), ROOT / "package.json", ROOT / "package-lock.json"]:
        text = path.read_text(encoding="utf-8")
        assert "--index-url" not in text
        assert '"resolved"' not in text
        assert not re.search(r"https?://(?!github\.com/sponsors/)", text), path


@pytest.mark.asvs("v5.0.0-15.1.2")
def test_npm_packages_are_pinned_exactly() -> None:
    package = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))
    versions = {**package["dependencies"], **package["devDependencies"]}
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in versions.values())
    lock = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))
    for name, version in versions.items():
        assert lock["packages"][f"node_modules/{name}"]["version"] == version
        assert lock["packages"][f"node_modules/{name}"]["integrity"].startswith("sha512-")


@pytest.mark.asvs("v5.0.0-15.1.2")
def test_every_direct_dependency_has_its_reason() -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    named = {row.split(" ")[0] for row in re.findall(r"^\| (\S+.*?) \|", page, re.MULTILINE)}
    package = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))
    python = {line for name in REQUIREMENTS.glob("*.in") for line in wanted(name.name)}
    assert named - {"Package"} == python | {*package["dependencies"], *package["devDependencies"]}
