"""What a Subscription asks for, read out of the resource and checked element by element.

HL7 Subscriptions R5 Backport STU 1.1, profile backport-subscription on R4: `criteria` is the topic, its extensions
are the filters, `channel.payload` has the level of content. What this server does not do is refused in words that
name the element, rather than taken and not followed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sammanhang.fhir.dates import bounds
from sammanhang.kernel.content import content
from sammanhang.kernel.errors import Invalid, Issue
from sammanhang.kernel.settings import Settings
from sammanhang.work.posting import fault_of

from .topics import BadFilter, Topic, filter_of, topics

IG = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
PROFILE = IG + "backport-subscription"
FILTER, CONTENT, BEAT, TIMEOUT, COUNT = (
    IG + name for name in (
        "backport-filter-criteria", "backport-payload-content", "backport-heartbeat-period", "backport-timeout",
        "backport-max-count",
    )
)  # fmt: skip
LEVELS = ("empty", "id-only", "full-resource")
PAYLOADS = ("application/fhir+json", "application/json")
HIDDEN = "********"
"""What stands in a stored Subscription in place of a header's value: the value is a secret between two systems."""
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}): ?([\x20-\x7e]{0,4000})")
# Set by the message itself or by HTTP; a subscriber may not speak for them.
_OURS = frozenset(
    [
        "host",
        "connection",
        "content-length",
        "content-type",
        "content-encoding",
        "transfer-encoding",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "idempotency-key",
        "sammanhang-events",
        "accept-encoding",
        "keep-alive",
        "proxy-authorization",
    ]
)
MOST_HEADERS, MOST_FILTERS = 20, 20


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a subscription asks for.

    topic, filters  what it is told of; `content` how much
    url, headers    where to (`Name: value`)
    beat            seconds of silence until a heartbeat; None without
    seconds, most   how long an answer may take, and how many events a notification may hold
    ends            when it is over; None never
    off             whether it is to be stopped
    """

    topic: Topic
    filters: tuple[str, ...]
    content: str
    url: str
    headers: tuple[str, ...]
    beat: int | None
    seconds: int
    most: int
    ends: datetime | None
    off: bool

    def with_headers(self, headers: list[str]) -> Wanted:
        """The same with the real values of its headers."""
        return replace(self, headers=tuple(headers))


class _Faults:
    def __init__(self) -> None:
        self.issues: list[Issue] = []

    def add(self, element: str, sv: str, en: str, code: str = "value") -> None:
        self.issues.append(Issue(code, f"Subscription.{element}", sv, en))


def wanted(resource: Any, settings: Settings, base: str) -> Wanted:
    """What a Subscription asks for. Raises `BadSubscription` with every fault and the element it stands in.

    `base` is the FHIR base with its slash.
    """
    faults = _Faults()
    rules = content("rules/delivery")
    channel = resource.channel
    topic = _topic(resource, faults)
    filters = _filters(resource, topic, base, faults)
    if resource.status == "error":
        faults.add("status", "”error” sätts bara av servern; skriv requested eller off.",
                   "'error' is set by the server only; write requested or off.")  # fmt: skip
    if channel.type not in rules["channels"]:
        offered = ", ".join(rules["channels"])
        faults.add("channel.type", f"Kanalen {channel.type} finns inte här; använd {offered}.",
                   f"The channel {channel.type} is not offered; use {offered}.", "not-supported")  # fmt: skip
    _endpoint(channel, settings, faults)
    _headers(channel, faults)
    if channel.payload not in PAYLOADS:
        faults.add("channel.payload", f"Ska vara {PAYLOADS[0]}.", f"Must be {PAYLOADS[0]}.")
    level = _extension(channel._payload, CONTENT, "valueCode")
    if level not in LEVELS:
        faults.add("channel.payload.extension", f"Tillägget {CONTENT} ska säga {', '.join(LEVELS)}.",
                   f"The extension {CONTENT} must say one of {', '.join(LEVELS)}.", "required" if level is None else "value")  # fmt: skip
    beat = _bounded(channel, BEAT, "valueUnsignedInt", rules["heartbeat_seconds"], faults) or None
    seconds = _bounded(channel, TIMEOUT, "valueUnsignedInt", rules["answer_seconds"], faults)
    most = _bounded(
        channel, COUNT, "valuePositiveInt", {"least": 1, **rules["events_in_one"]}, faults
    )
    if faults.issues:
        raise BadSubscription(faults.issues)
    assert topic is not None and seconds is not None and most is not None
    return Wanted(
        topic, filters, level, channel.endpoint, tuple(channel.header or ()), beat, seconds, most,
        bounds(resource.end)[0] if resource.end else None, resource.status == "off",
    )  # fmt: skip


class BadSubscription(Invalid):
    """The subscription asks for what cannot be done here; each issue names the element and says why."""

    status = 422
    code = "processing"

    def __init__(self, issues: list[Issue]) -> None:
        super().__init__(issues[0].en, issues[0].sv, issues=tuple(issues))


def _topic(resource: Any, faults: _Faults) -> Topic | None:
    known = topics()
    topic = known.get(resource.criteria or "")
    if topic is None:
        offered = ", ".join(known)
        faults.add("criteria", f"Ska vara ett ämne som finns: {offered}.", f"Must be a topic that is offered: {offered}.")  # fmt: skip
    return topic


def _filters(resource: Any, topic: Topic | None, base: str, faults: _Faults) -> tuple[str, ...]:
    found = []
    for e in (resource._criteria.extension if resource._criteria is not None else None) or ():
        if e.url != FILTER:
            continue
        text = e.valueString or ""
        try:
            if topic is not None:
                filter_of(text, topic, base)
        except (BadFilter, Invalid) as bad:
            faults.add("criteria.extension", bad.sv, bad.en)
        found.append(text)
    if len(found) > MOST_FILTERS:
        faults.add("criteria.extension", f"Högst {MOST_FILTERS} filter.", f"At most {MOST_FILTERS} filters.")  # fmt: skip
    return tuple(found)


def _endpoint(channel: Any, settings: Settings, faults: _Faults) -> None:
    if not channel.endpoint:
        faults.add("channel.endpoint", "Adressen saknas.", "The address is missing.", "required")
        return
    why = fault_of(channel.endpoint, settings)
    if why is not None:
        faults.add("channel.endpoint", f"Adressen {why[0]}", f"The address {why[1]}")


def _headers(channel: Any, faults: _Faults) -> None:
    headers = channel.header or []
    if len(headers) > MOST_HEADERS:
        faults.add("channel.header", f"Högst {MOST_HEADERS} rubriker.", f"At most {MOST_HEADERS} headers.")  # fmt: skip
    for place, text in enumerate(headers):
        found = _HEADER.fullmatch(text or "")
        if found is None:
            faults.add(f"channel.header[{place}]", "Skrivs Namn: värde.", "Written Name: value.")
        elif found[1].lower() in _OURS:
            faults.add(f"channel.header[{place}]", f"{found[1]} sätts av servern.", f"{found[1]} is set by the server.")  # fmt: skip


def _bounded(
    channel: Any, url: str, name: str, limits: dict[str, int], faults: _Faults
) -> int | None:
    """A number in an extension of the channel, within limits of content; its default, if any, when absent."""
    value: int | None = _extension(channel, url, name)
    if value is None:
        if any(e.url == url for e in channel.extension or ()):
            faults.add("channel.extension", f"{url} ska ha {name}.", f"{url} must have {name}.")
        return limits.get("default")
    if not limits["least"] <= value <= limits["most"]:
        span = f"{limits['least']}–{limits['most']}"
        faults.add("channel.extension", f"{url}: {span} går att välja.", f"{url}: choose within {span}.")  # fmt: skip
    return value


def _extension(element: Any, url: str, name: str) -> Any:
    for e in (element.extension if element is not None else None) or ():
        if e.url == url:
            return getattr(e, name)
    return None


def hidden(headers: tuple[str, ...]) -> list[str]:
    """The headers as they are stored with the resource: their values are a secret."""
    return [f"{h.partition(':')[0]}: {HIDDEN}" for h in headers]


def real(headers: tuple[str, ...], before: list[str]) -> list[str]:
    """The headers with the values they had before where a client sends back what it has read."""
    known = {h.partition(":")[0].lower(): h for h in before}
    return [
        known.get(name.lower(), f"{name}: ")
        if value.strip() == HIDDEN
        else f"{name}: {value.strip()}"
        for name, _, value in (h.partition(":") for h in headers)
    ]
