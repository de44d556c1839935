"""Consents and blocks as FHIR Consent, the one way this project writes them.

| Kind (category, `CONSENT_KIND`) | provision.type | actor (role: reference) | Means |
|---|---|---|---|
| `sammanhallen-dokumentation` | permit | IRCP: Organization of a provider | that provider may read other providers' unblocked data (SVOD 3:1) |
| `inre-sparr` | deny | CST: Organization of a unit | other units of the same provider may not read what that unit wrote (PDL 4:4) |
| `yttre-sparr` | deny | CST: Organization of a provider | other providers may not read what that provider wrote (SVOD 2:3) |

A consent is owned by who received it: the provider that asked, or the one that blocked.
"""

from __future__ import annotations

from sammanhang.fhir.r4 import Consent, Period, Reference
from sammanhang.fhir.r4.consent import ConsentProvision, ConsentProvisionActor

from .chart import Chart
from .codes import CONSENT_KIND, HL7, concept, organisation, words
from .days import day
from .organisations import Unit

TEXT = {
    "sammanhallen-dokumentation": "Samtycke till sammanhållen vård- och omsorgsdokumentation",
    "inre-sparr": "Inre spärr",
    "yttre-sparr": "Yttre spärr",
}
_RULE = {
    "sammanhallen-dokumentation": words(
        "Lag (2022:913) om sammanhållen vård- och omsorgsdokumentation 3 kap. 1 §"
    ),
    "inre-sparr": words("Patientdatalagen (2008:355) 4 kap. 4 §"),
    "yttre-sparr": words(
        "Lag (2022:913) om sammanhållen vård- och omsorgsdokumentation 2 kap. 3 §"
    ),
}
_SCOPE = concept(HL7 + "consentscope", "patient-privacy", "Integritet")
_CUSTODIAN = concept(HL7 + "v3-ParticipationType", "CST", "Den vars uppgifter det gäller")
_RECIPIENT = concept(HL7 + "v3-ParticipationType", "IRCP", "Den som får läsa")


def consent(
    chart: Chart,
    unit: Unit,
    kind: str,
    party: str,
    on: int,
    *,
    until: int = 0,
    id: str | None = None,
) -> None:
    """A consent or block received at `unit` about the provider or unit `party` (an HSA-id)."""
    permit = kind == "sammanhallen-dokumentation"
    chart.out.append(
        Consent(
            id=id or chart.id(),
            meta=unit.meta(),
            status="active",
            scope=_SCOPE,
            category=[concept(CONSENT_KIND, kind, TEXT[kind])],
            patient=chart.subject,
            dateTime=day(on),
            performer=[chart.subject],
            organization=[organisation(unit.provider or unit.id)],
            policyRule=_RULE[kind],
            provision=ConsentProvision(
                type="permit" if permit else "deny",
                period=Period(start=day(on), end=day(until) if until else None),
                actor=[
                    ConsentProvisionActor(
                        role=_RECIPIENT if permit else _CUSTODIAN,
                        reference=Reference(reference=f"Organization/{party}"),
                    )
                ],
            ),
        )
    )
