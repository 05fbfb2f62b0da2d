"""A small HTTP server on loopback for the sandbox's faces, with faults that can be switched on."""

import re
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from connectors.sandbox.crm import Clock, utc_now


@dataclass(frozen=True)
class Request:
    """One request. `path` is decoded and has no query; header names are lower case."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes
    target: str = ""
    """Path and query as they came, before decoding."""


@dataclass
class Response:
    """One response; `headers` names its content type."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


Face = Callable[[Request], Response]
Around = Callable[[Any, Request], Response]
"""What is made of a request, with the face at hand to carry it out."""


@dataclass
class Fault:
    """Something that goes wrong with matching requests.

    The first `skip` matching requests pass, the next `times` are hit (None: all that follow).
    `response` (or what it makes of the request) is sent instead of the face's; with `drop`
    "before" the connection closes and the face never sees the request, with "after" the face
    carries it out and its answer is lost, with "truncate" half the body is sent. `around` answers
    instead, given the face. `delay` is in seconds, before anything else. With `chance` a request
    is hit by chance, as often as `rate` says.
    """

    path: str
    method: str = ".*"
    body: str = ""
    skip: int = 0
    times: int | None = 1
    response: Response | Face | None = None
    around: Around | None = None
    drop: str = ""
    delay: float = 0.0
    rate: float = 1.0
    chance: Random | None = None
    seen: int = 0
    hit: int = 0

    def at_random(self, rate: float, seed: str) -> "Fault":
        """The same, but at any matching request by chance; a seed always hits the same ones."""
        return replace(self, skip=0, times=None, rate=rate, chance=Random(seed))

    def strikes(self, request: Request) -> bool:
        """Whether this request is hit; counts the match."""
        if not (
            re.fullmatch(self.method, request.method)
            and re.search(self.path, request.path)
            and (not self.body or re.search(self.body.encode(), request.body))
        ):
            return False
        self.seen += 1
        if self.seen <= self.skip or (self.times is not None and self.hit >= self.times):
            return False
        if self.chance and self.chance.random() >= self.rate:
            return False
        self.hit += 1
        return True


class Server:
    """Serves a face on 127.0.0.1 (port 0: any free one) in threads, until closed.

    `requests` lists (method, path) of what came in; `faults` may be changed at any time.
    `clock` tells the Date of every answer.
    """

    def __init__(self, face: Face, port: int = 0, clock: Clock = utc_now) -> None:
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str]] = []
        self._face = face
        self._clock = clock
        self._lock = threading.Lock()
        self._http = _HttpServer(("127.0.0.1", port), self._handler())
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """Where the face is served: http://127.0.0.1:port."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def close(self) -> None:
        """Stop serving and free the port."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(timeout=5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _respond(self, request: Request) -> tuple[Response | None, str]:
        with self._lock:
            self.requests.append((request.method, request.path))
            fault = next((f for f in self.faults if f.strikes(request)), None)
        if fault is None:
            return self._face(request), ""
        if fault.delay:
            time.sleep(fault.delay)
        if fault.drop == "before":
            return None, "before"
        if fault.drop:
            return self._face(request), fault.drop
        if fault.around:
            return fault.around(self._face, request), ""
        if isinstance(fault.response, Response):
            return fault.response, ""
        return (fault.response or self._face)(request), ""

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except (ConnectionError, TimeoutError):
                    self.close_connection = True

            def parse_request(self) -> bool:
                if not super().parse_request():
                    return False
                parts = urlsplit(self.path)
                length = int(self.headers.get("Content-Length") or 0)
                request = Request(
                    method=self.command,
                    path=unquote(parts.path),
                    query=parse_qs(parts.query, keep_blank_values=True),
                    headers={k.lower(): v for k, v in self.headers.items()},
                    body=self.rfile.read(length),
                    target=self.path,
                )
                response, drop = server._respond(request)
                self._send(response, drop)
                return False

            def _send(self, response: Response | None, drop: str) -> None:
                if response is None or drop == "after":
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                phrase = self.responses.get(response.status, ("",))[0]
                head = [f"HTTP/1.1 {response.status} {phrase}"]
                head.append(f"Date: {format_datetime(server._clock(), usegmt=True)}")
                head.append(f"Content-Length: {len(response.body)}")
                head.extend(f"{name}: {value}" for name, value in response.headers.items())
                body = response.body[: len(response.body) // 2] if drop else response.body
                # One send for head and body: separate ones cost 40 ms through delayed ACK.
                self.wfile.write("\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body)
                if drop:
                    self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:
                """The sandbox keeps its requests in `Server.requests` and prints nothing."""

        return Handler


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
