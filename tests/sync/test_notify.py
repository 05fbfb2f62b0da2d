"""Alerts reach who is to be told, over TLS that is verified, and repeat no secret."""

import json
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_string
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from connectors.sandbox.http import Fault, Request, Response, Server
from sync.health import State
from sync.notify import Alert, NotifyError, ways
from sync.service_settings import Alerts, Email, Webhook

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
ALERT = Alert("delta", State.FAILED, "ok", "sales: unreachable", "r1", AT)
PASSWORD = "planted-password"
TOKEN = "planted-token"


@dataclass
class Mailbox:
    """A mail server on loopback: what it was told, line by line, and the messages it took."""

    port: int = 0
    lines: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    refuses: str = ""


@contextmanager
def mail_server(tls: Path | None = None) -> Iterator[Mailbox]:
    """A mail server; with a certificate it offers STARTTLS."""
    box = Mailbox()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.say("220 here")
            while line := self.rfile.readline().decode().rstrip("\r\n"):
                box.lines.append(line)
                verb = line.split()[0].upper()
                if verb == "QUIT":
                    return self.say("221 bye")
                if verb == "EHLO":
                    self.say("250-here", *(["250-STARTTLS"] if tls else []), "250 AUTH PLAIN")
                elif verb == box.refuses:
                    self.say("535 no " + line)
                elif verb == "STARTTLS":
                    return self.secure()
                elif verb == "DATA":
                    self.say("354 go on")
                    box.messages.append(
                        "".join(iter(lambda: self.rfile.readline().decode(), ".\r\n"))
                    )
                    self.say("250 taken")
                else:
                    self.say("235 fine" if verb == "AUTH" else "250 fine")
            return None

        def secure(self) -> None:
            self.say("220 go on" if tls else "454 no")
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(str(tls))
            try:
                context.wrap_socket(self.request, server_side=True).close()
            except OSError:
                box.lines.append("the client did not trust us")

        def say(self, *lines: str) -> None:
            self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        box.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield box
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> Path:
    """A key and a certificate for this machine that nobody has a reason to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(AT - timedelta(days=9000))
        .not_valid_after(AT + timedelta(days=9000))
        .sign(key, hashes.SHA256())
    )
    path: Path = tmp_path_factory.mktemp("tls") / "server.pem"
    pem = serialization.Encoding.PEM
    form = serialization.PrivateFormat.PKCS8
    path.write_bytes(
        key.private_bytes(pem, form, serialization.NoEncryption()) + made.public_bytes(pem)
    )
    return path


def mail(port: int, server: str = "127.0.0.1") -> Alerts:
    """The settings of a mail server that asks for a password."""
    people = ("ops@acme.example", "ana@acme.example")
    sender = "leadgauge@acme.example"
    given = {"to": people, "sender": sender, "server": server, "port": port}
    return Alerts(email=Email.model_validate({**given, "user": "u", "password": PASSWORD}))


def hook(url: str) -> Alerts:
    """The settings of a webhook with a token."""
    return Alerts(webhook=Webhook.model_validate({"url": url, "token": TOKEN}))


def tell(alerts: Alerts, alert: Alert = ALERT) -> None:
    """Tell it in every configured way."""
    for way in ways(alerts).values():
        way(alert)


def untold(alerts: Alerts) -> str:
    """Why it could not be told, which repeats no secret."""
    with pytest.raises(NotifyError) as raised:
        tell(alerts)
    said = str(raised.value)
    assert not [secret for secret in (PASSWORD, TOKEN, "/secret-path") if secret in said]
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__
    return said


def test_an_e_mail_says_what_happened():
    """To everybody, with what happened in the subject; logged in first."""
    with mail_server() as box:
        tell(mail(box.port))
    (text,) = box.messages
    message = message_from_string(text, policy=default)
    assert message["To"] == "ops@acme.example, ana@acme.example"
    assert message["Subject"].endswith("delta is failed")
    assert "sales: unreachable" in message.get_content()
    assert "run: r1" in message.get_content()
    verbs = [line.split()[0].upper() for line in box.lines]
    assert verbs.index("AUTH") < verbs.index("MAIL")


def test_no_password_goes_to_a_mail_server_that_is_not_trusted(certificate):
    """A certificate that does not verify ends it before the log-in, on a loopback address too."""
    with mail_server(certificate) as box:
        said = untold(mail(box.port))
    assert said.startswith("alert by e-mail not delivered, will try again: its certificate is ")
    assert not [line for line in box.lines if "AUTH" in line]


def test_no_password_goes_unencrypted_to_another_machine():
    """Without STARTTLS only a loopback address is spoken to; 127.1 is not known to be one."""
    with mail_server() as box:
        untold(mail(box.port, server="127.1"))
    assert [line.split()[0].upper() for line in box.lines if not line.startswith("q")] == ["EHLO"]


def test_a_mail_server_that_refuses_us_is_named_by_its_code():
    """Its own words may repeat what we sent."""
    with mail_server() as box:
        box.refuses = "AUTH"
        assert untold(mail(box.port)).endswith("SMTPAuthenticationError 535")


def test_a_webhook_gets_a_document():
    """Posted as JSON with the token as a bearer's."""
    posted: list[Request] = []

    def face(request: Request) -> Response:
        posted.append(request)
        return Response(204)

    with Server(face) as server:
        tell(hook(f"{server.url}/secret-path"))
        tell(hook(server.url), Alert("delta", State.OK, "failed", "done", "r2", AT))
    first, second = (json.loads(request.body) for request in posted)
    assert first["text"].endswith("delta is failed: sales: unreachable")
    assert (first["job"], first["state"], first["before"]) == ("delta", "failed", "ok")
    assert (first["run"], first["at"]) == ("r1", str(AT))
    assert second["text"].endswith("delta recovered: done")
    assert posted[0].headers["authorization"] == f"Bearer {TOKEN}"


def test_a_webhook_that_fails_or_leads_elsewhere():
    """An error's code is said; a redirect is not followed, as it would take the token along."""
    with Server(lambda _request: Response(200)) as server:
        server.faults.append(Fault(".*", response=Response(500)))
        assert untold(hook(f"{server.url}/secret-path")).endswith("HTTPError 500")
        away = Response(302, headers={"Location": f"{server.url}/elsewhere"})
        server.faults.append(Fault(".*", response=away))
        assert untold(hook(f"{server.url}/secret-path")).endswith("HTTPError 302")
        assert [path for _method, path in server.requests] == ["/secret-path", "/secret-path"]
        url = server.url
    assert untold(hook(url)).endswith("will try again: connection refused")


def test_what_keeps_us_from_being_heard_is_said(certificate, monkeypatch):
    """A name that nobody knows, a certificate that is not trusted, and silence are told apart."""
    unknown = "https://hooks.acme.invalid/secret-path"

    def nowhere(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with monkeypatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", nowhere)
        assert untold(hook(unknown)).endswith("its host name is not known: check it, and the DNS")
        assert "its host name is not known" in untold(mail(25, server="mail.acme.invalid"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(str(certificate))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def greet() -> None:
            with suppress(OSError):
                context.wrap_socket(server.accept()[0], server_side=True).close()

        thread = threading.Thread(target=greet, daemon=True)
        thread.start()
        said = untold(hook(f"https://127.0.0.1:{port}/secret-path"))
        thread.join()
    assert "its certificate is not trusted: self-signed certificate" in said
