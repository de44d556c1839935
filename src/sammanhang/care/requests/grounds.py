"""On what ground a request is given to another care provider: the patient's yes, or one of the law's
(content/rules/disclosure; OSL 25:11-13, PDL, lag 2017:612)."""

from __future__ import annotations

from sammanhang.kernel.content import content
from sammanhang.kernel.i18n import _, either

CONSENTED = "samtycke"


def known(code: str) -> bool:
    """Whether it is a ground."""
    return code == CONSENTED or code in content("rules/disclosure")["grounds"]


def said(code: str) -> str:
    """The ground in words; empty for what is none."""
    if code == CONSENTED:
        return _("Patienten samtycker till att begäran skickas")
    row = content("rules/disclosure")["grounds"].get(code)
    return either(row["sv"], row["en"]) if row else ""


def choices() -> tuple[tuple[str, str], ...]:
    """Every ground with its words."""
    return tuple((c, said(c)) for c in (CONSENTED, *content("rules/disclosure")["grounds"]))
