"""The door to validation that explains: `explain_bytes` for every fault of bytes, `validate` for profiles.

The fast path (`decode.decode`) comes here only when it found a fault, or something it cannot judge
alone; the two agree on what is valid, and the tests hold them to it.
"""

from __future__ import annotations

from sammanhang.kernel.errors import Issue

from .validation.explaining import explain


def explain_bytes(body: bytes, kind: str | None = None) -> list[Issue]:
    """Every fault of the bytes as a resource, of type `kind` when given; empty when there is none.

    Each issue has a FHIR issue code, the FHIRPath of the faulty element, and a sentence in Swedish and
    English. Code `invalid` means that the bytes are not JSON or not any resource. Never raises.
    """
    return explain(body, kind)
