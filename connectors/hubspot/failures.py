"""HubSpot's error replies, translated from one table into errors named for the reaction."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.errors import (
    ConnectorError,
    CredentialsError,
    OutcomeUnknown,
    QuotaExhausted,
    RateLimited,
    TemporaryError,
    hushed,
)


class MissingScope(CredentialsError):
    """The token lacks a scope, or the account an edition, for one endpoint."""


class Locked(TemporaryError):
    """Records of a write are locked by somebody else's writes."""


@dataclass(frozen=True)
class Refusal:
    """What HubSpot says of a refusal, without the values that it repeats in its message.

    `properties` are those that it names as not valid; `code` is the word for the first.
    """

    code: str
    reason: str
    properties: tuple[str, ...] = ()


class Refused(ConnectorError):
    """HubSpot refuses a request as it stands."""

    def __init__(self, message: str, *, connection: str, status: int, refusal: Refusal) -> None:
        super().__init__(message, connection=connection)
        self.status = status
        self.refusal = refusal


class Gone(Refused):
    """What was asked for does not exist, or no longer."""


@dataclass(frozen=True)
class Reaction:
    """What an error means, what to do, and the wait in seconds where HubSpot names none."""

    error: type[ConnectorError]
    advice: str = ""
    wait: float | None = None


REACTIONS: Mapping[tuple[int, str], Reaction] = {
    (401, ""): Reaction(CredentialsError, "the token is not valid: create or renew it"),
    # The scope that HubSpot names can be the wrong one (hubspot-api-nodejs#268).
    (403, ""): Reaction(MissingScope, "grant the app the scope that this endpoint needs"),
    (404, ""): Reaction(Gone),
    (407, ""): Reaction(CredentialsError, "the proxy asks for credentials"),
    (408, ""): Reaction(OutcomeUnknown),
    (423, ""): Reaction(Locked, "locked by concurrent writes", 2.0),
    (429, ""): Reaction(RateLimited),
    # No Retry-After comes with a 429: the policy's own window is the wait.
    (429, "SECONDLY"): Reaction(RateLimited, "", 1.0),
    (429, "TEN_SECONDLY_ROLLING"): Reaction(RateLimited, "", 10.0),
    (429, "DAILY"): Reaction(QuotaExhausted, "the daily quota is used up until midnight"),
    (477, ""): Reaction(TemporaryError, "the account is moving to another data centre"),
}
"""(status, category or policy) -> reaction. Other 4xx are refusals. After a 5xx a write may have
been carried out: HubSpot failed within it, or the edge before it gave up after passing it on."""

SENT_ON = "sent on, and not followed, as that would be told the token: check url"

_EMAIL = re.compile(r"[^\s\"'<>:,;]+@[^\s\"'<>:,;]+")


def translated(
    connection: str, what: str, status: int, headers: Mapping[str, str], body: str
) -> ConnectorError:
    """The error for a reply with an error status; `what` names the endpoint."""
    reply = _reply(body)
    word = reply.get("policyName") or reply.get("category") or reply.get("status") or ""
    reaction = REACTIONS.get((status, word)) or REACTIONS.get((status, ""))
    if reaction is None and status < 400:
        reaction = Reaction(TemporaryError, SENT_ON)
    if reaction is None:
        reaction = Reaction(OutcomeUnknown if status >= 500 else Refused)
    said = refusal(reply, status)
    message = f"{what}: {status} {said.code}: {said.reason}"
    if reaction.advice:
        message += f" - {reaction.advice}"
    if issubclass(reaction.error, Refused):
        return reaction.error(message, connection=connection, status=status, refusal=said)
    if issubclass(reaction.error, TemporaryError):
        asked = headers.get("Retry-After", "")
        wait = float(asked) if asked.isdigit() else reaction.wait
        return reaction.error(message, connection=connection, retry_after=wait)
    return reaction.error(message, connection=connection)


def _reply(body: str) -> dict[str, Any]:
    """The body of an error reply; the edge answers in HTML, which says nothing more."""
    try:
        reply = json.loads(body)
    except ValueError:
        return {}
    return reply if isinstance(reply, dict) else {}


def refusal(reply: dict[str, Any], status: int) -> Refusal:
    """What an error says. Refused properties are named in a JSON list inside its message."""
    message = hushed(str(reply.get("message", "")))
    code = str(reply.get("category") or reply.get("status") or f"HTTP_{status}")
    start = message.find("[{")
    if start < 0:
        return Refusal(code, _EMAIL.sub("(e-mail)", message)[:300] or "no reason given")
    try:
        problems, _ = json.JSONDecoder().raw_decode(message[start:])
    except ValueError:
        return Refusal(code, message[:start].strip(" :"))
    named = tuple(str(problem.get("name")) for problem in problems)
    words = [str(problem.get("error") or code) for problem in problems]
    reasons = (f"{name}: {word}" for name, word in zip(named, words, strict=True))
    return Refusal(words[0], "; ".join(reasons), named)
