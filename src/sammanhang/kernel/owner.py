"""Who owns a resource: the two tags every clinical resource carries.

A care provider (vårdgivare, the legal data controller) and the care unit (vårdenhet) it was written
at, both as HSA-ids, which here are also the ids of their `Organization` resources. They are the
`careGiverHSAId` and `careUnitHSAId` of the national contracts (RIV-TA): outer and inner block level.
"""

from __future__ import annotations

PROVIDER = "http://sammanhang.se/fhir/tag/care-provider"
UNIT = "http://sammanhang.se/fhir/tag/care-unit"

# A care provider that a resource has been sent to: it sees the resource as well as its owner does (R41).
SHARED = "http://sammanhang.se/fhir/tag/shared-with"
