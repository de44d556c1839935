"""The door to validation that explains: `explain_bytes` for every fault of bytes, `validate` for profiles.

The fast path (`decode.decode`) comes here only when it found a fault, or something it cannot judge
alone; the two agree on what is valid, and the tests hold them to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from sammanhang.kernel.errors import Issue

from .validation.definitions import Definitions
from .validation.explaining import explain, explain_value
from .validation.items import root_item
from .validation.profiles import Validation
from .validation.reading import read, too_deep

__all__ = ["Definitions", "explain_bytes", "validate"]

_shipped = Definitions()
_encoder = msgspec.json.Encoder(decimal_format="number")


def explain_bytes(body: bytes, kind: str | None = None) -> list[Issue]:
    """Every fault of the bytes as a resource, of type `kind` when given; empty when there is none.

    Each issue has a FHIR issue code, the FHIRPath of the faulty element, and a sentence in Swedish and
    English. Code `invalid` means that the bytes are not JSON or not any resource. Never raises.
    """
    return explain(body, kind)


def validate(
    resource: bytes | dict[str, Any],
    profiles: Iterable[str] = (),
    *,
    definitions: Definitions | None = None,
    unknown_extensions: str = "warning",
) -> list[Issue]:
    """Everything there is to say about a resource: its faults, and where it strays from its profiles.

    Asked are its type, the profiles named here, those it and the resources inside it claim in
    `meta.profile`, the definitions of its extensions, and the rules of the specification. An issue
    with severity `error` makes it invalid; an unknown profile is an error when asked for and a
    warning when claimed, both with code `not-found`. `unknown_extensions` is the severity of an
    extension without a known definition. Never raises.
    """
    body = resource if isinstance(resource, bytes) else _encoder.encode(resource)
    value, issues = read(body)
    if issues:
        return issues
    found = explain_value(value)
    if not isinstance(value, dict) or any(i.code in ("invalid", "too-long") for i in found):
        return found
    validation = Validation(definitions or _shipped, unknown_extensions)
    item = root_item(value)
    try:
        validation.base(item)
        for url in profiles:
            validation.claim(item, url, "error")
    except RecursionError:
        found.append(too_deep(item.expression))
    told = {(i.code, i.expression) for i in found}
    more = [i for i in validation.issues if (i.code, i.expression) not in told]
    return list(dict.fromkeys([*found, *more]))
