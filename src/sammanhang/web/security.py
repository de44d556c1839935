"""Headers that every answer of the pages carries: what a browser may do with it."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

# No inline script and no inline style, in the pages or added to them: what is shown cannot run.
CSP = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self';"
    " connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'none'"
)


def with_forms_to(*elsewhere: str) -> str:
    """The policy for a page whose form's answer may lead to these origins or schemes: a browser holds
    `form-action` against the addresses a form is redirected to."""
    return CSP.replace("form-action 'self'", " ".join(["form-action 'self'", *elsewhere]))


HEADERS = {
    b"content-security-policy": CSP.encode(),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"permissions-policy": b"camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    # What a page showed must not be found in the browser after log-out.
    b"cache-control": b"no-store",
}


class SecurityHeaders:
    """Adds the headers an answer does not set itself."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", []))
                have = {name.lower() for name, _ in headers}
                headers += [(n, v) for n, v in HEADERS.items() if n not in have]
                message["headers"] = headers
            await send(message)

        await self.app(scope, receive, with_headers)
