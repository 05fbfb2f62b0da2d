"""What goes out to people: e-mail by SMTP, and documents posted to a webhook.

Everything goes over verified TLS, but to a loopback address. What cannot be delivered raises
NotifyError, whose message holds no address and no secret.
"""

import json
import os
import smtplib
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.message import EmailMessage
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import (
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    Request,
    build_opener,
)

from connectors.settings import is_loopback
from sync.service_settings import MailServer, Webhook

TIMEOUT = 20
"""Seconds that a server may be silent."""

TLS_AT_ONCE = 465

OTHER_HOST = 62
"""What OpenSSL calls a certificate that is made out to another name."""

UNACCEPTABLE = (400, 413, 422)
"""What a webhook answers to a document that it does not take."""


class NotifyError(Exception):
    """Something could not be delivered; the message says by which way, and why."""


class Unacceptable(NotifyError):
    """The receiver refuses this one message; the way to it is open."""


def mail(message: EmailMessage, settings: MailServer, what: str) -> None:
    """Send an e-mail from the configured sender. `what` is how an error calls it."""
    message["From"] = settings.sender
    with _named(what), _server(settings) as server:
        if settings.user is not None and settings.password is not None:
            server.login(settings.user, settings.password.get_secret_value())
        server.send_message(message)


def post(document: Mapping[str, Any], settings: Webhook, what: str, key: str = "") -> None:
    """Post a JSON document. A receiver tells by the `key` that it has one already."""
    headers = {"Content-Type": "application/json"}
    if key:
        headers["Idempotency-Key"] = key
    if settings.token is not None:
        headers["Authorization"] = f"Bearer {settings.token.get_secret_value()}"
    body = json.dumps(document, default=str).encode()
    request = Request(settings.url.get_secret_value(), body, headers, method="POST")
    with _named(what), _opener().open(request, timeout=TIMEOUT):
        pass


@contextmanager
def _named(what: str) -> Iterator[None]:
    """Name what went wrong. An error's own text may repeat an address or a password."""
    try:
        yield
    except TimeoutError:
        why = f"no answer within {TIMEOUT} seconds"
    except (OSError, smtplib.SMTPException, HTTPException) as error:
        if isinstance(error, HTTPError):
            error.close()
        code = getattr(error, "smtp_code", getattr(error, "code", ""))
        why = f"{type(error).__name__} {code}".strip() if code else _reason(error)
        if isinstance(error, smtplib.SMTPRecipientsRefused) or code in UNACCEPTABLE:
            raise Unacceptable(f"{what} refused, will try again: {why}") from None
    else:
        return
    raise NotifyError(f"{what} not delivered, will try again: {why}") from None


def _reason(error: Exception) -> str:
    """What kept us from being heard, in the system's own words: they repeat nothing of ours."""
    cause = error.reason if isinstance(error, URLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        # Of a mismatch the message names the host.
        mismatch = cause.verify_code == OTHER_HOST
        why = "it is another host's" if mismatch else cause.verify_message
        return f"its certificate is not trusted: {why}"
    if isinstance(cause, ssl.SSLError):
        return f"no TLS: {cause.reason or type(cause).__name__}"
    if isinstance(cause, socket.gaierror):
        return "its host name is not known: check it, and the DNS"
    if isinstance(cause, TimeoutError):
        return f"no answer within {TIMEOUT} seconds"
    if isinstance(cause, OSError) and cause.errno is not None:
        return os.strerror(cause.errno).lower()
    return type(error).__name__


def _server(settings: MailServer) -> smtplib.SMTP:
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


def _opener() -> OpenerDirector:
    return build_opener(HTTPSHandler(context=ssl.create_default_context()), _Stay())
