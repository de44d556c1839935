"""What every answer carries that tells a browser what it may do with it, and what no request may be.

Sources: OWASP ASVS 5.0.0 chapters V3, V4 and V14; RFC 9110 5.3 (repeated fields), 7.2 (Host); RFC 6797
(HSTS); CSP Level 3.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from sammanhang.access.security import HSTS, Headers
from sammanhang.kernel.errors import TooLarge

# No inline script and no inline style, in the pages or added to them: what is shown cannot run.
CSP = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self';"
    " connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'none'"
)
HEADERS: Headers = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    # What a page showed must not be found in the browser after log-out.
    (b"cache-control", b"no-store"),
)
# Fields that say one thing: two of them, and two readers may each believe another (RFC 9110 5.3).
ONCE = frozenset({b"host", b"authorization", b"content-type", b"x-csrf-token"})


def with_forms_to(*elsewhere: str) -> str:
    """The policy for a page whose form's answer may lead to these origins or schemes: a browser holds
    `form-action` against the addresses a form is redirected to."""
    return CSP.replace("form-action 'self'", " ".join(["form-action 'self'", *elsewhere]))


@cache
def page_headers(https: bool, *places: str) -> Headers:
    """The headers of every page, whose forms may lead here and to `places` (origins).

    Where people come by `https`, browsers are told never to use anything else.
    """
    found = ((b"content-security-policy", with_forms_to(*places).encode()), *HEADERS)
    return (*found, HSTS) if https else found


def adding(headers: Headers, send: Send) -> Send:
    """A `send` that adds the headers an answer does not set itself."""

    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = list(message.get("headers", []))
            have = {name.lower() for name, _ in own}
            message["headers"] = own + [(n, v) for n, v in headers if n not in have]
        await send(message)

    return with_headers


def ambiguous(scope: Scope) -> bool:
    """Whether a field that says one thing stands twice in the request."""
    seen = set()
    for name, _ in scope["headers"]:
        if name in ONCE:
            if name in seen:
                return True
            seen.add(name)
    return False


async def refuse_ambiguous(scope: Scope, receive: Receive, send: Send) -> None:
    """The answer to such a request: said, and nothing done."""
    text = "A header that may stand once stands twice in the request."
    await PlainTextResponse(text, 400)(scope, receive, send)


def most_bytes(scope: Scope, settings: Any) -> int:
    """The largest body a page takes: more where files may come with it, which `web.routing` decides."""
    kind = next((v for n, v in scope["headers"] if n == b"content-type"), b"")
    if kind.lower().startswith(b"multipart/form-data"):
        return max(settings.max_form_bytes, settings.max_upload_bytes)
    return int(settings.max_form_bytes)


def bounded(scope: Scope, receive: Receive, most: int) -> Receive:
    """A `receive` that raises `TooLarge` for a body over `most` bytes, announced or not."""
    announced = next((v for n, v in scope["headers"] if n == b"content-length"), b"")
    size = [int(announced) if announced.isdigit() and len(announced) < 20 else 0]
    if size[0] <= most:
        size[0] = 0

    async def limited() -> Any:
        message = await receive() if size[0] <= most else {"type": "http.disconnect"}
        size[0] += len(message.get("body", b""))
        if size[0] > most:
            raise TooLarge(f"The form is over {most} bytes.", f"Formuläret är över {most} byte.")
        return message

    return limited
