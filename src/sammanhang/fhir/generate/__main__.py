"""`python -m sammanhang.fhir.generate FOLDER`: writes `fhir/r4` from the definitions in FOLDER."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from .checks import Checks
from .definitions import Definitions
from .indexes import Indexes
from .models import HEADER, Codes, class_source
from .tables import write_tables

TARGET = Path(__file__).parent.parent / "r4"


def main(folder: Path, target: Path = TARGET) -> None:
    """Generates the package; `folder` holds the unpacked `hl7.fhir.r4.examples` 4.0.1."""
    d = Definitions(folder)
    codes = Codes(d)
    checks = Checks(d, codes)
    indexes = Indexes(d, codes)
    if target.exists():
        shutil.rmtree(target)
    target.mkdir()

    def structures(owner: str) -> list[str]:
        return [n for n, s in d.structures.items() if s.owner == owner]

    datatypes = [
        n for o in (*[a for a in ("Element", "BackboneElement", "Resource", "DomainResource")], *d.datatypes)
        for n in structures(o)
    ]  # fmt: skip
    ordered = _by_base(d, datatypes)
    source = [
        HEADER.format(doc="FHIR R4 datatypes."),
        "from msgspec import field\n",
        "from ..checking import *  # noqa: F403",
        "from ..checking import Context",
        "from ..primitives import *  # noqa: F403",
        "from ..primitives import FhirStruct, Some",
        "from .codes import *  # noqa: F403\n",
    ]
    for n in ordered:
        source += ["", *class_source(d, d.structures[n], codes), ""]
    functions: list[str] = []
    for n in ordered:
        if n not in ("Resource", "DomainResource"):
            functions += ["", *checks.function(d.structures[n]), ""]
    source += ["", *checks.constants(), "", *functions, "", *checks.take_choices(), ""]
    (target / "datatypes.py").write_text("\n".join(source), "utf-8")

    for name in d.resources:
        members = _by_base(d, structures(name))
        source = [
            HEADER.format(doc=f"FHIR R4 {name}."),
            "from msgspec import field\n",
            "from ..checking import *  # noqa: F403",
            "from ..indexing import slot",
            "from ..primitives import *  # noqa: F403",
            "from ..primitives import FhirStruct, Some",
            "from .codes import *  # noqa: F403",
            "from .datatypes import *  # noqa: F403\n",
        ]
        for n in members:
            source += ["", *class_source(d, d.structures[n], codes), ""]
        functions = []
        for n in members:
            functions += ["", *checks.function(d.structures[n]), ""]
        constants, index = indexes.of(name)
        source += [
            "",
            *checks.constants(),
            *constants,
            "",
            *functions,
            "",
            *checks.take_choices(),
            "",
            *index,
            "",
        ]
        (target / f"{name.lower()}.py").write_text("\n".join(source), "utf-8")
    (target / "codes.py").write_text(codes.module(), "utf-8")
    (target / "__init__.py").write_text(_package({n: structures(n) for n in d.resources}), "utf-8")
    write_tables(d, indexes, target)
    print(
        f"{len(d.resources)} resource types, {len(d.datatypes)} datatypes, {len(d.structures)} classes"
    )
    print(
        f"invariants left to fhirpathpy: {len(checks.fallback)}: {', '.join(sorted(checks.fallback))}"
    )
    print(
        f"search parameters not offered: {len(set(indexes.refused))}: {sorted(set(indexes.refused))}"
    )


def _by_base(d: Definitions, names: list[str]) -> list[str]:
    """The same names, base classes first."""
    out: list[str] = []

    def add(name: str) -> None:
        base = d.structures[name].base
        if base in names and base not in out:
            add(base)
        if name not in out:
            out.append(name)

    for n in names:
        add(n)
    return out


def _package(owned: dict[str, list[str]]) -> str:
    resources = list(owned)
    lines = [
        HEADER.format(doc="FHIR R4 models, checks and index functions."),
        "from __future__ import annotations\n",
        "import sys",
        "from typing import Any, Union\n",
        "from . import datatypes",
        "from .datatypes import *  # noqa: F403",
    ]
    for n, members in owned.items():
        lines += [f"from .{n.lower()} import ("]
        lines += [f"    {m}," for m in sorted([*members, f"check_{n}", f"index_{n}"])] + [")"]
    lines += ["", "AnyResource = Union["] + [f"    {n}," for n in resources] + ["]", ""]
    lines += ["CLASSES: dict[str, Any] = {"] + [f'    "{n}": {n},' for n in resources] + ["}"]
    lines += ["CHECKS: dict[str, Any] = {"] + [f'    "{n}": check_{n},' for n in resources] + ["}"]
    lines += (
        ["INDEXERS: dict[str, Any] = {"] + [f'    "{n}": index_{n},' for n in resources] + ["}"]
    )
    lines += [
        "TYPE_NAMES = frozenset(CLASSES)",
        "for _name in [datatypes.__name__, *(c.__module__ for c in CLASSES.values())]:",
        "    sys.modules[_name].AnyResource = AnyResource  # type: ignore[attr-defined]",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m sammanhang.fhir.generate FOLDER  (the unpacked definitions)")
    main(Path(sys.argv[1]))
