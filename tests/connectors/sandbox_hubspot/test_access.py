"""Tokens, scopes, rate limits and the named faults."""

from typing import Any

import pytest
import urllib3

from connectors.sandbox.hubspot.faults import FAULTS, fault
from connectors.sandbox.hubspot.limits import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN, SCOPES
from tests.connectors.sandbox_hubspot.world import World, refused


def token_of(world: World, **given: str) -> Any:
    form = {
        "grant_type": "refresh_token",
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "refresh_token": REFRESH_TOKEN,
    } | given
    return world.client.oauth.tokens_api.create(**form)


def test_oauth_tokens_live_for_thirty_minutes(world: World) -> None:
    answer = token_of(world)
    assert (answer.expires_in, answer.token_type) == (1800, "bearer")
    world.token = answer.access_token
    path = "/crm/v3/objects/contacts"
    world.seconds = 1799
    good = world.call("GET", path)
    assert good.status == 200
    assert "X-HubSpot-RateLimit-Daily" not in good.headers
    world.seconds = 1807
    late = world.call("GET", path)
    assert late.status == 401
    assert late.json()["category"] == "EXPIRED_AUTHENTICATION"
    assert late.json()["message"].endswith("expired 7 second(s) ago.")
    world.token = token_of(world).access_token
    assert world.call("GET", path).status == 200


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"refresh_token": "old"}, "BAD_REFRESH_TOKEN"),
        ({"client_secret": "wrong"}, "BAD_CLIENT_ID"),
        ({"grant_type": "password"}, "BAD_GRANT_TYPE"),
    ],
)
def test_oauth_refusals(world: World, given: dict[str, str], word: str) -> None:
    status, body = refused(lambda: token_of(world, **given))
    assert (status, body["status"]) == (400, word)


@pytest.mark.parametrize("token", ["", "pat-other"])
def test_unknown_tokens(world: World, token: str) -> None:
    world.token = token
    answer = world.call("GET", "/crm/v3/objects/contacts")
    assert (answer.status, answer.json()["category"]) == (401, "INVALID_AUTHENTICATION")


@pytest.mark.parametrize(
    ("scope", "method", "path", "body"),
    [
        ("crm.objects.contacts.read", "GET", "/crm/v3/objects/contacts", None),
        ("crm.objects.contacts.read", "POST", "/crm/v3/objects/contacts/search", {}),
        ("crm.objects.contacts.read", "GET", "/crm/v3/objects/calls", None),
        ("crm.objects.contacts.write", "POST", "/crm/v3/objects/contacts/batch/update", {}),
        ("crm.objects.companies.read", "GET", "/crm/v3/objects/companies", None),
        (
            "crm.objects.companies.read",
            "POST",
            "/crm/v4/associations/contacts/companies/batch/read",
            {"inputs": []},
        ),
        ("crm.objects.deals.read", "GET", "/crm/v3/pipelines/deals", None),
        ("crm.objects.owners.read", "GET", "/crm/v3/owners/", None),
        ("crm.schemas.contacts.read", "GET", "/crm/v3/properties/contacts", None),
        ("crm.schemas.contacts.write", "POST", "/crm/v3/properties/contacts", {}),
        ("forms", "GET", "/marketing/v3/forms/", None),
        ("content", "GET", "/email/public/v1/events", None),
        ("business-intelligence", "GET", "/events/v3/events/", None),
    ],
)
def test_missing_scopes(world: World, scope: str, method: str, path: str, body: Any) -> None:
    world.options |= {"scopes": SCOPES - {scope}}
    answer = world.call(method, path, body)
    assert answer.status == 403
    error = answer.json()
    assert error["category"] == "MISSING_SCOPES"
    assert error["errors"][0]["context"] == {"requiredScopes": [scope]}


def test_email_content_is_redacted_without_its_scope(world: World) -> None:
    world.options |= {"scopes": SCOPES - {"sales-email-read"}}
    world.did(world.person(last_name="L"), "email_sent", subject="Secret")
    (row,) = world.get("/crm/v3/objects/emails", properties="hs_email_subject,hs_email_direction")[
        "results"
    ]
    assert row["properties"]["hs_email_subject"] is None
    assert row["properties"]["hs_email_direction"] == "EMAIL"


def test_the_ten_second_window_rolls(world: World) -> None:
    world.options |= {"ten_secondly": 3}
    path = "/crm/v3/objects/contacts"
    left = []
    for second in (0, 4, 8):
        world.seconds = second
        left.append(world.call("GET", path).headers["X-HubSpot-RateLimit-Remaining"])
    assert left == ["2", "1", "0"]
    refused_ = world.call("GET", path)
    assert refused_.status == 429
    assert refused_.json()["policyName"] == "TEN_SECONDLY_ROLLING"
    assert refused_.json()["errorType"] == "RATE_LIMIT"
    assert refused_.headers["X-HubSpot-RateLimit-Max"] == "3"
    assert refused_.headers["X-HubSpot-RateLimit-Interval-Milliseconds"] == "10000"
    assert "Retry-After" not in refused_.headers
    assert world.call("POST", f"{path}/search", {}).status == 200
    world.seconds = 10
    assert [world.call("GET", path).status for _ in range(2)] == [200, 429]


def test_search_has_its_own_rate_without_headers(world: World) -> None:
    world.options |= {"searches_per_second": 5}
    path = "/crm/v3/objects/{}/search"
    answers = [
        world.call("POST", path.format(kind), {})
        for kind in ("contacts", "companies", "deals", "calls", "tasks", "notes")
    ]
    assert [answer.status for answer in answers] == [200] * 5 + [429]
    assert answers[-1].json()["policyName"] == "SECONDLY"
    assert not [n for answer in answers for n in answer.headers if "ratelimit" in n.lower()]
    world.seconds = 1.0
    assert world.call("POST", path.format("contacts"), {}).status == 200


def test_the_daily_limit(world: World) -> None:
    world.options |= {"daily": 3}
    usage = "/account-info/v3/api-usage/daily/private-apps"
    (row,) = world.get(usage)["results"]
    assert (row["usageLimit"], row["currentUsage"]) == (3, 1)
    world.search()
    last = world.call("GET", usage)
    assert last.headers["X-HubSpot-RateLimit-Daily-Remaining"] == "0"
    over = world.call("GET", usage)
    assert (over.status, over.json()["policyName"]) == (429, "DAILY")


def test_unknown_paths_and_bodies(world: World) -> None:
    assert world.call("GET", "/crm/v3/nothing").status == 404
    assert world.call("GET", "/crm/v3/objects/dragons").status == 400
    assert world.call("POST", "/crm/v3/objects/contacts/batch/read", [1]).status == 400
    assert world.call("POST", "/crm/v3/objects/contacts/batch/read", {}).status == 400


@pytest.mark.parametrize(
    ("name", "status", "word"),
    [
        ("ten-secondly", 429, "TEN_SECONDLY_ROLLING"),
        ("daily-limit", 429, "DAILY"),
        ("expired-token", 401, "EXPIRED_AUTHENTICATION"),
        ("missing-scopes", 403, "MISSING_SCOPES"),
        ("server-error-html", 502, "<html>"),
        ("locked", 423, "LOCKED"),
        ("conflict", 409, "CONFLICT"),
    ],
)
def test_faults_that_answer(world: World, name: str, status: int, word: str) -> None:
    person = world.person(last_name="L")
    world.server.faults.append(fault(name))
    body = {"inputs": [{"id": str(person.number), "properties": {"phone": "1"}}]}
    answer = world.call("POST", "/crm/v3/objects/contacts/batch/update", body)
    assert answer.status == status
    assert word in answer.data.decode()
    assert "phone" not in person.values


def test_a_write_is_carried_out_and_its_answer_lost(world: World) -> None:
    person = world.person(last_name="L")
    world.server.faults.append(fault("drop-after-write"))
    body = {"inputs": [{"id": str(person.number), "properties": {"phone": "1"}}]}
    with pytest.raises(urllib3.exceptions.ProtocolError):
        world.call("POST", "/crm/v3/objects/contacts/batch/update", body)
    assert person.values["phone"] == "1"


def test_an_answer_breaks_off(world: World) -> None:
    world.people(3)
    world.server.faults.append(fault("truncated"))
    with pytest.raises(urllib3.exceptions.ProtocolError):
        world.call("GET", "/crm/v3/objects/contacts")
    assert world.call("GET", "/crm/v3/objects/contacts").status == 200


def test_every_named_fault_exists_and_no_other() -> None:
    assert [fault(name).hit for name in FAULTS] == [0] * len(FAULTS)
    with pytest.raises(KeyError):
        fault("no-such-fault")
