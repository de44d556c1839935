"""What each step of act one asks of those in it; a step may only come to ask less. Printed to docs/reference/act-one.md."""

from __future__ import annotations

from .recorder import Counts

ACT_ONE = [
    ("Karin", "finds Svea", Counts(clicks=0, keys=2, letters=6, screens=1)),
    ("Karin", "writes the request and sends it", Counts(clicks=6, keys=2, letters=155, screens=3)),
    ("Amira", "opens the request from the list", Counts(clicks=1, keys=0, letters=0, screens=1)),
    ("Amira", "asks a question", Counts(clicks=3, keys=0, letters=26, screens=1)),
    ("Karin", "answers it", Counts(clicks=2, keys=0, letters=32, screens=1)),
    ("Amira", "accepts", Counts(clicks=1, keys=0, letters=0, screens=1)),
    ("Amira", "enrols Svea and books the first visit", Counts(clicks=1, keys=0, letters=0, screens=1)),
    ("Amira", "finds Svea on her list", Counts(clicks=1, keys=0, letters=0, screens=1)),
    ("Svea", "reads what was decided", Counts(clicks=1, keys=0, letters=0, screens=1)),
]  # fmt: skip
