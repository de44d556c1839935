"""What a Subscription may ask for: what cannot be followed is refused with the element it stands in."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from .api import Api, api

IG = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
TOPIC = "http://sammanhang.se/fhir/SubscriptionTopic/care-request"


def subscription(**more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Subscription", "status": "requested", "reason": "Test", "criteria": TOPIC,
        "channel": {
            "type": "rest-hook", "endpoint": "https://kommun.example/notify", "payload": "application/fhir+json",
            "_payload": {"extension": [{"url": f"{IG}backport-payload-content", "valueCode": "id-only"}]},
        },
        **more,
    }  # fmt: skip


def _filter(text: str) -> Callable[[dict[str, Any]], None]:
    extension = [{"url": f"{IG}backport-filter-criteria", "valueString": text}]
    return lambda s: s.update(_criteria={"extension": extension})


def _channel(**more: Any) -> Callable[[dict[str, Any]], None]:
    return lambda s: s["channel"].update(more)


def _extension(name: str, **value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda s: s["channel"].update(extension=[{"url": IG + name, **value}])


FAULTS: list[tuple[str, Callable[[dict[str, Any]], None], str, str]] = [
    ("a topic nobody knows", lambda s: s.update(criteria="http://example.org/topic"), "criteria", "care-request"),
    ("an R4 search", lambda s: s.update(criteria="Task?status=requested"), "criteria", "care-request"),
    ("a filter that is not offered", _filter("Task?description=x"), "criteria.extension", "business-status"),
    ("a filter of another type", _filter("Observation?code=x"), "criteria.extension", "not about Observation"),
    ("a filter without value", _filter("Task?status="), "criteria.extension", "no value"),
    ("a filter that is no reference", _filter("owner=Nobody/1"), "criteria.extension", "not a reference"),
    ("email", _channel(type="email", endpoint="mailto:a@kommun.example"), "channel.type", "rest-hook"),
    ("websocket", _channel(type="websocket"), "channel.type", "rest-hook"),
    ("message", _channel(type="message"), "channel.type", "rest-hook"),
    ("http in the clear", _channel(endpoint="http://kommun.example/notify"), "channel.endpoint", "https"),
    ("a host nobody opened for", _channel(endpoint="https://intranet.example/x"), "channel.endpoint", "none of the hosts"),
    ("a neighbour of an open host", _channel(endpoint="https://evil-kommun.example/x"), "channel.endpoint", "none of"),
    ("a name in the address", _channel(endpoint="https://a:b@kommun.example/x"), "channel.endpoint", "user name"),
    ("the machine itself", _channel(endpoint="http://127.0.0.1:5432/"), "channel.endpoint", "none of"),
    ("metadata of a cloud", _channel(endpoint="http://169.254.169.254/latest"), "channel.endpoint", "https"),
    ("a header that breaks the line", _channel(header=["X: a\r\nHost: b"]), "channel.header[0]", "Name: value"),
    ("a header of ours", _channel(header=["X-A: b", "Host: elsewhere"]), "channel.header[1]", "set by the server"),
    ("XML", _channel(payload="application/fhir+xml"), "channel.payload", "application/fhir+json"),
    ("no level of content", lambda s: s["channel"].pop("_payload"), "channel.payload.extension", "id-only"),
    ("a heartbeat each second", _extension("backport-heartbeat-period", valueUnsignedInt=1), "channel.extension", "10–"),
    ("an hour to answer", _extension("backport-timeout", valueUnsignedInt=3600), "channel.extension", "1–60"),
    ("a million events in one", _extension("backport-max-count", valuePositiveInt=1_000_000), "channel.extension", "1–200"),
    ("a number as text", _extension("backport-max-count", valueString="5"), "channel.extension", "valuePositiveInt"),
    ("an error of its own", lambda s: s.update(status="error"), "status", "set by the server"),
]  # fmt: skip


@pytest_asyncio.fixture
async def production(module_database: str) -> AsyncIterator[Api]:
    """The API outside the demo, with the hosts of one municipality open."""
    hosts = "kommun.example, *.kommun.example"
    async with api(
        module_database, demo=False, base_url="https://journal.example", subscriber_hosts=hosts
    ) as client:
        yield client


@pytest.mark.parametrize(("what", "change", "element", "words"), FAULTS, ids=[f[0] for f in FAULTS])
async def test_what_cannot_be_followed_is_refused_with_its_element(
    production: Api, what: str, change: Callable[[dict[str, Any]], None], element: str, words: str
) -> None:
    wrong = copy.deepcopy(subscription())
    change(wrong)
    reply = await production.as_("town-client").post("Subscription", wrong)
    assert reply.status == 422, reply
    said = [i for i in reply.json["issue"] if i["expression"] == [f"Subscription.{element}"]]
    assert said and words in said[0]["details"]["text"] + said[0]["diagnostics"], reply


async def test_every_fault_is_told_at_once_in_the_callers_language(production: Api) -> None:
    wrong = subscription(criteria="x", status="error")
    wrong["channel"]["type"] = "websocket"
    reply = await production.as_("town-client").post("Subscription", wrong, accept_language="sv")
    assert [i["expression"][0].partition(".")[2] for i in reply.json["issue"]] == [
        "criteria",
        "status",
        "channel.type",
    ]
    assert "Kanalen websocket finns inte här" in reply.json["issue"][2]["details"]["text"]


async def test_a_good_one_is_stored_as_requested_whoever_the_hosts_neighbours_are(
    production: Api,
) -> None:
    for endpoint in ("https://kommun.example/notify", "https://fhir.kommun.example:8443/in?x=1"):
        good = subscription(status="active", error="none of your business")
        good["channel"]["endpoint"] = endpoint
        reply = await production.as_("town-client").post("Subscription", good)
        assert reply.status == 201, reply
        assert reply.json["status"] == "requested" and "error" not in reply.json


@pytest.mark.parametrize("who", ["nurse", "resident", "loa2"])
async def test_people_are_not_told_by_subscription(fhir: Api, who: str) -> None:
    reply = await fhir.as_(who).post("Subscription", subscription())
    assert reply.status == 403 and "client of its own" in reply.words


async def test_a_transaction_and_a_patch_are_checked_too(fhir: Api) -> None:
    town = fhir.as_("town-client")
    wrong = subscription(criteria="x")
    entry = {"resource": wrong, "request": {"method": "POST", "url": "Subscription"}}
    reply = await town.post("", {"resourceType": "Bundle", "type": "transaction", "entry": [entry]})
    assert reply.status == 422
    made = await town.post("Subscription", subscription())
    reply = await town.patch(
        f"Subscription/{made.json['id']}",
        [{"op": "replace", "path": "/channel/endpoint", "value": "ftp://x"}],
    )
    assert reply.status == 422 and "Subscription.channel.endpoint" in reply.words


async def test_a_client_may_have_so_many_and_no_more(fresh: Api) -> None:
    from sammanhang.work.subscriptions.matching import match_all

    most = 20
    for _ in range(most):
        assert (await fresh.as_("town-client").post("Subscription", subscription())).status == 201
    matched = 0
    while matched < most:  # an open transaction of another test in the cluster holds the feed back
        matched += await match_all(fresh.services)
        await asyncio.sleep(0.05)
    reply = await fresh.as_("town-client").post("Subscription", subscription())
    assert reply.status == 422 and f"at most {most}" in reply.words


async def test_operations_answer_with_what_they_take(fhir: Api) -> None:
    town = fhir.as_("town-client")
    made = (await town.post("Subscription", subscription())).json["id"]
    assert (await town.get(f"Subscription/{made}/$events?since=1")).status == 400
    assert (await town.get(f"Subscription/{made}/$events?eventsSinceNumber=one")).status == 400
    assert (await town.get(f"Subscription/{made}/$events?content=all")).status == 400
    assert (await town.get("Subscription/unknown/$status")).status == 404
    assert (await fhir.as_("observations").get(f"Subscription/{made}/$status")).status == 403
    parameters = {"resourceType": "Parameters", "parameter": [{"name": "id", "valueId": made}]}
    reply = await fhir.as_("town-client").post("Subscription/$status", parameters)
    assert reply.status == 200


async def test_the_capability_statement_says_what_can_be_subscribed_to(fhir: Api) -> None:
    said = (await fhir.get("metadata")).json
    (of,) = (r for r in said["rest"][0]["resource"] if r["type"] == "Subscription")
    assert {e["valueCanonical"] for e in of["extension"]} == {
        TOPIC,
        TOPIC.replace("care-request", "task-owner"),
    }
    assert of["supportedProfile"] == [f"{IG}backport-subscription"]
    assert {"status", "events"} <= {o["name"] for o in of["operation"]}
    assert said["instantiates"][0].endswith("backport-subscription-server-r4")
