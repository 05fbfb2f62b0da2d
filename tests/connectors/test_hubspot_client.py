"""Getting in, staying within the limits, and what each failure is translated into."""

import gzip
import json
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from pydantic import ValidationError

from connectors.base import Cursor
from connectors.errors import (
    ConnectorError,
    CredentialsError,
    OutcomeUnknown,
    QuotaExhausted,
    RateLimited,
    TemporaryError,
)
from connectors.hubspot.client import Gateway
from connectors.hubspot.failures import Gone, Locked, MissingScope, Refusal, Refused, translated
from connectors.hubspot.settings import HubSpotSettings
from connectors.sandbox.crm import Kind
from connectors.sandbox.http import Fault, Request, Response, Server
from connectors.sandbox.hubspot.limits import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN, SCOPES
from connectors.sandbox.hubspot.replies import ApiError
from connectors.usage import Usage
from tests.hubspot import Account, account

OAUTH = {
    "client_id": CLIENT_ID,
    "client_secret": CLIENT_SECRET,
    "refresh_token": REFRESH_TOKEN,
}
REFUSED_TOKEN = ApiError(401, "INVALID_AUTHENTICATION", "not found").response


@pytest.fixture
def own() -> Iterator[Account]:
    """A fresh account."""
    with account() as made:
        yield made


def people(own: Account, count: int) -> None:
    for n in range(count):
        own.crm.add(Kind.LEAD, {"last_name": f"Muster {n}", "email": f"p{n}@buyer.example"})


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://api.hubapi.com", True),
        ("https://api-eu1.hubapi.com/", True),
        ("http://127.0.0.1:8080", True),
        ("http://localhost:8080", True),
        ("http://api.hubapi.com", False),
        ("http://127.0.0.1.evil.example", False),
        ("api.hubapi.com", False),
    ],
)
def test_only_loopback_is_reached_without_encryption(url: str, good: bool) -> None:
    given = {"kind": "hubspot", "token": "secret-token", "url": url}
    if good:
        assert HubSpotSettings.model_validate(given).url == url.rstrip("/")
    else:
        with pytest.raises(ValidationError) as refused:
            HubSpotSettings.model_validate(given)
        assert "secret-token" not in str(refused.value)


def test_wrong_token_is_tried_twice_and_never_told(own: Account) -> None:
    """A valid token is sometimes refused, so it is tried again; a wrong one stays wrong."""
    connector = own.connect(token="pat-wrong")
    with pytest.raises(CredentialsError) as refused:
        connector.now()
    assert len(own.server.requests) == 2
    assert "pat-wrong" not in str(refused.value)
    assert str(refused.value).startswith("marketing: list of contacts: 401")


def test_sporadic_refusal_of_a_valid_token_goes_unnoticed(own: Account) -> None:
    people(own, 3)
    own.server.faults.append(Fault("/objects/contacts", response=REFUSED_TOKEN))
    connector = own.connect()
    (page,) = connector.pull(connector.streams()[2], None, own.clock())
    assert page.rows.num_rows == 3


def test_oauth_token_is_renewed_before_it_ends(own: Account) -> None:
    """D16: a run longer than the life of a token: renewed by the clock, no call is refused."""
    people(own, 2_400)
    connector = own.connect(token=OAUTH)
    rows = 0
    for page in connector.pull(connector.streams()[2], None, own.clock()):
        rows += page.rows.num_rows
        own.timer.now += 1_790
    assert rows == 2_400
    assert connector.usage.calls["login"] == 3
    assert connector.usage.calls["read"] == 24


def test_oauth_token_that_ends_early_is_renewed_once(own: Account) -> None:
    people(own, 150)
    own.fail(name="expired-token")
    connector = own.connect(token=OAUTH)
    (page,) = connector.pull(connector.streams()[2], None, own.clock())
    assert page.rows.num_rows == 150
    assert connector.usage.calls["login"] == 2


@pytest.mark.parametrize("wrong", ["client_secret", "refresh_token"])
def test_wrong_oauth_credentials(own: Account, wrong: str) -> None:
    connector = own.connect(token={**OAUTH, wrong: "not-this"})
    (problem,) = connector.check()
    assert problem.severity == "credentials"
    assert "authorise the app again" in problem.what
    assert "not-this" not in problem.what


def test_missing_scope_is_a_problem_of_credentials_and_names_the_endpoint() -> None:
    with account(scopes=SCOPES - {"crm.objects.deals.read"}) as own:
        connector = own.connect()
        (problem,) = [p for p in connector.check() if p.severity == "credentials"]
        assert problem.where == "deals"
        assert "list of deals: 403 MISSING_SCOPES" in problem.what
        with pytest.raises(MissingScope):
            list(connector.pull(connector.streams()[3], None, own.clock()))


def test_missing_event_sources_are_a_warning() -> None:
    with account(scopes=SCOPES - {"forms", "content"}, enterprise=False) as own:
        warned = {p.where for p in own.connect().check() if p.severity == "warning"}
    assert warned == {"events", "email_events", "form_submissions"}


def body(category: str = "", policy: str = "", message: str = "no") -> str:
    return json.dumps({"category": category, "policyName": policy, "message": message})


@pytest.mark.parametrize(
    ("status", "text", "headers", "error", "wait"),
    [
        (400, body("VALIDATION_ERROR"), {}, Refused, None),
        (401, body("EXPIRED_AUTHENTICATION"), {}, CredentialsError, None),
        (403, body("MISSING_SCOPES"), {}, MissingScope, None),
        (404, body("OBJECT_NOT_FOUND"), {}, Gone, None),
        (409, body("CONFLICT"), {}, Refused, None),
        (414, "<html>", {}, Refused, None),
        (423, body(), {}, Locked, 2.0),
        (429, body(policy="SECONDLY"), {}, RateLimited, 1.0),
        (429, body(policy="TEN_SECONDLY_ROLLING"), {}, RateLimited, 10.0),
        (429, body(policy="TEN_SECONDLY_ROLLING"), {"Retry-After": "7"}, RateLimited, 7.0),
        (429, body(policy="DAILY"), {}, QuotaExhausted, None),
        (429, "", {}, RateLimited, None),
        (477, body(), {"Retry-After": "600"}, TemporaryError, 600.0),
        (500, body(), {}, OutcomeUnknown, None),
        (502, "<html>", {}, OutcomeUnknown, None),
        (503, "", {}, OutcomeUnknown, None),
        (524, "<html>", {}, OutcomeUnknown, None),
    ],
)
def test_each_failure_has_its_reaction(
    status: int,
    text: str,
    headers: dict[str, str],
    error: type[ConnectorError],
    wait: float | None,
) -> None:
    made = translated("marketing", "search in contacts", status, headers, text)
    assert type(made) is error
    assert getattr(made, "retry_after", None) == wait
    assert f"search in contacts: {status}" in str(made)


def test_reason_names_properties_and_codes_but_no_value() -> None:
    listed = [
        {"isValid": False, "message": "a@b.example was not ...", "error": "INVALID_EMAIL"},
        {"isValid": False, "message": "foo was not one of", "error": "X", "name": "tier"},
    ]
    listed[0]["name"] = "email"
    message = f"Property values were not valid: {json.dumps(listed)}"
    made = translated("", "update", 400, {}, body("VALIDATION_ERROR", message=message))
    assert isinstance(made, Refused)
    said = Refusal("INVALID_EMAIL", "email: INVALID_EMAIL; tier: X", ("email", "tier"))
    assert made.refusal == said
    other = translated("", "update", 409, {}, body("CONFLICT", message="a.b@c.example exists"))
    assert "a.b@c.example" not in str(other)


def test_limits_are_learned_and_never_run_into() -> None:
    """Four fifths of the stated rate; a refusal would have cost a wait of 10 s."""
    with account(ten_secondly=20) as own:
        people(own, 5_000)
        connector = own.connect()
        began = own.timer.now
        pages = list(connector.pull(connector.streams()[2], None, own.clock()))
        assert sum(page.rows.num_rows for page in pages) == 5_000
        # 51 calls, at 16 in any 10 s.
        assert 20 <= own.timer.now - began <= 40
        assert connector.usage.total == len(own.server.requests) == 51


def test_searches_have_a_rate_of_their_own(own: Account) -> None:
    """D39: each class of call has the limit of its own that HubSpot gives it.

    Four a second of the five that the account may make; nothing tells of that limit.
    """
    people(own, 4_000)
    connector = own.connect()
    (_, _, leads, *_) = connector.streams()
    began = own.timer.now
    list(connector.pull(leads, Cursor(own.clock() - timedelta(days=1)), own.clock()))
    assert connector.usage.calls["search"] == 20
    assert own.timer.now - began == pytest.approx(4.0, abs=0.1)


def test_daily_quota_stops_at_once(own: Account) -> None:
    connector = own.connect()
    connector.now()
    assert connector.usage.daily_limit == 650_000
    assert connector.usage.daily_used == 1
    own.fail(name="daily-limit", times=None)
    with pytest.raises(QuotaExhausted):
        connector.now()
    assert own.timer.waits == []


def test_long_wait_is_left_to_the_next_run(own: Account) -> None:
    """A move between data centres may take a day: no call sleeps through it."""
    moving = Response(477, b"{}", {"Retry-After": "86400"})
    own.server.faults.append(Fault("", times=None, response=moving))
    with pytest.raises(TemporaryError) as stopped:
        own.connect().now()
    assert stopped.value.retry_after == 86_400
    assert own.timer.waits == []


@pytest.mark.parametrize("name", ["truncated", "server-error-html", "ten-secondly"])
def test_trouble_of_a_moment_is_repeated(own: Account, name: str) -> None:
    people(own, 3)
    own.fail(name=name, times=2)
    connector = own.connect()
    (page,) = connector.pull(connector.streams()[2], None, own.clock())
    assert page.rows.num_rows == 3
    assert len(own.timer.waits) >= 2


def test_unreachable_host() -> None:
    with account() as gone:
        connector = gone.connect()
    with pytest.raises(TemporaryError, match="cannot reach"):
        connector.check()


def test_no_tls() -> None:
    """The library fails on its own TLS error; it is a temporary one all the same."""
    with account() as own:
        connector = own.connect(url=own.server.url.replace("http:", "https:"))
        with pytest.raises(TemporaryError, match="no TLS connection"):
            connector.now()


def test_connections_are_kept_and_pages_compressed() -> None:
    threads = set()
    encodings = set()

    def face(request: Request) -> Response:
        threads.add(threading.get_ident())
        encodings.add(request.headers["accept-encoding"])
        return Response(200, gzip.compress(b'{"results": []}'), {"Content-Encoding": "gzip"})

    with Server(face) as server:
        settings = HubSpotSettings.model_validate(
            {"kind": "hubspot", "token": "t", "url": server.url}
        )
        gateway = Gateway("marketing", settings, Usage())
        for _ in range(5):
            assert gateway.page("contacts", ["email"]) == {"results": []}
            assert gateway.read("contacts", ["1"], ["email"]) == []
        gateway.close()
    assert len(threads) == 1
    assert encodings == {"gzip"}
