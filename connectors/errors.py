"""Connector errors, named for what the caller should do about them.

Each carries what is wrong and what to do, for the person who must act. Vendor exceptions are
translated once, in each `client.py`, and never travel further up. No message holds a secret
or personal data: records appear by id alone.
"""

import re

_SENT = re.compile(
    r"(?i)\b(bearer|basic|oauth)\s+[^\s'\",}]+"
    r"|\b(\w*secret|\w*token|password|assertion|code)=[^\s&'\",}]+"
)


def hushed(text: str) -> str:
    """What a server says, without the credentials that it may repeat of a request."""
    return _SENT.sub(lambda found: f"{found[1] or found[2]} (hidden)", text)


class ConnectorError(Exception):
    """Something went wrong with a CRM. `connection` is the name given in config.yaml."""

    def __init__(self, message: str, *, connection: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.connection = connection

    def __str__(self) -> str:
        return f"{self.connection}: {self.message}" if self.connection else self.message


class Interrupted(Exception):
    """No error of a CRM: whoever uses the connector was asked to stop while it waited."""


class CredentialsError(ConnectorError):
    """Fix the credentials, or grant the missing scope or permission."""


class MappingError(ConnectorError):
    """Fix the mapping: a field does not exist, is not writable or has the wrong type."""


class QuotaExhausted(ConnectorError):
    """The daily quota is used up: nothing more today."""


class BudgetSpent(QuotaExhausted):
    """The calls that a run may make are made: run again, it goes on."""


class TemporaryError(ConnectorError):
    """Try again later: unreachable, overloaded, or rate-limited past patience.

    `retry_after` is the wait in seconds that the CRM asked for, if it did.
    """

    def __init__(
        self, message: str, *, connection: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(message, connection=connection)
        self.retry_after = retry_after


class RateLimited(TemporaryError):
    """Wait, then go on: being rate-limited is never a failure of a record."""


class OutcomeUnknown(TemporaryError):
    """A write was sent and no answer came: read the records back before sending again."""
