"""What a person must write: a reason, an account."""

from __future__ import annotations

from sammanhang.kernel.errors import Invalid

LONGEST = 2000  # characters


def said_of(
    text: str, en: str = "Say why it is needed.", sv: str = "Skriv varför det behövs."
) -> str:
    """The text without needless spaces. Raises `Invalid`, with `en` and `sv`, for an empty one, and for one
    that is too long."""
    said = " ".join(text.split())
    if not said:
        raise Invalid(en, sv)
    if len(said) > LONGEST:
        raise Invalid(f"At most {LONGEST} characters.", f"Högst {LONGEST} tecken.")
    return said
