"""Validation that explains: every fault of a resource, where it is and what to do about it.

The fast path (`decode.py`) says yes or no at tens of thousands a second; this package is read when the
answer was no, or when somebody asks about a profile. Its door is `fhir.validator`.

    reading         bytes → JSON values, with the faults JSON itself can have
    shapes          what each type may hold, from the official snapshots
    paths           places as JSON names them → FHIRPath
    primitives      whether a JSON value is a value of a FHIR primitive
    walking         every fault of a resource against its type, and a copy with the faulty parts mended
    explaining      bytes → all faults: reading, walking, and the generated second pass on that copy

    items           a value in a resource with its place, its FHIR type and what it may refer to
    elements        a profile's snapshot as a tree of elements and slices
    definitions     StructureDefinitions, value sets and code systems: shipped, and added at run time
    expansion       the members of value sets added at run time
    profiles        a resource against its types and profiles: the checks, and the two ways through
    slicing         which slice an item belongs to
    values          fixed, pattern, minimum and maximum
    bindings        codes against value sets
    extensions      extensions against their definitions
    rules           what the specification says in words, beyond types and invariants
    path_functions  FHIRPath functions that fhirpathpy lacks
"""
