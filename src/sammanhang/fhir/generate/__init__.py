"""Writes `fhir/r4` from the official FHIR R4 definitions (npm `hl7.fhir.r4.examples` 4.0.1, CC0).

Run with `make generate` or `python -m sammanhang.fhir.generate FOLDER`; the same definitions give
the same bytes. The parts:

    definitions   reads StructureDefinitions, value sets, search parameters and compartments
    models        typed `msgspec.Struct` classes
    invariants    FHIRPath invariants → Python expressions on those classes
    checks        the second pass: what types cannot say
    indexes       search-parameter expressions → functions that extract search values
    tables        the compact definitions kept for the profile validator and the search compiler
"""
