"""One HTTP message to a registered receiver, bounded in time and size, and what came of it.

An address somebody else chose is a way into our own network (SSRF): outside the demo only https to hosts the
operator has named (SAMMANHANG_SUBSCRIBER_HOSTS) is spoken to, no redirect is followed, and of the answer only its
status and beginning are kept, for the operator's eyes.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from sammanhang.access.clients_registration import LOOPBACK, address_fault
from sammanhang.kernel.content import content
from sammanhang.kernel.settings import Settings

Http = httpx.AsyncClient


@dataclass(frozen=True, slots=True)
class Receipt:
    """What came of a message: taken or not, gone for good or not, and what was said."""

    ok: bool
    gone: bool
    said: str


def fault_of(url: str, settings: Settings) -> tuple[str, str] | None:
    """What keeps an address from being sent to, in Swedish and English; None when nothing does."""
    why = address_fault(url)
    if why is not None:
        return why
    host = (urlsplit(url).hostname or "").lower()
    named = [h.strip().lower() for h in settings.subscriber_hosts.split(",") if h.strip()]
    if any(host == h or (h.startswith("*.") and host.endswith(h[1:])) for h in named):
        return None
    if settings.demo and (host in LOOPBACK or not named):
        return None
    return (
        f"{host} är ingen av de värdar som driften har öppnat för.",
        f"{host} is none of the hosts the operator has opened for.",
    )


def client() -> httpx.AsyncClient:
    """The HTTP client messages go by."""
    return httpx.AsyncClient(
        follow_redirects=False,
        headers={"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "Sammanhang"},
        timeout=None,  # each message has its own
        limits=httpx.Limits(max_connections=500, max_keepalive_connections=100),
    )


async def post(
    http: httpx.AsyncClient, url: str, headers: list[tuple[str, str]], body: bytes, seconds: float
) -> Receipt:
    """Sends a message and waits for the answer's status; never raises for what the receiver does."""
    rules = content("rules/delivery")
    try:
        async with (
            asyncio.timeout(seconds),
            http.stream("POST", url, headers=headers, content=body) as answer,
        ):
            beginning = b""
            async for chunk in answer.aiter_raw():
                beginning += chunk
                if len(beginning) > rules["largest_answer_bytes"]:
                    break
    except TimeoutError:
        return Receipt(False, False, f"no answer within {seconds:g} s")
    except httpx.ConnectError as e:
        return Receipt(False, False, _untrusted(e) or "cannot be reached")
    except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError) as e:
        return Receipt(False, False, f"the connection broke ({type(e).__name__})")
    status = answer.status_code
    said = f"HTTP {status}"
    if answer.is_redirect:
        return Receipt(False, False, f"{said}: redirects are not followed")
    if answer.is_success:
        return Receipt(True, False, said)
    words = beginning.decode("utf-8", "replace")[: rules["answer_kept_characters"]]
    words = " ".join("".join(c if c.isprintable() else " " for c in words).split())
    return Receipt(False, status in rules["gone"], f"{said}: {words}" if words else said)


def _untrusted(e: BaseException) -> str | None:
    """That the receiver's certificate is not right, when that is why."""
    one: BaseException | None = e
    while one is not None:
        if isinstance(one, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({one.verify_message})"
        one = one.__cause__ or one.__context__
    return None
