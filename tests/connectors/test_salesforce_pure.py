"""The parts of the Salesforce connector that need no org."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors.base import Cursor, Field, FieldKind
from connectors.errors import (
    ConnectorError,
    CredentialsError,
    MappingError,
    OutcomeUnknown,
    QuotaExhausted,
    RateLimited,
    TemporaryError,
)
from connectors.salesforce import failures, soql
from connectors.salesforce.described import described
from connectors.salesforce.failures import CallRefused, LocatorLost, QueryTooHeavy
from connectors.salesforce.settings import SalesforceSettings
from connectors.salesforce.shape import Columns, Shaper

URL = "https://acme.my.salesforce.com"
AUTH = {"flow": "session", "session_id": "00Dsecret"}
PASSWORD = {"flow": "password", "username": "u", "password": "p", "security_token": "t"}
CLIENT = {"flow": "client_credentials", "client_id": "k", "client_secret": "hidden"}
STAMP = datetime(2026, 3, 1, 12, tzinfo=UTC)


def settings(**given: object) -> SalesforceSettings:
    return SalesforceSettings.model_validate(
        {"kind": "salesforce", "url": URL, "auth": AUTH, **given}
    )


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        ({"url": "https://acme.lightning.force.com"}, "https://acme.my.salesforce.com"),
        ({"url": "http://acme.my.salesforce.com"}, "My Domain"),
        ({"url": "https://acme.example"}, "My Domain"),
        ({"url": "ftp://127.0.0.1"}, "http"),
        ({"auth": PASSWORD, "api_version": "65.0"}, "64.0"),
        ({"auth": CLIENT, "url": "https://login.salesforce.com"}, "My Domain"),
        ({"auth": {"flow": "guess"}}, "client_credentials"),
        ({"api_version": "v64"}, "api_version"),
        ({"token": "x"}, "token"),
    ],
)
def test_a_wrong_setting_is_refused_with_advice(given: dict[str, object], advice: str) -> None:
    """What cannot work is said when the file is read, and says what would."""
    with pytest.raises(ValidationError, match=advice):
        settings(**given)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://localhost:9", "http://[::1]:9", URL])
def test_plain_http_is_for_this_machine_only(url: str) -> None:
    """A sandbox on loopback is reached by http, an org by https."""
    assert settings(url=url).url == url


def test_secrets_are_not_shown() -> None:
    """Neither a settings object nor its mistakes show a secret."""
    assert "hidden" not in repr(settings(auth=CLIENT))
    with pytest.raises(ValidationError) as caught:
        settings(auth={**CLIENT, "flow": "password"})
    assert "hidden" not in str(caught.value)


@given(st.text(max_size=60))
def test_a_quoted_text_never_ends_early(text: str) -> None:
    """Whatever a value holds, an unescaped quote or line break stands only at its ends."""
    quoted = soql.literal(text)
    inner = quoted[1:-1].replace("\\\\", "").replace("\\'", "").replace('\\"', "")
    assert quoted[0] == quoted[-1] == "'"
    assert not set(inner) & {"'", "\n", "\r"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("O'Neil", r"'O\'Neil'"),
        ("a\\b", r"'a\\b'"),
        (["a", "b"], "('a','b')"),
        (datetime(2026, 3, 1, 13, tzinfo=timezone(timedelta(hours=1))), "2026-03-01T12:00:00Z"),
        (STAMP.replace(microsecond=999_999), "2026-03-01T12:00:00Z"),
    ],
)
def test_literals(value: str | datetime | list[str], text: str) -> None:
    """Values are quoted for SOQL; times are UTC in whole seconds."""
    assert soql.literal(value) == text


@pytest.mark.parametrize("name", ["Id FROM User", "A;B", "", "a.", "1a", "Name'", "(SELECT Id)"])
def test_only_names_are_names(name: str) -> None:
    """A field name out of a configuration cannot carry a query."""
    with pytest.raises(ValueError, match="not a Salesforce field name"):
        soql.name(name)


@pytest.mark.parametrize(
    ("cursor", "condition"),
    [
        (None, ""),
        (Cursor(), ""),
        (Cursor(STAMP), "SystemModstamp >= 2026-03-01T12:00:00Z"),
        (
            Cursor(STAMP, "00Q1"),
            "(SystemModstamp = 2026-03-01T12:00:00Z AND Id > '00Q1') "
            "OR SystemModstamp > 2026-03-01T12:00:00Z",
        ),
    ],
)
def test_what_comes_after_a_cursor(cursor: Cursor | None, condition: str) -> None:
    """D18: the key is stamp and id, so equal stamps neither repeat nor vanish."""
    assert soql.after(cursor) == condition


def test_a_long_query_does_not_fit_a_uri() -> None:
    """D20: the size is measured as it travels, encoded."""
    assert soql.fits_uri("SELECT Id FROM Lead")
    assert not soql.fits_uri("SELECT " + ",".join(["Field__c"] * 1_500))
    assert not soql.fits_uri("'" * 6_000)


def _refused(status: int, code: str, message: str = "m") -> ConnectorError:
    return failures.of_call(status, [{"errorCode": code, "message": message}], "sales")


@pytest.mark.parametrize(
    ("status", "code", "message", "kind"),
    [
        (403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", QuotaExhausted),
        (
            403,
            "REQUEST_LIMIT_EXCEEDED",
            "ConcurrentRequests (Concurrent API Requests) Limit exceeded.",
            RateLimited,
        ),
        (400, "X", "Max bulk v2 query jobs (10000) per 24 hrs has been reached", QuotaExhausted),
        (403, "API_DISABLED_FOR_ORG", "", CredentialsError),
        (403, "INSUFFICIENT_ACCESS", "", CredentialsError),
        (400, "INVALID_FIELD", "No such column 'X__c' on entity 'Lead'", MappingError),
        (400, "MALFORMED_QUERY", "", MappingError),
        (404, "NOT_FOUND", "", MappingError),
        (400, "INVALID_QUERY_LOCATOR", "", LocatorLost),
        (400, "QUERY_TIMEOUT", "", QueryTooHeavy),
        (503, "SERVER_UNAVAILABLE", "", TemporaryError),
        (500, "UNKNOWN_EXCEPTION", "", OutcomeUnknown),
        (409, "SOMETHING_NEW", "", CallRefused),
    ],
)
def test_what_an_error_means(
    status: int, code: str, message: str, kind: type[ConnectorError]
) -> None:
    """Every vendor error ends in the class that says what to do; the message keeps its words."""
    error = _refused(status, code, message)
    assert type(error) in (kind, *kind.__subclasses__())
    assert code in str(error)
    assert message in str(error)


@pytest.mark.parametrize("body", ["<html>Down for maintenance</html>", [], {}, None])
def test_an_error_without_form_is_temporary(body: object) -> None:
    """A maintenance page is no reason to fall over, and is not repeated in the message."""
    error = failures.of_call(503, body, "sales")
    assert isinstance(error, TemporaryError)
    assert "html" not in str(error)


@pytest.mark.parametrize(
    ("code", "kind", "advice"),
    [
        ("INVALID_LOGIN", CredentialsError, "security token"),
        ("invalid_client", CredentialsError, "client_secret"),
        ("never_seen", CredentialsError, "auth section"),
        (503, TemporaryError, "503"),
    ],
)
def test_what_a_refused_login_means(
    code: str | int, kind: type[ConnectorError], advice: str
) -> None:
    """A refused log-in names the setting to look at; a broken answer is temporary."""
    error = failures.of_login(code, "m", "sales")
    assert type(error) is kind
    assert advice in str(error)


BASE = {"name": "F", "label": "L", "updateable": True}


@pytest.mark.parametrize(
    ("item", "field"),
    [
        (
            {"type": "double", "precision": 18, "scale": 4},
            Field("F", "L", FieldKind.NUMBER, True, whole_digits=14, decimals=4),
        ),
        (
            {"type": "int", "digits": 9, "precision": 0},
            Field("F", "L", FieldKind.NUMBER, True, whole_digits=9, decimals=0),
        ),
        ({"type": "string", "length": 40}, Field("F", "L", FieldKind.TEXT, True, length=40)),
        (
            {"type": "double", "precision": 5, "scale": 0, "calculated": True},
            Field("F", "L", FieldKind.NUMBER, False, whole_digits=5, decimals=0, calculated=True),
        ),
        (
            {
                "type": "picklist",
                "length": 9,
                "restrictedPicklist": True,
                "picklistValues": [
                    {"value": "A", "active": True},
                    {"value": "B", "active": False},
                ],
            },
            Field("F", "L", FieldKind.CHOICE, True, length=9, choices=("A",)),
        ),
        (
            {
                "type": "picklist",
                "length": 9,
                "restrictedPicklist": False,
                "picklistValues": [{"value": "A", "active": True}],
            },
            Field("F", "L", FieldKind.CHOICE, True, length=9),
        ),
        ({"type": "location"}, Field("F", "L", FieldKind.OTHER, True)),
    ],
)
def test_what_a_field_can_hold(item: dict[str, object], field: Field) -> None:
    """A describe is read for what leadgauge must know: kind, size, choices, whether
    writable, and whether it is a formula (D22)."""
    assert described({**BASE, **item}) == field


def _shaped(
    object_type: str, types: dict[str, str] | None = None, /, **row: Any
) -> dict[str, object]:
    columns = Shaper(types or {})(object_type, {"id": ["1"], **{k: [v] for k, v in row.items()}})
    return {name: column[0] for name, column in columns.items()}


@pytest.mark.parametrize(
    ("said", "subtype", "types", "canonical"),
    [
        ("Page View", "Task", {}, "page_view"),
        ("Call", "Call", {}, "call"),
        (None, "Call", {}, "call"),
        (None, "Email", {}, "email_sent"),
        (None, "Task", {}, "task"),
        (None, None, {}, "task"),
        ("E-Book", "Task", {"E-Book": "download"}, "download"),
        ("Email Reply", "Email", {}, "email_reply"),
    ],
)
def test_what_a_task_is(
    said: str | None, subtype: str | None, types: dict[str, str], canonical: str
) -> None:
    """A task's type is what it says, else its subtype; the mapping may rename it."""
    assert _shaped("Task", types, type=said, _subtype=subtype)["type"] == canonical


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"occurred_at": "t", "_day": "d", "_created_at": "c"}, "t"),
        ({"occurred_at": None, "_day": "d", "_created_at": "c"}, "d"),
        ({"occurred_at": None, "_day": None, "_created_at": "c"}, "c"),
    ],
)
def test_when_a_task_happened(row: dict[str, object], expected: str) -> None:
    """The completion, else the day, else the creation."""
    assert _shaped("Task", type="Call", **row)["occurred_at"] == expected


def test_a_meeting_has_a_duration() -> None:
    """An event lasts from its start to its end, in seconds, and needs no type."""
    row = _shaped(
        "Event",
        occurred_at="2026-03-01T12:00:00.000+0000",
        _end="2026-03-01T12:30:00.000+0000",
    )
    assert (row["type"], row["duration"]) == ("meeting", 1800)


@pytest.mark.parametrize(
    ("said", "status", "types", "canonical"),
    [
        ("Webinar", "Registered", {}, "webinar_registered"),
        ("Webinar", "Attended", {}, "webinar_attended"),
        ("Trade Show", "Attended", {}, "trade_show"),
        ("Conference", "Visited", {"Conference": "trade_show"}, "trade_show"),
        ("Mailing", "Clicked", {"Mailing Clicked": "email_click"}, "email_click"),
        (None, "Sent", {}, "campaign"),
    ],
)
def test_what_a_campaign_member_did(
    said: str | None, status: str, types: dict[str, str], canonical: str
) -> None:
    """A membership is its campaign's type, with the status where that tells apart."""
    row = _shaped(
        "CampaignMember",
        types,
        type=said,
        _status=status,
        lead_id=None,
        _lead="00Q1",
    )
    assert (row["type"], row["lead_id"]) == (canonical, "00Q1")


@pytest.mark.parametrize(
    ("roles", "people"),
    [
        (None, [""]),
        ({"records": [{"ContactId": "003A"}, {"ContactId": "003B"}]}, ["003A", "003B"]),
        ({"records": [{"ContactId": "003A"}, {"ContactId": "003A"}]}, ["003A"]),
    ],
)
def test_an_opportunity_has_a_row_for_each_contact(roles: object, people: list[str]) -> None:
    """One row for each contact role, one without a person where there is none."""
    raw: Columns = {"id": ["006"], "_closed": [True], "_won": [False], "_roles": [roles]}
    columns = Shaper({})("Opportunity", raw)
    assert columns["lead_id"] == people
    assert columns["result"] == ["lost"] * len(people)
