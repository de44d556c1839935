"""The capability statement, generated from what is true, and the SMART configuration."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from sammanhang import __version__
from sammanhang.store.search.parameters import offered, parameter
from sammanhang.store.search.parse import MODIFIERS
from sammanhang.store.types import TYPES
from sammanhang.work.subscriptions.topics import topics
from sammanhang.work.subscriptions.wanted import PROFILE

from .request import Answer, FhirRequest

INTERACTIONS = (
    "read", "vread", "update", "patch", "delete", "history-instance", "history-type", "create",
    "search-type",
)  # fmt: skip
SYSTEM = ("transaction", "batch", "search-system", "history-system")


async def open_document(fr: FhirRequest) -> Answer:
    """GET metadata and .well-known/smart-configuration: no log-in needed."""
    if fr.path[-1] == "smart-configuration":
        from sammanhang.access.oauth_metadata import smart_configuration

        document = smart_configuration(fr.services.base_url)
        return Answer(200, json.dumps(document).encode(), [(b"content-type", b"application/json")])
    fr.check_accept()
    return Answer(200, statement(fr.base, fr.services.base_url))


# Operations of our own (`rest.law`).
_OWN = {
    "Patient": ("decision", "declare-reason", "emergency", "accesses"),
    "Consent": ("withdraw",),
}


_BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/"


def _subscription(operations: list[dict[str, str]]) -> dict[str, Any]:
    """Subscriptions by topic (Subscriptions R5 Backport STU 1.1): the profile, its operations and the topics."""
    return {
        "supportedProfile": [PROFILE],
        "operation": [
            *operations,
            *(
                {
                    "name": o,
                    "definition": f"{_BACKPORT}OperationDefinition/backport-subscription-{o}",
                }
                for o in ("status", "events")
            ),
        ],
        "extension": [
            {
                "url": f"{_BACKPORT}StructureDefinition/capabilitystatement-subscriptiontopic-canonical",
                "valueCanonical": url,
            }
            for url in topics()
        ],
    }


@lru_cache(maxsize=4)
def statement(base: str, root: str) -> bytes:
    """The CapabilityStatement: every type, interaction and search parameter the code answers to."""
    resources = []
    for name in TYPES:
        found = [
            {"name": code, "type": p.kind}
            for code in offered(name)
            if (p := parameter(name, code)) is not None
        ]
        references = [f"{name}:{x['name']}" for x in found if x["type"] == "reference"]
        entry = {
            "type": name,
            "profile": f"http://hl7.org/fhir/StructureDefinition/{name}",
            "interaction": [{"code": c} for c in INTERACTIONS],
            "versioning": "versioned-update",
            "readHistory": True,
            "updateCreate": True,
            "conditionalCreate": True,
            "conditionalRead": "full-support",
            "conditionalUpdate": True,
            "conditionalDelete": "single",
            "searchInclude": ["*", *references],
            "searchRevInclude": _referring(name),
            "searchParam": found,
        }
        operations = ["validate", "meta", "meta-add", "meta-delete"]
        if name == "Patient":
            operations.append("everything")
        entry["operation"] = (
            [
                {
                    "name": o,
                    "definition": f"http://hl7.org/fhir/OperationDefinition/{'Patient' if o == 'everything' else 'Resource'}-{o}",
                }
                for o in operations
            ]
            + [
                {
                    "name": o,
                    "definition": f"http://hl7.org/fhir/uv/sdc/OperationDefinition/{name}-{o}",
                }
                for o in {
                    "Questionnaire": ("populate",),
                    "QuestionnaireResponse": ("extract",),
                }.get(name, ())
            ]
            + [
                {
                    "name": o,
                    "definition": f"http://sammanhang.se/fhir/OperationDefinition/{name}-{o}",
                }
                for o in _OWN.get(name, ())
            ]
        )
        if name == "Subscription":
            entry |= _subscription(entry["operation"])
        resources.append({k: v for k, v in entry.items() if v != []})
    document = {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": "2026-11-22",
        "kind": "instance",
        "instantiates": [f"{_BACKPORT}CapabilityStatement/backport-subscription-server-r4"],
        "software": {"name": "Sammanhang", "version": __version__},
        "implementation": {"description": "Sammanhang", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "patchFormat": ["application/json-patch+json", "application/fhir+json"],
        "rest": [
            {
                "mode": "server",
                "documentation": "Search modifiers: "
                + "; ".join(f"{k} {', '.join(':' + m for m in sorted(v))}" for k, v in MODIFIERS.items()),
                "security": {
                    "cors": True,
                    "extension": [
                        {
                            "url": "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris",
                            "extension": [
                                {"url": name, "valueUri": f"{root}/oauth/{name}"}
                                for name in ("authorize", "token", "revoke", "introspect")
                            ],
                        }
                    ],
                    "service": [
                        {
                            "coding": [
                                {
                                    "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
                                    "code": "SMART-on-FHIR",
                                }
                            ]
                        }
                    ],
                },
                "resource": resources,
                "interaction": [{"code": c} for c in SYSTEM],
                "searchParam": [
                    {"name": n, "type": t}
                    for n, t in (
                        ("_id", "token"), ("_lastUpdated", "date"), ("_tag", "token"), ("_profile", "uri"),
                        ("_security", "token"), ("_source", "uri"), ("_list", "string"), ("_type", "token"),
                    )
                ],
            }
        ],
    }  # fmt: skip
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


@lru_cache(maxsize=256)
def _referring(name: str) -> list[str]:
    return [
        f"{other}:{code}"
        for other in TYPES
        for code in offered(other)
        if (p := parameter(other, code)) is not None and p.kind == "reference" and name in p.targets
    ]
