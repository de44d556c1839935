"""Who acts: a person in an assignment, a resident, an API client, or the system itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Literal

Kind = Literal["staff", "resident", "client", "system"]


@dataclass(frozen=True, slots=True)
class Assignment:
    """A staff assignment (medarbetaruppdrag): person, unit, role, purpose; a `PractitionerRole`.

    `unit` and `provider` are HSA-ids; `provider` is the legal care provider (vårdgivare) the unit
    belongs to. `role` is a code of our role system, e.g. `sjukskoterska`.
    """

    id: str
    role: str
    role_text: str
    unit: str
    unit_name: str
    provider: str
    provider_name: str
    purpose: str = "vård och behandling"


@dataclass(frozen=True, slots=True)
class App:
    """The app a person acts through: the client's id, the id of what they granted to it, and the id of
    the patient it was launched with, to whose record its `patient/` scopes are confined."""

    id: str
    grant: str
    patient: str | None = None


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody who asks.

    id          `Practitioner/…`, `Patient/…`, `client:…` or `system:…`, as the trace writes it
    loa         level of assurance of the log-in: 3 for a smart card, 2 for less; 0 without a person
    everything  a client or system trusted with the whole record (the demo client, bulk load)
    scopes      OAuth scopes of an API client's or an app's token
    provider    HSA-id of the care provider an API client acts for
    purpose     what an API client wants the data for: a key of content/rules/secondary_use
    decided     until when a decision lets an API client have data for its purpose (R40); None without one
    app         the app a person acts through; None when they act themselves
    """

    kind: Kind
    id: str
    name: str = ""
    loa: int = 0
    assignment: Assignment | None = None
    everything: bool = False
    scopes: frozenset[str] = field(default_factory=frozenset)
    provider: str | None = None
    purpose: str = "care"
    decided: date | None = None
    app: App | None = None


SYSTEM = Actor("system", "system:sammanhang", "Sammanhang", everything=True)
