"""Who may call, and how often: tokens, scopes, rate windows and the daily quota."""

import re
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from connectors.sandbox.http import Request, Response
from connectors.sandbox.hubspot.replies import ApiError, missing_scopes, rate_limited, reply

Timer = Callable[[], float]

TOKEN = "pat-sandbox-token"
CLIENT_ID = "sandbox-client"
CLIENT_SECRET = "sandbox-secret"
REFRESH_TOKEN = "sandbox-refresh"
LIFETIME = 1800
"""Seconds for which an OAuth access token is good."""

SCOPES = frozenset(
    f"crm.{area}.{name}.{verb}"
    for area in ("objects", "schemas")
    for name in ("contacts", "companies", "deals")
    for verb in ("read", "write")
) | {
    "crm.objects.owners.read",
    "sales-email-read",
    "forms",
    "content",
    "business-intelligence",
}
"""Every scope that an endpoint of this face asks for."""


class Window:
    """At most `limit` calls in any `seconds`; a call beyond it is not counted."""

    def __init__(self, limit: int, seconds: float, timer: Timer) -> None:
        self.limit = limit
        self._seconds = seconds
        self._timer = timer
        self._calls: deque[float] = deque()

    def take(self) -> bool:
        """Count a call; False when it is one too many."""
        now = self._timer()
        while self._calls and self._calls[0] <= now - self._seconds:
            self._calls.popleft()
        if len(self._calls) >= self.limit:
            return False
        self._calls.append(now)
        return True

    @property
    def remaining(self) -> int:
        """How many calls are left just after one was taken."""
        return self.limit - len(self._calls)


@dataclass
class Limits:
    """The rate windows of the account. Search has its own, and tells nothing of it."""

    rolling: Window
    search: Window
    daily: int
    used: int = 0

    def take(self, *, search: bool) -> None:
        """Count a call. Raises ApiError when a limit is reached."""
        if self.used >= self.daily:
            raise rate_limited("DAILY")
        if search:
            if not self.search.take():
                raise rate_limited("SECONDLY")
        elif not self.rolling.take():
            raise rate_limited("TEN_SECONDLY_ROLLING")
        self.used += 1

    def headers(self, *, oauth: bool) -> dict[str, str]:
        """The rate headers of every answer but those of search; no day's quota with OAuth."""
        headers = {
            "X-HubSpot-RateLimit-Max": str(self.rolling.limit),
            "X-HubSpot-RateLimit-Remaining": str(self.rolling.remaining),
            "X-HubSpot-RateLimit-Interval-Milliseconds": "10000",
        }
        if not oauth:
            headers["X-HubSpot-RateLimit-Daily"] = str(self.daily)
            headers["X-HubSpot-RateLimit-Daily-Remaining"] = str(self.daily - self.used)
        return headers


@dataclass
class Access:
    """The tokens that are good, and the scopes that all of them carry."""

    tokens: Collection[str]
    scopes: Collection[str]
    timer: Timer
    _issued: dict[str, float] = field(default_factory=dict)

    def issue(self, request: Request) -> Response:
        """The OAuth token endpoint: a refresh token for an access token of 30 minutes."""
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        if form.get("grant_type") != "refresh_token":
            raise ApiError(400, "", "grant_type is not supported", word="BAD_GRANT_TYPE")
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            raise ApiError(400, "", "missing or unknown client id or secret", word="BAD_CLIENT_ID")
        if form.get("refresh_token") != REFRESH_TOKEN:
            raise ApiError(400, "", "missing or invalid refresh token", word="BAD_REFRESH_TOKEN")
        token = f"oauth-{len(self._issued) + 1}"
        self._issued[token] = self.timer() + LIFETIME
        return reply(
            200,
            {
                "token_type": "bearer",
                "access_token": token,
                "refresh_token": REFRESH_TOKEN,
                "expires_in": LIFETIME,
            },
        )

    def admit(self, request: Request) -> bool:
        """Check the bearer token; True when it is OAuth's. Raises ApiError with 401."""
        match = re.fullmatch(r"Bearer (\S+)", request.headers.get("authorization", ""))
        token = match[1] if match else ""
        if token in self.tokens:
            return False
        expiry = self._issued.get(token)
        if expiry is None:
            raise ApiError(
                401,
                "INVALID_AUTHENTICATION",
                "Authentication credentials not found. This API supports OAuth 2.0 "
                "authentication and you can find more details at "
                "https://developers.hubspot.com/docs/methods/auth/oauth-overview",
            )
        late = int(self.timer() - expiry)
        if late >= 0:
            raise ApiError(
                401,
                "EXPIRED_AUTHENTICATION",
                f"The OAuth token used to make this call expired {late} second(s) ago.",
            )
        return True

    def require(self, *scopes: str) -> None:
        """Raises ApiError with 403 when a scope is not granted."""
        missing = [scope for scope in scopes if scope not in self.scopes]
        if missing:
            raise missing_scopes(missing)
