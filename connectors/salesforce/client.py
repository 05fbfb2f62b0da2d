"""The only door to Salesforce, and the only import of simple-salesforce.

`SalesforceClient` logs in, renews an ended session, repeats what may be repeated, and turns
every vendor error into one of `connectors.errors`. What travels on the wire is said in `wire`,
what an error means in `failures`.
"""

import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from jwt.exceptions import PyJWTError
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceError,
    SalesforceExpiredSession,
)
from simple_salesforce.login import SalesforceLogin
from simple_salesforce.util import call_salesforce
from urllib3.exceptions import MaxRetryError, NewConnectionError

from connectors.errors import ConnectorError, CredentialsError, OutcomeUnknown, TemporaryError
from connectors.salesforce import failures
from connectors.salesforce.failures import LocatorLost
from connectors.salesforce.settings import (
    ClientCredentials,
    Jwt,
    Password,
    SalesforceSettings,
    Session,
)
from connectors.salesforce.wire import Wire
from connectors.throttle import Sleep, retried
from connectors.usage import Usage

T = TypeVar("T")


@dataclass(frozen=True)
class QueryPage:
    """A page of a REST query: its records, how many there are in all, where the next one is."""

    records: list[dict[str, Any]]
    total: int
    next: str | None


class SalesforceClient:
    """Calls to one org. Logs in at the first call, and again when the session has ended."""

    def __init__(
        self, settings: SalesforceSettings, name: str, usage: Usage, sleep: Sleep = time.sleep
    ) -> None:
        self._settings = settings
        self.name = name
        self._sleep = sleep
        self._usage = usage
        self._wire = Wire(settings, name, usage)
        self._session: Salesforce | None = None
        self._login_lock = threading.Lock()
        self._asked_time = False

    def now(self) -> datetime:
        """The org's clock, from the Date header of one small call.

        The first time, that of the last answer will do: a run asks as it begins, and to be some
        seconds behind only leaves them to the next pull.
        """
        self._call(lambda _: None)
        if self._asked_time or self._wire.server_time is None:
            self.get("")
        self._asked_time = True
        if self._wire.server_time is None:
            raise TemporaryError("an answer without a Date", connection=self.name)
        return self._wire.server_time

    def user_id(self) -> str:
        """The record id of the user that is logged in."""
        return str(self.get("")["identity"]).rpartition("/")[2]

    def query(self, soql: str) -> QueryPage:
        """The first page of a query over all records, deleted and archived ones too."""
        return self._page(lambda sf: sf.query(soql, include_deleted=True))

    def records(self, soql: str) -> list[dict[str, Any]]:
        """All records of a small query; asked once more where the rest of it was lost."""
        try:
            return list(self._all(soql))
        except LocatorLost:
            return list(self._all(soql))

    def _all(self, soql: str) -> Iterator[dict[str, Any]]:
        page = self.query(soql)
        yield from page.records
        while page.next is not None:
            page = self.query_more(page.next)
            yield from page.records

    def count(self, soql: str) -> int:
        """What a COUNT() query says."""
        return self.query(soql).total

    def query_more(self, next: str) -> QueryPage:
        """A further page. Raises LocatorLost when it cannot be had any more."""
        expired = LocatorLost("the session ended within a query", connection=self.name)
        return self._page(lambda sf: sf.query_more(next, identifier_is_url=True), expired=expired)

    def _page(
        self, ask: Callable[[Salesforce], Any], expired: ConnectorError | None = None
    ) -> QueryPage:
        reply = self._call(ask, expired=expired)
        return QueryPage(reply["records"], reply["totalSize"], reply.get("nextRecordsUrl"))

    def describe(self, names: Sequence[str]) -> dict[str, list[dict[str, Any]] | ConnectorError]:
        """The fields of up to 25 objects, in one call; an error for each that is refused."""
        root = f"/services/data/v{self._settings.api_version}/sobjects"
        parts = [
            {"method": "GET", "url": f"{root}/{name}/describe", "referenceId": name}
            for name in names
        ]
        reply = self.send("POST", "composite", {"compositeRequest": parts})
        return {
            part["referenceId"]: part["body"]["fields"]
            if part["httpStatusCode"] == HTTPStatus.OK
            else failures.of_call(part["httpStatusCode"], part["body"], self.name)
            for part in reply["compositeResponse"]
        }

    def get(self, path: str) -> Any:
        """A JSON resource under the API version's root."""
        return self._call(lambda sf: sf.restful(path))

    def send(self, method: str, path: str, body: Any, *, idempotent: bool = True) -> Any:
        """Send JSON. Not idempotent: raises OutcomeUnknown instead of sending it again."""
        return self._call(
            lambda sf: sf.restful(path, method=method, json=body), idempotent=idempotent
        )

    def download(self, path: str) -> requests.Response:
        """A resource that is not JSON, such as a page of bulk results."""
        return self._call(lambda sf: self._raw(sf, "GET", path))

    def upload(self, path: str, csv: bytes) -> None:
        """Put CSV. Raises OutcomeUnknown when no answer came."""
        self._call(
            lambda sf: self._raw(
                sf, "PUT", path, data=csv, additional_headers={"Content-Type": "text/csv"}
            ),
            idempotent=False,
        )

    def look(self) -> None:
        """Raise Interrupted where whoever uses the client was asked to stop."""
        self._usage.look()

    def close(self) -> None:
        """Close the connections. No log-out: other programs may share the user's session."""
        self._wire.close()

    def _raw(self, sf: Salesforce, method: str, path: str, **options: Any) -> requests.Response:
        return call_salesforce(sf.base_url + path, method, self._wire, dict(sf.headers), **options)

    def _call(
        self,
        act: Callable[[Salesforce], T],
        *,
        idempotent: bool = True,
        expired: ConnectorError | None = None,
    ) -> T:
        """Act within a session; renew an expired one once, then raise `expired` if given."""

        def once() -> T:
            sf = self._logged_in()
            try:
                return self._translated(lambda: act(sf))
            except SalesforceExpiredSession as error:
                self._log_out(sf, error)
                if expired:
                    raise expired from error
            try:
                return self._translated(lambda: act(self._logged_in()))
            except SalesforceExpiredSession as error:
                raise CredentialsError(
                    "Salesforce refuses the session right after log-in: check the session "
                    "settings of the connected app and its IP restrictions",
                    connection=self.name,
                ) from error

        return retried(once, self._usage, idempotent=idempotent, sleep=self._sleep)

    def _logged_in(self) -> Salesforce:
        with self._login_lock:
            if self._session is None:
                session_id, instance = self._log_in()
                # A client made of a session does not log in again by itself: the library's own
                # renewal drops headers, keeps the old host and can go on for ever.
                self._session = Salesforce(
                    session_id=session_id,
                    instance_url=f"https://{instance}",
                    version=self._settings.api_version,
                    session=self._wire,
                    parse_float=str,
                    object_pairs_hook=None,
                )
            return self._session

    def _log_out(self, expired: Salesforce, error: Exception) -> None:
        if self._settings.auth.flow == "session":
            raise CredentialsError(
                "the session has ended or was refused: give a new session_id, or use a flow "
                "that can renew it (client_credentials, jwt)",
                connection=self.name,
            ) from error
        with self._login_lock:
            if self._session is expired:
                self._session = None

    def _log_in(self) -> tuple[str, str]:
        auth, domain = self._settings.auth, self._settings.domain
        login: dict[str, Any]
        match auth:
            case Session():
                host = urlsplit(self._settings.url).netloc
                return auth.session_id.get_secret_value(), host
            case ClientCredentials():
                login = {
                    "consumer_key": auth.client_id,
                    "consumer_secret": auth.client_secret.get_secret_value(),
                    "domain": domain,
                }
            case Jwt():
                login = {
                    "consumer_key": auth.client_id,
                    "username": auth.username,
                    "privatekey": auth.private_key.get_secret_value(),
                    "domain": "test" if ".sandbox." in domain or domain == "test" else "login",
                    "instance_url": domain,
                }
            case Password():
                login = {
                    "username": auth.username,
                    "password": auth.password.get_secret_value(),
                    "security_token": auth.security_token.get_secret_value(),
                    "domain": domain,
                }
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the library also warns of what it then raises
                version = self._settings.api_version
                return self._translated(
                    lambda: SalesforceLogin(session=self._wire, sf_version=version, **login)
                )
        except (PyJWTError, ValueError) as error:
            raise CredentialsError(
                "private_key is not an RSA private key in PEM form", connection=self.name
            ) from error
        except AttributeError as error:
            # The library takes any JSON for an object with a token in it.
            raise TemporaryError(
                f"log-in got an answer that is not Salesforce's: check url {self._settings.url}",
                connection=self.name,
            ) from error

    def _translated(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except SalesforceExpiredSession:
            raise
        except SalesforceAuthenticationFailed as error:
            raise failures.of_login(error.code, error.auth_message, self.name) from error
        except SalesforceError as error:
            raise failures.of_call(error.status, error.content, self.name) from error
        except requests.RequestException as error:
            raise self._network_error(error) from error

    def _network_error(self, error: requests.RequestException) -> TemporaryError:
        where = f"{type(error).__name__} at {self._settings.url}"
        if isinstance(error, requests.ConnectionError) and _never_sent(error):
            return TemporaryError(f"unreachable: {where}", connection=self.name)
        return OutcomeUnknown(f"no complete answer: {where}", connection=self.name)


def _never_sent(error: requests.ConnectionError) -> bool:
    cause = error.args[0] if error.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    return isinstance(error, requests.ConnectTimeout | requests.exceptions.SSLError) or isinstance(
        reason, NewConnectionError
    )
