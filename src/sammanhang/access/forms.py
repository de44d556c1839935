"""Form tokens: a form is taken only from a page of this session, made in the assignment in force.

The token a page carries names the assignment it was made in, so that a page left open in another tab
cannot write in an assignment its reader has since left. Sources: OWASP CSRF Prevention (signed token bound
to the session), BREACH (the secret lies under a mask that is new on every page).
"""

from __future__ import annotations

import base64
import hmac
import secrets
from typing import TYPE_CHECKING

from starlette.requests import Request

from sammanhang.kernel.errors import Conflict, Refused

if TYPE_CHECKING:
    from .sessions import Session


class ForgedForm(Refused):
    """A form was sent without the token of the page it stood on; send it again from the page."""

    def __init__(self) -> None:
        super().__init__(
            "The form was not sent from a page of yours here. Reload the page and try again.",
            "Formuläret skickades inte från din sida här. Ladda om sidan och försök igen.",
            rule="CSRF",
        )


class OtherAssignment(Conflict):
    """The page was made in another assignment than the one in force; nothing was done.

    `assignment` is the id of the page's assignment, empty when it had none.
    """

    def __init__(self, assignment: str) -> None:
        super().__init__(
            "You have switched assignment since the page was opened. Nothing was sent.",
            "Du har bytt uppdrag sedan sidan öppnades. Inget har skickats.",
        )
        self.assignment = assignment


def csrf_token(session: Session, assignment: str | None = None) -> str:
    """The token a form of this session carries, as the field `csrf` or the header `X-CSRF-Token`.

    `assignment` is the id of the assignment the page was made in, None for the one in force. Different
    every time: the secret lies under a random mask, so that a compressed page does not give it away.
    """
    made_in = _in_force(session) if assignment is None else assignment
    mask = secrets.token_bytes(32)
    hidden = _xor(mask, _secret(session, made_in))
    return f"{base64.urlsafe_b64encode(mask + hidden).decode()}.{made_in}"


async def check_csrf(request: Request, session: Session) -> None:
    """Raises `ForgedForm` unless the request carries this session's form token, and `OtherAssignment`
    when it does, from a page made in an assignment that is not the one in force."""
    sent: object = request.headers.get("x-csrf-token")
    if sent is None:
        sent = (await request.form(max_files=0, max_fields=1000)).get("csrf")
    token, _, made_in = sent.partition(".") if isinstance(sent, str) else ("", "", "")
    try:
        raw = base64.urlsafe_b64decode(token)
    except ValueError:
        raw = b""
    if len(raw) != 64 or not hmac.compare_digest(
        _xor(raw[:32], raw[32:]), _secret(session, made_in)
    ):
        raise ForgedForm
    if made_in != _in_force(session):
        raise OtherAssignment(made_in)


def _in_force(session: Session) -> str:
    return session.actor.assignment.id if session.actor.assignment is not None else ""


def _secret(session: Session, assignment: str) -> bytes:
    return hmac.digest(session.secret, assignment.encode("utf-8", "surrogatepass"), "sha256")


def _xor(a: bytes, b: bytes) -> bytes:
    return bytes(x ^ y for x, y in zip(a, b, strict=True))
