"""The generated models are what the generator makes of the official definitions, byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from sammanhang.fhir.generate.__main__ import TARGET, main

DEFINITIONS = Path(__file__).parents[2] / "node_modules" / "hl7.fhir.r4.examples"


@pytest.mark.slow
def test_the_committed_models_are_what_the_generator_makes(tmp_path: Path) -> None:
    if not DEFINITIONS.exists():
        pytest.skip("the official definitions (npm hl7.fhir.r4.examples) are not installed")
    made = tmp_path / "r4"
    main(DEFINITIONS, made)
    names = sorted(p.name for p in made.iterdir())
    assert names == sorted(p.name for p in TARGET.iterdir() if p.is_file())
    for name in names:
        assert (made / name).read_bytes() == (TARGET / name).read_bytes(), name
