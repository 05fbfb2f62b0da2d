"""The HTTP session under every call to Salesforce: log-ins, REST and Bulk alike."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from connectors.errors import TemporaryError
from connectors.salesforce.settings import SalesforceSettings
from connectors.settings import is_loopback
from connectors.usage import Quota, Usage

CONNECT_SECONDS = 10
READ_SECONDS = 120
WRITE_SECONDS = 300
"""A Collections write of 200 rows with heavy triggers takes 1-15 s, on bad days minutes."""

CALL_CLASSES = (
    ("login", re.compile(r"/services/(oauth2|Soap)/")),
    ("bulk", re.compile(r"/jobs/")),
    ("describe", re.compile(r"/composite$")),
)
_COLLECTION_READ = re.compile(r"/composite/sobjects/\w+$")


class Wire(requests.Session):
    """Every request to Salesforce: its timeout, its headers, its way and its count.

    Headers are set here and not by the caller, because the library drops a caller's headers
    when it repeats a request, and a lost `Sforce-Auto-Assign` lets assignment rules move leads.
    """

    def __init__(self, settings: SalesforceSettings, name: str, usage: Usage) -> None:
        super().__init__()
        self._name = name
        self._usage = usage
        self._loopback = settings.url if is_loopback(settings.url) else None
        self.server_time: datetime | None = None
        # REQUESTS_CA_BUNDLE would silently override `verify`; and a proxy has no place on loopback.
        self.trust_env = self._loopback is None
        self.mount("https://", HTTPAdapter(pool_maxsize=4))
        self.headers["Sforce-Mru"] = "updateMru=false"
        self.headers["Sforce-Call-Options"] = "client=leadgauge"
        if not settings.duplicate_rules:
            self.headers["Sforce-Duplicate-Rule-Header"] = "allowSave=true"
        if not settings.assignment_rules:
            self.headers["Sforce-Auto-Assign"] = "FALSE"

    def request(  # type: ignore[override]
        self, method: str, url: str, **options: Any
    ) -> requests.Response:
        """Send one request as `requests` does, but where an answer leads elsewhere.

        What a redirect leads to, off TLS at worst, would be told the credentials. Raises
        TemporaryError.
        """
        parts = urlsplit(url)
        kind = _call_class(method, parts.path)
        if self._loopback:
            url = self._loopback + parts._replace(scheme="", netloc="").geturl()
        headers = dict(options.pop("headers", None) or {})
        headers.pop("X-PrettyPrint", None)
        read = WRITE_SECONDS if kind == "write" else READ_SECONDS
        options.setdefault("timeout", (CONNECT_SECONDS, read))
        with self._usage.call(kind):
            options["allow_redirects"] = False
            response = super().request(method, url, headers=headers, **options)
            self._note(response.headers)
        if response.is_redirect:
            host = urlsplit(response.headers["Location"]).hostname
            raise TemporaryError(
                f"sent on to {host or 'another address'}, and not followed, as that would be told "
                "the credentials: check that url is the address of the org itself",
                connection=self._name,
            )
        return response

    def _note(self, headers: Mapping[str, str]) -> None:
        if quota := re.search(
            r"(?<!app-)api-usage=(\d+)/(\d+)", headers.get("Sforce-Limit-Info", "")
        ):
            self._usage.said(Quota(int(quota[1]), int(quota[2])))
        if date := headers.get("Date"):
            self.server_time = parsedate_to_datetime(date).astimezone(UTC)


def _call_class(method: str, path: str) -> str:
    for kind, pattern in CALL_CLASSES:
        if pattern.search(path):
            return kind
    return "read" if method == "GET" or _COLLECTION_READ.search(path) else "write"
