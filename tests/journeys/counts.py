"""What each step of act one asks of those in it; a step may only come to ask less. Printed to docs/reference/act-one.md."""

from __future__ import annotations

from .recorder import Counts

ACT_ONE = [
    ("Karin", "finner Svea", Counts(clicks=0, keys=2, letters=6, screens=1)),
    ("Karin", "skriver begäran och skickar", Counts(clicks=6, keys=2, letters=152, screens=3)),
    ("Amira", "öppnar begäran ur listan", Counts(clicks=1, keys=0, letters=0, screens=1)),
    ("Amira", "ställer en fråga", Counts(clicks=3, keys=0, letters=26, screens=1)),
    ("Karin", "svarar", Counts(clicks=2, keys=0, letters=32, screens=1)),
    ("Amira", "accepterar", Counts(clicks=1, keys=0, letters=0, screens=1)),
    ("Amira", "skriver in och bokar första besöket", Counts(clicks=1, keys=0, letters=0, screens=1)),
    ("Amira", "finner Svea på sin lista", Counts(clicks=1, keys=0, letters=0, screens=1)),
    ("Svea", "läser vad som är bestämt", Counts(clicks=1, keys=0, letters=0, screens=1)),
]  # fmt: skip
