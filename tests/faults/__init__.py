"""Kill tests: what was acknowledged is there, nothing is half there, the trace holds."""
