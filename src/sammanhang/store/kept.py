"""The tables an export takes with it beside the record itself: (name, columns, key)."""

from __future__ import annotations

TRACE = (
    ("chain", "chain, opened, genesis", "chain"),
    ("block", "chain, seq, at, keys, entries, hash", "chain, seq"),
    ("seal", "number, at, heads, hash", "number"),
)
# A key of None: rows without one are compared by who, whom and when.
ACCESS: tuple[tuple[str, str, str | None], ...] = (
    ("client", "id, secret, name, scopes, provider, everything, demo, active, created, method, jwks, jwks_uri,"
     " redirect_uris, launch_url, publisher, offered, roles, made_by, closed", "id"),
    ("declared", "actor, assignment, patient, reason, declared, until", None),
    ("emergency", "id, actor, assignment, unit, provider, patient, patient_id, danger, unable, said, declared,"
     " until, parties, opened, ended", "id"),
    ("lift", "id, patient, party, for_party, rule, granted_by, said, granted, until", "id"),
    ("lift_request", "id, patient, patient_id, party, for_party, unit, actor, said, asked, answered, answer,"
     " answered_by", "id"),
    # What log review decided. How far it had read, its figures and how often each access was made are not
    # here: they are made again from the trace.
    ("review_case", "id, provider, unit, actor, assignment, patient, day, weight, began, lasted, found, state,"
     " outcome, decided, decided_by, holder, holder_name", "id"),
    ("review_reason", "review_case, pattern, weight, found, details", "review_case, pattern"),
    ("review_step", "id, review_case, at, actor, name, kind, outcome, measures, said", "id"),
    ("review_draw", "provider, day, seed, made, closed", "provider, day"),
    ("public_person", "id, provider, patient, reason, until, added, added_by, removed, removed_by", "id"),
    ("review_run", "day, entries, cases, ended", "day"),
    ("log_question", "id, review_case, patient, line, said, asked, answer, answered", "id"),
    ("log_seen", "patient, before, seen", "patient"),
)  # fmt: skip
