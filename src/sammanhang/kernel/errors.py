"""The whole error tree, one sentence each.

Every error a person or a client can meet is one of these categories; the FHIR API and the pages
turn a category into a status code in one place each (`rest.outcome`, `web.errors`).

    SammanhangError
    ├── Invalid            what was sent is wrong; `issues` says what and where     400 / 422
    ├── Unauthenticated    nobody is logged in, or the token is not valid           401
    ├── Refused            the law says no; `rule` names which one                  403
    │   └── TooMany        more than is allowed in so short a time; wait                429
    ├── NotFound           absent, or hidden so that it looks absent                404
    ├── Gone               it existed and was deleted                               410
    ├── Conflict           somebody else changed it first, or it already exists     409 / 412
    ├── Unsupported        asked for something this server does not do              400 / 405 / 406 / 415 / 501
    ├── TooLarge           over a documented limit                                  413
    ├── TooCostly          the question took longer than its limit                  403 (FHIR: too-costly)
    └── Unavailable        a part this depends on is down; try again                503
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Issue:
    """One fault: the row of a FHIR OperationOutcome.

    `code` is a FHIR R4 issue-type code, `expression` a FHIRPath to the faulty element,
    `sv` and `en` the same sentence for a person, in Swedish and in English.
    """

    code: str
    expression: str
    sv: str
    en: str
    severity: str = "error"


class SammanhangError(Exception):
    """Something a person or a client must be told; the message is one true sentence."""

    status = 500
    code = "exception"

    def __init__(self, en: str, sv: str | None = None, *, issues: tuple[Issue, ...] = ()) -> None:
        super().__init__(en)
        self.en = en
        self.sv = sv or en
        self.issues = issues


class Invalid(SammanhangError):
    """What was sent is wrong; each issue says what and where."""

    status = 400
    code = "invalid"


class Unprocessable(Invalid):
    """Well-formed, but breaks a rule of the resource, its profile or the record."""

    status = 422
    code = "processing"


class TextMissing(Invalid):
    """Something must be written."""

    def __init__(self) -> None:
        super().__init__("Write something first.", "Skriv något först.")


class TextTooLong(Invalid):
    """The text is longer than what it is written in holds; `most` in characters."""

    def __init__(self, most: int) -> None:
        super().__init__(
            f"The text is longer than {most} characters.", f"Texten är längre än {most} tecken."
        )


class Unauthenticated(SammanhangError):
    """Nobody is logged in, or the token is missing, forged or expired."""

    status = 401
    code = "login"


class Refused(SammanhangError):
    """The law at the door says no; `rule` is the id of the rule, `what_now` the lawful way forward."""

    status = 403
    code = "forbidden"

    def __init__(
        self, en: str, sv: str | None = None, *, rule: str, what_now: str | None = None
    ) -> None:
        super().__init__(en, sv)
        self.rule = rule
        self.what_now = what_now


class TooMany(Refused):
    """More than is allowed in so short a time; `retry_after` is how many seconds to wait."""

    status = 429
    code = "throttled"

    def __init__(self, en: str, sv: str | None = None, *, rule: str, retry_after: int) -> None:
        super().__init__(en, sv, rule=rule)
        self.retry_after = retry_after


class NotFound(SammanhangError):
    """It is not there, or may not be known to be there: both look the same."""

    status = 404
    code = "not-found"


class Gone(SammanhangError):
    """It existed and was deleted."""

    status = 410
    code = "deleted"


class Conflict(SammanhangError):
    """Somebody else changed it first, or it already exists."""

    status = 409
    code = "conflict"


class PreconditionFailed(Conflict):
    """The version named in If-Match is no longer the current one, or several matched."""

    status = 412
    code = "conflict"


class Unsupported(SammanhangError):
    """The request asks for something this server does not do, and says so."""

    status = 400
    code = "not-supported"

    def __init__(
        self, en: str, sv: str | None = None, *, status: int = 400, allow: str | None = None
    ) -> None:
        """`allow` names the methods that are offered instead, for a 405 (RFC 9110 15.5.6)."""
        super().__init__(en, sv)
        self.status = status
        self.allow = allow


class TooLarge(SammanhangError):
    """Over a documented limit of size, depth or count."""

    status = 413
    code = "too-long"


class TooCostly(SammanhangError):
    """The question took longer than its time limit; nothing was left half done."""

    status = 403
    code = "too-costly"


class Unavailable(SammanhangError):
    """A part this depends on (the database) is not answering; try again."""

    status = 503
    code = "transient"
