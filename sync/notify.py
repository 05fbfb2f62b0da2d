"""Alerts: who is told that a job changed its state, by e-mail and by a webhook.

Everything goes over verified TLS, but to a loopback address. What cannot be delivered raises
NotifyError, whose message holds no address and no secret.
"""

import json
import smtplib
import socket
import ssl
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from email.message import EmailMessage
from http.client import HTTPException
from typing import Any, TypeVar
from urllib.error import HTTPError
from urllib.request import (
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    Request,
    build_opener,
)

from connectors.settings import is_loopback
from core.hygiene import Standing
from sync.health import State
from sync.service_settings import Alerts, Email, Webhook

TIMEOUT = 20
"""Seconds that a server may be silent."""

TLS_AT_ONCE = 465


class NotifyError(Exception):
    """An alert could not be delivered; the message says by which way, and why."""


@dataclass(frozen=True)
class Alert:
    """A job that changed its state, or the hygiene of a connection that did. `reason` names
    records by id, if any."""

    job: str
    state: State | Standing
    before: str
    reason: str
    run: str | None
    at: datetime

    @property
    def subject(self) -> str:
        """All of it in a line."""
        what = "recovered" if self.state is State.OK else f"is {self.state}"
        return f"leadgauge on {socket.gethostname()}: {self.job} {what}"


def ways(alerts: Alerts | None) -> dict[str, Callable[[Alert], None]]:
    """The configured ways to tell somebody, by name; each raises NotifyError where it cannot."""
    found: dict[str, Callable[[Alert], None]] = {}
    if alerts and alerts.email:
        found["e-mail"] = _told(_mail, alerts.email, "e-mail")
    if alerts and alerts.webhook:
        found["webhook"] = _told(_post, alerts.webhook, "webhook")
    return found


S = TypeVar("S")


def _told(send: Callable[[Alert, S], None], settings: S, name: str) -> Callable[[Alert], None]:
    def tell(alert: Alert) -> None:
        try:
            send(alert, settings)
        except (OSError, smtplib.SMTPException, HTTPException) as error:
            if isinstance(error, HTTPError):
                error.close()
            # An error's own text may repeat an address or a password.
            code = getattr(error, "smtp_code", getattr(error, "code", ""))
            what = f"{type(error).__name__} {code}".strip()
            raise NotifyError(f"alert by {name} not delivered, will try again: {what}") from None

    return tell


def _mail(alert: Alert, settings: Email) -> None:
    message = EmailMessage()
    message["Subject"], message["From"] = alert.subject, settings.sender
    message["To"] = ", ".join(settings.to)
    message.set_content(
        f"{alert.subject}\n\n{alert.reason}\nbefore: {alert.before}\nrun: {alert.run or 'none'}\n"
        f"at: {alert.at:%Y-%m-%d %H:%M:%S} UTC\n"
    )
    with _server(settings) as server:
        if settings.user is not None and settings.password is not None:
            server.login(settings.user, settings.password.get_secret_value())
        server.send_message(message)


def _server(settings: Email) -> smtplib.SMTP:
    """A connection that is safe to log in over."""
    context = ssl.create_default_context()
    place = (settings.server, settings.port)
    if settings.port == TLS_AT_ONCE:
        return smtplib.SMTP_SSL(*place, timeout=TIMEOUT, context=context)
    server = smtplib.SMTP(*place, timeout=TIMEOUT)
    server.ehlo()
    if server.has_extn("starttls") or not is_loopback(f"smtp://{settings.server}"):
        try:
            server.starttls(context=context)
        except BaseException:
            server.close()
            raise
        server.ehlo()
    return server


class _Stay(HTTPRedirectHandler):
    """Follows no redirect: it could lead off TLS, and would take the token along."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _post(alert: Alert, settings: Webhook) -> None:
    headers = {"Content-Type": "application/json"}
    if settings.token is not None:
        headers["Authorization"] = f"Bearer {settings.token.get_secret_value()}"
    body = json.dumps({**asdict(alert), "text": f"{alert.subject}: {alert.reason}"}, default=str)
    request = Request(settings.url.get_secret_value(), body.encode(), headers, method="POST")
    with _opener().open(request, timeout=TIMEOUT):
        pass


def _opener() -> OpenerDirector:
    return build_opener(HTTPSHandler(context=ssl.create_default_context()), _Stay())
