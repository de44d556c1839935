"""Cases that others wrote, run and counted: what passes, what does not, and why.

`python -m tests.conformance.report` runs all of them and writes `docs/reference/conformance.md` and the
counts the tests hold the project to.
"""
