"""Alerts: who is told that a job changed its state, by e-mail and by a webhook."""

import socket
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from email.message import EmailMessage
from functools import partial

from core.hygiene import Standing
from sync.health import State
from sync.senders import NotifyError, mail, post
from sync.service_settings import Alerts, Email, Webhook

__all__ = ["Alert", "NotifyError", "ways"]


@dataclass(frozen=True)
class Alert:
    """A job, routing, or the hygiene of a connection, that changed its state. `reason` names
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
        found["e-mail"] = partial(_mail, alerts.email)
    if alerts and alerts.webhook:
        found["webhook"] = partial(_post, alerts.webhook)
    return found


def _mail(settings: Email, alert: Alert) -> None:
    message = EmailMessage()
    message["Subject"], message["To"] = alert.subject, ", ".join(settings.to)
    message.set_content(
        f"{alert.subject}\n\n{alert.reason}\nbefore: {alert.before}\nrun: {alert.run or 'none'}\n"
        f"at: {alert.at:%Y-%m-%d %H:%M:%S} UTC\n"
    )
    mail(message, settings, "alert by e-mail")


def _post(settings: Webhook, alert: Alert) -> None:
    document = {**asdict(alert), "text": f"{alert.subject}: {alert.reason}"}
    post(document, settings, "alert by webhook")
