"""FHIR subscriptions by topic (HL7 Subscriptions R5 Backport for R4, STU 1.1): who is told of what, and how.

`topics` what can be told of · `wanted` what a Subscription asks for, checked · `matching` from the event feed to the
outbox · `notifications` the bundles that are sent · `resthook` the channel. The interactions are `rest.subscriptions`.
"""

from . import resthook

__all__ = ["resthook"]
