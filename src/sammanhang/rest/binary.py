"""Binary: any content, given back in its own media type to whoever asks for that."""

from __future__ import annotations

import base64
import re

from sammanhang.fhir.decode import encode, trusted
from sammanhang.fhir.r4 import Binary, Reference

from . import read as reading
from . import write
from .request import JSON_TYPES, Answer, FhirRequest

# RFC 9110 8.3.1. FHIR lets a code hold a line break, which in a header would begin another header.
_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_MEDIA_TYPE = re.compile(rf'{_TOKEN}/{_TOKEN}( ?; ?{_TOKEN}=({_TOKEN}|"[ !#-\[\]-~]*"))*')


async def create(fr: FhirRequest) -> Answer:
    """POST Binary: as a resource when the body is FHIR JSON, else as raw content of its type.

    `X-Security-Context` names the resource whose access rules it follows.
    """
    if await _wrapped(fr):
        fr.headers = fr.headers | {b"content-type": b"application/fhir+json"}
    return await write.create(fr, "Binary")


async def update(fr: FhirRequest, id: str) -> Answer:
    """PUT Binary/id, as `create`."""
    if await _wrapped(fr, id):
        fr.headers = fr.headers | {b"content-type": b"application/fhir+json"}
    return await write.update(fr, "Binary", id)


async def _wrapped(fr: FhirRequest, id: str | None = None) -> bool:
    """Puts raw content in a Binary resource; False when the body is one already."""
    kind = fr.content_type()
    body = await fr.body()
    if kind in ("application/fhir+json", "application/json+fhir") or (
        kind in JSON_TYPES and b'"resourceType"' in body[:400]
    ):
        return False
    if kind == "application/fhir+xml":
        fr.check_json()
    resource = Binary(
        id=id,
        contentType=kind or "application/octet-stream",
        data=base64.b64encode(body).decode() or None,
    )
    context = fr.header(b"x-security-context")
    if context:
        resource.securityContext = Reference(reference=context)
    fr._body = encode(resource)
    return True


async def read(fr: FhirRequest, id: str) -> Answer:
    """GET Binary/id: the content itself, unless FHIR JSON is asked for."""
    accept = (fr.header(b"accept") or "").lower()
    if "fhir+xml" in accept or "_format" in fr.query:
        fr.check_accept()
    answer = await reading.read(fr, "Binary", id)
    wants_resource = (
        not accept
        or "fhir+json" in accept
        or accept in ("application/json", "*/*")
        or ("_format" in fr.query)
    )
    if wants_resource or answer.body is None or answer.status != 200:
        return answer
    resource = trusted(answer.body, "Binary")
    answer.body = base64.b64decode(resource.data or "")
    # never let a browser run or sniff what somebody stored
    answer.headers += [
        (
            b"content-type",
            resource.contentType.encode()
            if _MEDIA_TYPE.fullmatch(resource.contentType or "")
            else b"application/octet-stream",
        ),
        (b"content-disposition", f'attachment; filename="{id}"'.encode()),
        (b"content-security-policy", b"sandbox; default-src 'none'"),
    ]
    return answer
