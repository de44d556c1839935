"""What can go wrong with a care request, one true sentence each."""

from __future__ import annotations

from sammanhang.kernel.errors import Conflict, Invalid, NotFound, Refused


class NoSuchRequest(NotFound):
    """The care request is not there, or is not for you."""

    def __init__(self) -> None:
        super().__init__("There is no such care request.", "Vårdbegäran finns inte.")


class NotNow(Conflict):
    """What was asked for is not possible in the state the request is in."""

    def __init__(self, verb: str, state: str) -> None:
        super().__init__(
            f"'{verb}' is not possible when a care request is '{state}'. Somebody may have been there before you.",
            "Det går inte i det läge begäran är nu. Någon kan ha hunnit före.",
        )


class Incomplete(Invalid):
    """Something that a request must have is missing; `faults` says what, field by field."""

    def __init__(self, faults: dict[str, str]) -> None:
        super().__init__(
            "Something is missing: " + " ".join(faults.values()),
            "Något saknas: " + " ".join(faults.values()),
        )
        self.faults = faults


class BadTime(Invalid):
    """The time of a visit cannot be read, or has passed."""

    def __init__(self) -> None:
        super().__init__(
            "Write the day as 2026-11-24 and the time as 10:00, from now and two years ahead.",
            "Skriv dagen som 2026-11-24 och tiden som 10:00, från nu och högst två år fram.",
        )


class OtherPatient(Invalid):
    """A draft belongs to its patient and cannot be sent for another."""

    def __init__(self) -> None:
        super().__init__(
            "The draft belongs to another patient.", "Utkastet hör till en annan patient."
        )


class AlreadySent(Conflict):
    """The request was sent before this came, from another page; what is written here was not sent."""

    def __init__(self) -> None:
        super().__init__(
            "The request has been sent already, from another page. What you have written here was not sent.",
            "Begäran är redan skickad, från en annan sida. Det du har skrivit här skickades inte.",
        )


class NotYourRole(Refused):
    """The decision belongs to a colleague with another role (content/requests/roles)."""

    def __init__(self) -> None:
        super().__init__(
            "Your role does not make this decision. Ask a colleague at the unit; a draft can be saved for them.",
            "Din roll fattar inte det beslutet. Be en kollega på enheten; ett utkast kan sparas åt dem.",
            rule="R2",
        )


class NoReceiver(Invalid):
    """No unit was chosen to send it on to, or it was the unit's own."""

    def __init__(self) -> None:
        super().__init__(
            "Choose another unit than your own to send it on to.",
            "Välj en annan enhet än den egna att skicka vidare till.",
        )


class NoGround(Invalid):
    """It is to leave the care provider it was sent to, and on what ground is not said."""

    def __init__(self, unit: str) -> None:
        super().__init__(
            f"Choose the ground on which it is given to {unit}: that is another care provider than it was sent to.",
            f"Välj på vilken grund begäran lämnas till {unit}, som är en annan vårdgivare än den skickades till.",
        )


class VisitToCome(Conflict):
    """A visit that is booked on a later day has not been made."""

    def __init__(self) -> None:
        super().__init__(
            "The visit is booked on a later day. Change its time, or cancel it.",
            "Besöket är bokat en senare dag. Ändra tiden, eller ställ in det.",
        )


class SentBefore(Conflict):
    """The very same was sent a while ago and is still open; `id` of that request."""

    def __init__(self, id: str) -> None:
        super().__init__(
            "The same request has been sent already and is open. Send it again if you mean it.",
            "Samma begäran är redan skickad och pågår. Skicka en gång till om du menar det.",
        )
        self.id = id


class NoSuchList(NotFound):
    """Roles without record rights have no lists of care requests."""

    def __init__(self) -> None:
        super().__init__("There is no such page.", "Sidan finns inte.")


class NotYourFigures(Refused):
    """Figures are for who works with statistics, and for a unit's heads."""

    def __init__(self) -> None:
        super().__init__(
            "Only who works with statistics, and heads of the unit, see these figures.",
            "Bara den som arbetar med statistik, och enhetens ansvariga, ser de här siffrorna.",
            rule="R38",
        )
