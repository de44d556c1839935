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
     " until, parties, opened, ended, reviewed, reviewed_by, outcome, review_said", "id"),
    ("lift", "id, patient, party, for_party, rule, granted_by, said, granted, until", "id"),
    ("lift_request", "id, patient, patient_id, party, for_party, unit, actor, said, asked, answered, answer,"
     " answered_by", "id"),
)  # fmt: skip
