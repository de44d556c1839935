"""The door: identity, assignments, the law as rules, audit. No other way to a patient's data."""
