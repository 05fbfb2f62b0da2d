"""The face itself: which path is answered by what, behind tokens and rate limits."""

import re
import time
from collections.abc import Callable, Collection

import connectors.sandbox.hubspot.associations as associations
import connectors.sandbox.hubspot.events as events
import connectors.sandbox.hubspot.reading as reading
import connectors.sandbox.hubspot.schema as schema
import connectors.sandbox.hubspot.writing as writing
from connectors.sandbox.crm import Crm
from connectors.sandbox.http import Request, Response
from connectors.sandbox.hubspot.call import Call
from connectors.sandbox.hubspot.index import Index
from connectors.sandbox.hubspot.limits import (
    SCOPES,
    TOKEN,
    Access,
    Limits,
    Timer,
    Window,
)
from connectors.sandbox.hubspot.objects import OBJECTS
from connectors.sandbox.hubspot.replies import ApiError, html, not_found
from connectors.sandbox.hubspot.search import LaggingIndex, search

LONGEST_TARGET = 16_000
"""Characters of path and query from which the edge answers 414, in HTML."""

Handler = Callable[..., Response]


class HubSpotFace:
    """HubSpot's API over a CRM: give it to a `Server`, and its address to the client library.

    `tokens` are the private-app tokens that are good and `scopes` what every token may do;
    OAuth tokens come from the token endpoint (`limits.CLIENT_ID`, ...). `ten_secondly`,
    `searches_per_second` and `daily` are the account's limits. Search shows what was
    `index_lag` seconds ago. Only an `enterprise` account answers the events API. `timer`
    gives seconds for rate windows and the life of tokens; stamps are the CRM clock's. What is
    used of the quotas is in `limits` and what search shows in `lagging`; both may be changed at
    any time.
    """

    def __init__(
        self,
        crm: Crm,
        *,
        tokens: Collection[str] = (TOKEN,),
        scopes: Collection[str] = SCOPES,
        ten_secondly: int = 190,
        searches_per_second: int = 5,
        daily: int = 650_000,
        index_lag: float = 0.0,
        enterprise: bool = True,
        timer: Timer = time.monotonic,
    ) -> None:
        self.crm = crm
        self._access = Access(tokens, scopes, timer)
        self.limits = Limits(
            Window(ten_secondly, 10.0, timer), Window(searches_per_second, 1.0, timer), daily
        )
        self.lagging = LaggingIndex(crm, index_lag)
        self._groups = schema.Groups()
        with crm.lock:
            schema.install(crm)
            self._index = Index(crm)
            self._observe()
        self._routes = [
            (method, re.compile(pattern), handler)
            for method, pattern, handler in self._table(enterprise)
        ]

    def __call__(self, request: Request) -> Response:
        """Answer a request; every answer, also a refusal, has HubSpot's shape."""
        if len(request.target) > LONGEST_TARGET:
            return html(414, "Request-URI Too Large")
        path = request.path.rstrip("/")
        searching = request.method == "POST" and path.endswith("/search")
        headers: dict[str, str] = {}
        with self.crm.lock:
            try:
                if (request.method, path) == ("POST", "/oauth/v1/token"):
                    return self._access.issue(request)
                oauth = self._access.admit(request)
                try:
                    self.limits.take(search=searching)
                finally:
                    if not searching:
                        headers = self.limits.headers(oauth=oauth)
                response = self._answer(request, path)
            except ApiError as error:
                response = error.response
        return Response(response.status, response.body, response.headers | headers)

    def _answer(self, request: Request, path: str) -> Response:
        if not self._index.holds():
            self._index = Index(self.crm)
            self._observe()
        handler, arguments = self._route(request.method, path)
        key = f"{request.method} {request.target} {request.body!r}"
        index = self._index
        kept: Response | None = index.memo.get(key)
        if kept is not None:
            return kept
        response = handler(Call(request, self.crm, index, self._access), *arguments)
        if handler in _KEPT and index.holds():
            index.memo[key] = response
        return response

    def _observe(self) -> None:
        for kind in OBJECTS.values():
            self.lagging.observe(self._index, kind)

    def _route(self, method: str, path: str) -> tuple[Handler, tuple[str, ...]]:
        for verb, pattern, handler in self._routes:
            if verb == method and (match := pattern.fullmatch(path)):
                return handler, match.groups()
        raise not_found()

    def _table(self, enterprise: bool) -> list[tuple[str, str, Handler]]:
        objects, properties = r"/crm/v3/objects/([\w-]+)", r"/crm/v3/properties/([\w-]+)"
        groups, lagging, limits = self._groups, self.lagging, self.limits
        return [
            ("GET", objects, reading.page),
            ("POST", objects, writing.create),
            ("POST", f"{objects}/search", lambda call, kind: search(call, kind, lagging)),
            ("POST", f"{objects}/merge", writing.merge),
            ("POST", f"{objects}/gdpr-delete", writing.erase),
            ("POST", f"{objects}/batch/read", reading.batch_read),
            ("POST", f"{objects}/batch/update", writing.batch_update),
            ("POST", f"{objects}/batch/create", writing.batch_create),
            ("POST", f"{objects}/batch/upsert", writing.batch_upsert),
            ("POST", f"{objects}/batch/archive", writing.batch_archive),
            ("GET", f"{objects}/([^/]+)", reading.get),
            ("PATCH", f"{objects}/([^/]+)", writing.update),
            ("DELETE", f"{objects}/([^/]+)", writing.archive),
            (
                "POST",
                r"/crm/v4/associations/([\w-]+)/([\w-]+)/batch/read",
                associations.batch_read,
            ),
            (
                "GET",
                r"/crm/v4/objects/([\w-]+)/(\d+)/associations/([\w-]+)",
                associations.page,
            ),
            ("GET", properties, schema.properties),
            ("POST", properties, lambda call, kind: schema.create_property(call, kind, groups)),
            (
                "GET",
                f"{properties}/groups",
                lambda call, kind: schema.property_groups(call, kind, groups),
            ),
            (
                "POST",
                f"{properties}/groups",
                lambda call, kind: schema.create_group(call, kind, groups),
            ),
            ("GET", rf"{properties}/(\w+)", schema.property_named),
            ("PATCH", rf"{properties}/(\w+)", schema.change_property),
            ("DELETE", rf"{properties}/(\w+)", schema.archive_property),
            ("GET", "/crm/v3/owners", schema.owners),
            ("GET", r"/crm/v3/owners/(\d+)", schema.owner),
            ("GET", r"/crm/v3/pipelines/([\w-]+)", schema.pipelines),
            ("GET", r"/crm/v3/pipelines/([\w-]+)/([^/]+)", schema.pipelines),
            ("GET", "/events/v3/events", lambda call: events.contact_events(call, enterprise)),
            ("GET", "/email/public/v1/events", events.email_events),
            ("GET", "/marketing/v3/forms", events.forms),
            (
                "GET",
                r"/form-integrations/v1/submissions/forms/([\w-]+)",
                events.submissions,
            ),
            (
                "GET",
                "/account-info/v3/api-usage/daily/private-apps",
                lambda call: schema.daily_usage(call, limits),
            ),
        ]


_KEPT: frozenset[Handler] = frozenset(
    (reading.page, reading.batch_read, associations.batch_read, schema.properties)
)
"""Reads whose answer is the same until the CRM changes: rendered once for each request."""
