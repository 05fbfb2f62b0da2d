"""The parts of config.yaml that make the daemon a service: schedule, metrics, alerts."""

import re
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Self
from urllib.parse import urlsplit

from apscheduler.triggers.cron import CronTrigger
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from connectors.settings import Settings, is_loopback

_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}


def _interval(value: object) -> object:
    """A span from its text, such as `15 minutes`. Raises ValueError for any other text."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(\d+) (second|minute|hour|day)s?", value.strip())
    if not match or int(match[1]) == 0:
        raise ValueError("an interval is a number of seconds, minutes, hours or days: 15 minutes")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


Interval = Annotated[timedelta, BeforeValidator(_interval)]
"""A duration as it is written: 15 minutes, 2 hours."""


class Job(StrEnum):
    """What the daemon does on a schedule; runs are recorded under these names."""

    DELTA = "delta"
    REFRESH = "refresh"
    RECONCILE = "reconcile"
    FULL = "full"


class When(Settings):
    """When a job starts: at an interval, or by a cron expression in UTC."""

    every: Interval | None = Field(None, description="Interval: 15 minutes, 1 hour.")
    cron: str | None = Field(None, description="Cron expression in UTC, instead of an interval.")

    @field_validator("cron")
    @classmethod
    def _readable(cls, cron: str | None) -> str | None:
        if cron is not None:
            CronTrigger.from_crontab(cron, timezone="UTC")
        return cron

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.cron is None) == (self.every is None):
            raise ValueError("give either every or cron")
        return self


class Schedule(Settings):
    """When the daemon does what; a job that is left out is not done, but for `delta`."""

    delta: When = Field(
        When(every=timedelta(minutes=15)),
        description="Cycles over what changed (default: every 15 minutes).",
    )
    refresh: When | None = Field(
        None,
        description="Cycles that also look at the fields that change without a stamp, such as "
        "formulas.",
    )
    reconcile: When | None = Field(
        None, description="Cycles that read every CRM whole, compare, and heal what differs."
    )
    full: When | None = Field(None, description="Cycles that rescore every lead.")

    @property
    def jobs(self) -> dict[Job, When]:
        """The jobs that are done, and when."""
        found = {
            Job.FULL: self.full,
            Job.RECONCILE: self.reconcile,
            Job.REFRESH: self.refresh,
            Job.DELTA: self.delta,
        }
        return {job: when for job, when in found.items() if when is not None}


class Metrics(Settings):
    """Where /metrics (for Prometheus) and /health are served; needs leadgauge[metrics]."""

    port: int = Field(ge=0, le=65535, description="Port, such as 9464.")
    host: str = Field(
        "127.0.0.1", description="Address to listen on. There is no log-in: keep it private."
    )


def _address(text: str) -> str:
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", text):
        raise ValueError("must be an e-mail address, such as revops@acme.example")
    return text


Address = Annotated[str, AfterValidator(_address)]


class MailServer(Settings):
    """The way to a mail server: over TLS, or on a loopback address."""

    sender: Address = Field(description="The From address.")
    server: str = Field(description="The SMTP server.")
    port: int = Field(587, ge=1, le=65535, description="465: TLS at once; else by STARTTLS.")
    user: str | None = Field(None, description="User name, where the server asks for one.")
    password: SecretStr | None = Field(None, description="Its password.")


class Email(MailServer):
    """Alerts by e-mail: over TLS, or to a server on a loopback address."""

    to: tuple[Address, ...] = Field(min_length=1, description="Who is told.")


class Webhook(Settings):
    """A JSON document that is posted; its `text` is what Slack and its likes show."""

    url: SecretStr = Field(description="Where to: https, or http on a loopback address.")
    token: SecretStr | None = Field(None, description="Sent as a bearer token.")

    @field_validator("url")
    @classmethod
    def _safe(cls, url: SecretStr) -> SecretStr:
        address = url.get_secret_value()
        scheme = urlsplit(address).scheme
        if scheme != "https" and not (scheme == "http" and is_loopback(address)):
            raise ValueError("must start with https:// (http:// only for a loopback address)")
        return url


class Alerts(Settings):
    """Who is told, once, when a job fails, is stopped by a guard, is overdue, or recovers."""

    email: Email | None = Field(None, description="By e-mail.")
    webhook: Webhook | None = Field(None, description="By a webhook.")
