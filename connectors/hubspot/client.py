"""The HubSpot gateway: every call to the API, and the only import of the vendor library.

One `ApiClient` of the library is shared by all its API classes: one pool of connections, one
token, one family of exceptions. The library's models are bypassed (`_preload_content=False`):
they cost forty times what parsing the JSON does. So are its retries, which repeat reads only
and hide what they do: rate, retry and renewal of the token follow one policy here.
"""

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

from hubspot.crm.associations.v4 import BatchApi as AssociationsApi
from hubspot.crm.objects import ApiClient, BasicApi, BatchApi, Configuration, SearchApi
from hubspot.crm.objects.exceptions import ApiException
from hubspot.crm.owners import OwnersApi
from hubspot.crm.properties import CoreApi
from hubspot.events import EventsApi
from hubspot.marketing.forms import FormsApi
from hubspot.oauth import TokensApi
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from connectors.errors import CredentialsError, OutcomeUnknown, TemporaryError
from connectors.hubspot.failures import MissingScope, Refused, translated
from connectors.hubspot.settings import HubSpotSettings, OAuth
from connectors.lanes import Lanes
from connectors.throttle import Bucket, Sleep, retried
from connectors.usage import Quota, Usage

Json = dict[str, Any]

LIST_PAGE = 100
SEARCH_PAGE = 200
BATCH = 100
HISTORY_BATCH = 50
ASSOCIATIONS = 1_000
OWNERS_PAGE = 500
SUBMISSIONS_PAGE = 50
EVENTS_PAGE = 1_000

TIMEOUT = (10.0, 120.0)
"""Seconds to connect and to read; the vendor's edge gives up after 100 s with a 524."""

RENEW_BEFORE = 60.0
"""Seconds before its end at which an OAuth token is renewed."""

SHARE = 0.8
"""Share of the stated rate that is used: the account has other apps."""


class Gateway:
    """All calls to one HubSpot account, counted by class in `usage`.

    Thread-safe, as the library's client is: `lanes` has several calls under way at once.
    Every method raises CredentialsError (MissingScope for a 403), QuotaExhausted,
    TemporaryError after the retries of `connectors.throttle`, or Refused.
    """

    def __init__(
        self,
        name: str,
        settings: HubSpotSettings,
        usage: Usage,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Sleep = time.sleep,
    ) -> None:
        self.name = name
        self._usage = usage
        self._clock = clock
        self._sleep = sleep
        self._date = ""
        # 4 of 5 searches a second; Free accounts may make 100 other calls in 10 s.
        self._search_rate = Bucket(usage, "search", 4, 1.0, clock=clock, sleep=sleep)
        self._rate = Bucket(usage, "calls", int(100 * SHARE), 10.0, clock=clock, sleep=sleep)
        self.lanes = Lanes(settings.concurrency)
        self._configuration = Configuration()
        self._configuration.host = settings.url
        self._configuration.retries = False
        self._oauth = settings.token if isinstance(settings.token, OAuth) else None
        self._expires = 0.0
        self._renewing = threading.Lock()
        if not isinstance(settings.token, OAuth):
            self._configuration.access_token = settings.token.get_secret_value()
        wire = self._wire = ApiClient(self._configuration)
        wire.set_default_header("Accept-Encoding", "gzip")
        self._basic, self._batch, self._search = BasicApi(wire), BatchApi(wire), SearchApi(wire)
        self._associations, self._owners = AssociationsApi(wire), OwnersApi(wire)
        self._properties, self._tokens = CoreApi(wire), TokensApi(wire)
        self._events, self._forms = EventsApi(wire), FormsApi(wire)

    def page(
        self, object_type: str, properties: Sequence[str], after: str = "", archived: bool = False
    ) -> Json:
        """One page of all records, in order of id, from the primary store."""
        return self._call(
            "read",
            f"list of {object_type}",
            self._basic.get_page,
            object_type,
            limit=LIST_PAGE,
            after=after or None,
            properties=list(properties),
            archived=archived,
        )

    def search(self, object_type: str, query: Json) -> Json:
        """One page of a search: at most 200 records and 3,000 characters of query."""
        return self._call(
            "search", f"search in {object_type}", self._search.do_search, object_type, query
        )

    def read(
        self,
        object_type: str,
        ids: Iterable[str],
        properties: Sequence[str],
        id_property: str | None = None,
        history: Sequence[str] = (),
    ) -> list[Json]:
        """Records by id, or by a unique property, in calls of 100; unknown ones are absent.

        With the `history` of some properties, in calls of 50.
        """

        def batch(some: Sequence[str]) -> list[Json]:
            query: Json = {
                "inputs": [{"id": i} for i in some],
                "properties": list(properties),
                "propertiesWithHistory": list(history),
            }
            if id_property:
                query["idProperty"] = id_property
            reply = self._call(
                "read", f"batch read of {object_type}", self._batch.read, object_type, query
            )
            return list(reply["results"])

        batches = chunked(list(dict.fromkeys(ids)), HISTORY_BATCH if history else BATCH)
        return [record for some in self.lanes.each(batch, batches) for record in some]

    def update(self, object_type: str, inputs: Sequence[Json]) -> Json:
        """Update up to 100 records. Raises OutcomeUnknown where no answer came; not repeated."""
        return self._call(
            "write",
            f"batch update of {object_type}",
            self._batch.update,
            object_type,
            {"inputs": list(inputs)},
            idempotent=False,
        )

    def create(self, object_type: str, record: Json) -> Json:
        """Create a record. Raises OutcomeUnknown where no answer came; not repeated."""
        return self._call(
            "write",
            f"new record of {object_type}",
            self._basic.create,
            object_type,
            record,
            idempotent=False,
        )

    def associations(self, from_type: str, to_type: str, inputs: Sequence[Json]) -> Json:
        """What up to 1,000 records are associated with; each input may carry its `after`."""
        return self._call(
            "read",
            f"associations of {from_type} with {to_type}",
            self._associations.get_page,
            from_type,
            to_type,
            {"inputs": list(inputs)},
        )

    def owners(self, after: str = "", archived: bool = False) -> Json:
        """One page of owners, or of removed ones."""
        return self._call(
            "read",
            "list of owners",
            self._owners.get_page,
            limit=OWNERS_PAGE,
            after=after or None,
            archived=archived,
        )

    def properties(self, object_type: str) -> Json:
        """All property definitions of an object."""
        return self._call(
            "describe", f"properties of {object_type}", self._properties.get_all, object_type
        )

    def create_property(self, object_type: str, definition: Json) -> None:
        """Create a property."""
        self._call(
            "write",
            f"new property of {object_type}",
            self._properties.create,
            object_type,
            definition,
        )

    def events(self, contact: str, since: datetime | None, until: datetime, after: str) -> Json:
        """One page of the behavioural events of one contact."""
        return self._call(
            "read",
            "events of a contact (/events/v3/events)",
            self._events.get_page,
            object_type="contact",
            object_id=int(contact),
            occurred_after=since,
            occurred_before=until,
            limit=EVENTS_PAGE,
            after=after or None,
        )

    def forms(self, after: str = "") -> Json:
        """One page of forms of every type; without the type only HubSpot's own are listed."""
        return self._call(
            "read",
            "list of forms (/marketing/v3/forms)",
            self._forms.get_page,
            form_types=["all"],
            limit=LIST_PAGE,
            after=after or None,
        )

    def submissions(self, form: str, after: str = "") -> Json:
        """One page of the submissions of a form, newest first."""
        query = {"limit": SUBMISSIONS_PAGE, **({"after": after} if after else {})}
        return self._get(f"/form-integrations/v1/submissions/forms/{quote(form, safe='')}", query)

    def email_events(self, kind: str, since: int, until: int, offset: str = "") -> Json:
        """One page of marketing e-mail events of the account; times in epoch milliseconds."""
        query: Json = {"eventType": kind, "startTimestamp": since, "endTimestamp": until}
        query |= {"limit": EVENTS_PAGE, **({"offset": offset} if offset else {})}
        return self._get("/email/public/v1/events", query)

    def now(self) -> datetime:
        """HubSpot's clock, to the second: the Date of a small reply."""
        self.page("contacts", ["hs_object_id"])
        return parsedate_to_datetime(self._date).astimezone(UTC)

    def close(self) -> None:
        """Close all connections."""
        self._wire.rest_client.pool_manager.clear()
        self._wire.close()

    def _get(self, path: str, query: Json) -> Json:
        """A GET of an endpoint that the library does not cover."""
        return self._call(
            "read",
            path,
            self._wire.call_api,
            path,
            "GET",
            query_params=list(query.items()),
            header_params={"Accept": "application/json"},
            auth_settings=["oauth2"],
        )

    def _call(
        self,
        kind: str,
        what: str,
        method: Callable[..., Any],
        *arguments: Any,
        idempotent: bool = True,
        **options: Any,
    ) -> Json:
        def attempt() -> Json:
            self._authorise()
            token = self._configuration.access_token
            try:
                return self._once(kind, what, method, *arguments, **options)
            except MissingScope:
                raise
            except CredentialsError:
                # A valid token is sometimes refused (airbyte PR#60937); an OAuth token may
                # have been revoked early. Once more, with a new token where there is one.
                self._authorise(instead_of=token)
                return self._once(kind, what, method, *arguments, **options)

        return retried(attempt, self._usage, idempotent=idempotent, sleep=self._sleep)

    def _once(
        self, kind: str, what: str, method: Callable[..., Any], *arguments: Any, **options: Any
    ) -> Json:
        with self.lanes.lane():
            # Within the lane: a call that is counted goes out at once.
            (self._search_rate if kind == "search" else self._rate).take()
            with self._usage.call(kind), self.lanes.heeded(kind):
                headers, reply = self._sent(what, method, *arguments, **options)
                self._learn(headers)
        return reply

    def _sent(
        self, what: str, method: Callable[..., Any], *arguments: Any, **options: Any
    ) -> tuple[Mapping[str, str], Json]:
        """What the library answers, or the error that its error means."""
        try:
            response = method(
                *arguments, _preload_content=False, _request_timeout=TIMEOUT, **options
            )
            body = response.data
        except ApiException as error:
            raise translated(
                self.name, what, error.status, error.headers or {}, error.body or ""
            ) from None
        except (NewConnectionError, ConnectTimeoutError):
            raise TemporaryError(
                f"{what}: cannot reach {self._configuration.host}", connection=self.name
            ) from None
        except HTTPError as error:
            raise OutcomeUnknown(
                f"{what}: connection lost ({type(error).__name__})", connection=self.name
            ) from None
        except AttributeError as error:
            # The library decodes the body of its own TLS error, which has none.
            if getattr(error.__context__, "status", None) != 0:
                raise
            raise TemporaryError(
                f"{what}: no TLS connection to {self._configuration.host}",
                connection=self.name,
            ) from None
        return response.headers, self._parsed(what, body)

    def _parsed(self, what: str, body: bytes) -> Json:
        try:
            reply = json.loads(body)
        except ValueError:
            reply = None
        if not isinstance(reply, dict):
            raise OutcomeUnknown(f"{what}: the answer is not JSON", connection=self.name)
        return reply

    def _learn(self, headers: Mapping[str, str]) -> None:
        """Take the rate, the daily quota and the time from a reply; search states no rate."""
        self._date = headers.get("Date", self._date)
        limit = headers.get("X-HubSpot-RateLimit-Max")
        interval = headers.get("X-HubSpot-RateLimit-Interval-Milliseconds")
        if limit and interval:
            self._rate.calls = max(1, int(int(limit) * SHARE))
            self._rate.seconds = int(interval) / 1_000
        daily = headers.get("X-HubSpot-RateLimit-Daily")
        remaining = headers.get("X-HubSpot-RateLimit-Daily-Remaining")
        if daily and remaining:
            self._usage.said(Quota(int(daily) - int(remaining), int(daily)))

    def _authorise(self, *, instead_of: str | None = None) -> None:
        """Get a token by OAuth when there is none, or it is about to expire or was refused."""
        if self._oauth is None:
            return
        with self._renewing:
            good = self._configuration.access_token != instead_of
            if not good or self._clock() >= self._expires:
                self._renew(self._oauth)

    def _renew(self, oauth: OAuth) -> None:
        try:
            reply = self._once(
                "login",
                "login (/oauth/v1/token)",
                self._tokens.create,
                grant_type="refresh_token",
                client_id=oauth.client_id,
                client_secret=oauth.client_secret.get_secret_value(),
                refresh_token=oauth.refresh_token.get_secret_value(),
            )
        except Refused as error:
            advice = "correct the client id and secret, or authorise the app again"
            raise CredentialsError(f"{error.args[0]} - {advice}", connection=self.name) from None
        self._configuration.access_token = reply["access_token"]
        self._expires = self._clock() + float(reply["expires_in"]) - RENEW_BEFORE


def chunked(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """A sequence in pieces of at most `size`."""
    return [items[start : start + size] for start in range(0, len(items), size)]
