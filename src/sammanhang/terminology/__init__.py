"""Code systems and value sets: what is shipped with the specification and may be enumerated."""
