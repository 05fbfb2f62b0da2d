"""What Salesforce's errors mean: one table from (status, code, message) to our reaction."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from connectors.errors import (
    ConnectorError,
    CredentialsError,
    MappingError,
    OutcomeUnknown,
    QuotaExhausted,
    RateLimited,
    TemporaryError,
    hushed,
)


class CallRefused(MappingError):
    """Salesforce refuses a request as it is; `code` and `reason` are its own words for it."""

    def __init__(self, message: str, *, connection: str, code: str, reason: str) -> None:
        super().__init__(message, connection=connection)
        self.code = code
        self.reason = reason


class LocatorLost(ConnectorError):
    """A page of a running query can no longer be had: query again from the last key."""


class QueryTooHeavy(ConnectorError):
    """A query ran over two minutes: ask for less at a time."""


@dataclass(frozen=True)
class Rule:
    """A vendor error, by HTTP status, code and message, and what it means."""

    status: str
    code: str
    message: str
    error: type[ConnectorError]
    advice: str = ""

    def matches(self, status: int, code: str, message: str) -> bool:
        """Whether an error is of this kind."""
        return all(
            re.search(pattern, text)
            for pattern, text in (
                (f"^({self.status})$", str(status)),
                (f"^({self.code})$", code),
                (self.message, message),
            )
        )


RULES = (
    # Three quota errors share one code; only the message tells them apart.
    Rule("403", "REQUEST_LIMIT_EXCEEDED", "TotalRequests", QuotaExhausted,
         "the org's daily API requests are used up"),
    Rule("4..|503", "REQUEST_LIMIT_EXCEEDED", "", RateLimited, "too many long calls at once"),
    Rule("4..", ".*", "Max bulk v2 query", QuotaExhausted,
         "the org's daily bulk queries are used up"),
    Rule("403", "API_DISABLED_FOR_ORG|API_CURRENTLY_DISABLED", "", CredentialsError,
         "the org's edition has no API, or it is switched off"),
    Rule("403", "TXN_SECURITY_METERING_ERROR", "", CredentialsError,
         "a transaction security policy of the org blocks this"),
    Rule("403", ".*", "", CredentialsError,
         "give the integration user the permission, and the connected app the scope 'api'"),
    Rule("401", ".*", "", CredentialsError, "the session has ended or was refused"),
    Rule("400", "INVALID_QUERY_LOCATOR", "", LocatorLost),
    Rule("400", "QUERY_TIMEOUT", "", QueryTooHeavy),
    Rule("400", "UNABLE_TO_LOCK_ROW", "", TemporaryError),
    Rule("400", "QUERY_TOO_COMPLICATED", "", CallRefused, "map fewer formula fields"),
    Rule("400", "INVALID_FIELD|INVALID_TYPE|MALFORMED_QUERY", "", CallRefused,
         "compare the mapping with the org: leadgauge check"),
    Rule("404|410", "UNSUPPORTED_API_VERSION|NOT_FOUND", "", CallRefused,
         "the org does not know this object or API version: see api_version"),
    Rule("406|420|429", ".*", "", TemporaryError, "overloaded or in maintenance"),
    Rule("503", "SERVER_UNAVAILABLE", "", TemporaryError, "overloaded or in maintenance"),
    # After these a write may have been carried out; to a read they are temporary like the rest.
    Rule("503", ".*", "", OutcomeUnknown, "overloaded or in maintenance"),
    Rule("5..", ".*", "", OutcomeUnknown, "Salesforce failed inside"),
    Rule(".*", ".*", "", CallRefused),
)  # fmt: skip

UNKNOWN_LOGIN = "check the auth section of the connection"
LOGIN_ADVICE = {
    "INVALID_LOGIN": "check user name, password and security token",
    "LOGIN_MUST_USE_SECURITY_TOKEN": "give the user's security token",
    "INVALID_OPERATION_WITH_EXPIRED_PASSWORD": "the password has expired: set a new one",
    "PASSWORD_LOCKOUT": "the user is locked out: wait, or unlock it",
    "API_DISABLED_FOR_ORG": "the org's edition has no API, or it is switched off",
    "invalid_client_id": "check client_id, the consumer key of the connected app",
    "invalid_client": "check client_secret, and that the app allows this flow",
    "invalid_grant": "check that the app allows this flow and that its user is approved",
}


def of_call(status: int, content: object, connection: str) -> ConnectorError:
    """The error to raise for a refused call; `content` is its parsed JSON, or text."""
    code, message = _first(content)
    rule = next(r for r in RULES if r.matches(status, code, message))
    text = ": ".join(part for part in (code or f"HTTP {status}", message, rule.advice) if part)
    if issubclass(rule.error, CallRefused):
        code = code or f"HTTP_{status}"
        return rule.error(text, connection=connection, code=code, reason=message)
    return rule.error(text, connection=connection)


def _first(content: object) -> tuple[str, str]:
    """Code and message of an error body: usually a list of one, at times one, at times HTML."""
    error = content[0] if isinstance(content, list) and content else content
    if not isinstance(error, Mapping):
        return "", ""
    return str(error.get("errorCode", "")), hushed(str(error.get("message", "")))


def of_login(code: str | int | None, message: str, connection: str) -> ConnectorError:
    """The error to raise for a refused log-in; a number as code means an answer of no form.

    Words are passed on with a code that is known alone: others could repeat what was sent.
    """
    if isinstance(code, int):
        return TemporaryError(f"log-in answered HTTP {code}", connection=connection)
    plain = str(code).removeprefix("sf:")
    if not re.fullmatch(r"\w{1,60}", plain):
        return CredentialsError(
            f"log-in refused without a reason: {UNKNOWN_LOGIN}", connection=connection
        )
    advice = LOGIN_ADVICE.get(plain)
    said = [plain, hushed(message), advice] if advice else [plain, UNKNOWN_LOGIN]
    return CredentialsError(f"log-in refused: {': '.join(said)}", connection=connection)
