"""Where the work about messages is done: in the conversation. Worklists lead there."""

from __future__ import annotations

from sammanhang.work import places

from .message import ANSWER, UNREAD


def at_conversation(focus: str, patient: str) -> str:
    """The conversation's page."""
    return f"/patients/{patient}/messages/{places.id_in(focus)}"


for kind in (UNREAD, ANSWER):
    places.register(kind, at_conversation)
