"""OAuth 2.0 errors and forms, alike at the built-in provider and at the API's token endpoint."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request
from starlette.responses import Response

LARGEST_FORM = 16 * 1024
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class OAuthError(Exception):
    """A refusal in the words of RFC 6749 5.2: a code a program knows and a sentence for a person."""

    def __init__(
        self,
        code: str,
        description: str,
        *,
        status: int = 400,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.status = status
        self.headers = headers or {}

    def response(self) -> Response:
        """The refusal as it is sent."""
        body = {"error": self.code, "error_description": self.description}
        return json_response(body, self.status, {**NO_STORE, **self.headers})


def json_response(
    body: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """A JSON answer; `headers` None means it may not be stored."""
    return Response(
        msgspec.json.encode(body),
        status,
        NO_STORE if headers is None else headers,
        media_type="application/json",
    )


async def form_of(request: Request) -> dict[str, str]:
    """The form of a request to a token endpoint; empty values count as not sent (RFC 6749 3.2).

    Raises `OAuthError` for another media type, more than 16 KB, a repeated parameter, or bytes that
    are not text.
    """
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != (
        "application/x-www-form-urlencoded"
    ):
        raise OAuthError("invalid_request", "Send application/x-www-form-urlencoded.")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_FORM:
            raise OAuthError("invalid_request", "The request is too large.", status=413)
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=50
        )
    except ValueError:
        raise OAuthError("invalid_request", "The form cannot be read.") from None
    names = [name for name, _ in pairs]
    if len(names) != len(set(names)):
        raise OAuthError("invalid_request", "A parameter is repeated.")
    if any("\0" in text for pair in pairs for text in pair):
        raise OAuthError("invalid_request", "The form cannot be read.")
    return {name: value for name, value in pairs if value}
