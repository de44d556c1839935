"""PKCE (RFC 7636): that who fetches the tokens is who asked for the code. S256 only."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re

CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


def s256(verifier: str) -> str:
    """The challenge of a verifier (RFC 7636 4.2)."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def right_verifier(verifier: str, challenge: str) -> bool:
    """Whether a verifier is well-formed and the one of this challenge."""
    return VERIFIER.fullmatch(verifier) is not None and hmac.compare_digest(
        s256(verifier), challenge
    )
