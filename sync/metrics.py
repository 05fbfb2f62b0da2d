"""Metrics for Prometheus and a health endpoint, read from the ledger whenever they are asked for.

Nothing is counted in the process: the figures survive a restart, and are the same on the instance
that stands by. This is the only place that knows the Prometheus library.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import socket
from threading import Thread
from typing import TypeVar

from sync.config import Config
from sync.errors import StoreError
from sync.health import Health, State, health
from sync.hygiene import rates
from sync.ledger import Ledger, Run
from sync.service_settings import Schedule
from sync.session import Clock
from sync.yaml_source import ConfigError

try:
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.core import GaugeMetricFamily, Metric
    from prometheus_client.exposition import CONTENT_TYPE_LATEST
    from prometheus_client.registry import Collector
except ModuleNotFoundError:
    raise ConfigError(["`metrics` in the configuration needs leadgauge[metrics]"]) from None

RUN_OUTCOMES = ("written", "refused", "waiting")


class LedgerCollector(Collector):
    """The metrics, as of each scrape."""

    def __init__(self, ledger: Ledger, schedule: Schedule, clock: Clock) -> None:
        self._ledger = ledger
        self._schedule = schedule
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """Every metric with its samples."""
        now, ledger = self._clock(), self._ledger
        yield from self._jobs(health(ledger, self._schedule, now))
        scored = ledger.past.scored()
        lags = {(name,): (now - at).total_seconds() for name, at in scored.items()}
        yield _gauge("lag_seconds", "Age of the scores that a CRM holds.", ("connection",), lags)
        counted = {key: float(count) for key, count in ledger.run_counts().items()}
        yield _gauge("runs", "Runs so far, by how they stand.", ("kind", "status"), counted)
        held = Counter(entry.connection for entry in ledger.quarantine())
        refused = {(name,): float(held[name]) for name in {*scored, *held}}
        yield _gauge("quarantine_records", "Records that a CRM refuses.", ("connection",), refused)
        queued = Counter(one.connection for one in ledger.routing.waiting())
        waits = {(name,): float(queued[name]) for name in {*scored, *queued}}
        yield _gauge("waiting_leads", "Leads that wait for an owner.", ("connection",), waits)

        untold = Counter(notice.connection for notice in ledger.notices.waiting())
        due = {(name,): float(untold[name]) for name in {*scored, *untold}}
        meaning = "Notices of hand-offs and surges that are still to be sent."
        yield _gauge("waiting_notices", meaning, ("connection",), due)

        measured = {(rate.connection,): rate.unusable / rate.leads for rate in rates(ledger)}
        meaning = "Share of a connection's leads that are duplicate or unusable, in its last run."
        yield _gauge("unusable_share", meaning, ("connection",), measured)

    def _jobs(self, jobs: Sequence[Health]) -> Iterator[Metric]:
        """How the jobs stand, and what their last runs did."""
        beat = {(): _stamp(self._ledger.presence.heartbeat("daemon"))}
        yield _gauge("heartbeat_timestamp_seconds", "When the daemon was last alive.", (), beat)
        success = {(h.job,): _stamp(h.last_success) for h in jobs}
        meaning = "When a job last ended well."
        yield _gauge("last_success_timestamp_seconds", meaning, ("job",), success)
        states = {(h.job, s): float(h.state is s) for h in jobs for s in State}
        yield _gauge("job_state", "1 for the state that a job is in.", ("job", "state"), states)
        last = {h.job: run for h in jobs for run in self._ledger.runs(1, kind=h.job)}
        records = {(job, *key): n for job, run in last.items() for key, n in _records(run)}
        meaning, labels = "Records to write in a job's last run.", ("job", "connection", "outcome")
        yield _gauge("last_run_records", meaning, labels, records)
        calls = {
            (job, connection, kind): float(n)
            for job, run in last.items()
            for connection, made in run.calls.items()
            for kind, n in made.items()
        }
        meaning, labels = "API calls of a job's last run.", ("job", "connection", "kind")
        yield _gauge("last_run_calls", meaning, labels, calls)


def _records(run: Run) -> Iterator[tuple[tuple[str, str], float]]:
    """What a run did to records, by connection and outcome."""
    for connection, counts in run.counts.items():
        write = next(step for step in counts["steps"] if step["step"] == "write")
        refused, waiting = (float(sum(write[kind].values())) for kind in ("rejected", "held"))
        yield from zip(
            ((connection, outcome) for outcome in RUN_OUTCOMES),
            (float(write["out"]), refused, waiting),
            strict=True,
        )


K = TypeVar("K", bound=tuple[str, ...])


def _gauge(
    name: str, meaning: str, labels: Sequence[str], samples: Mapping[K, float | None]
) -> GaugeMetricFamily:
    made = GaugeMetricFamily(f"leadgauge_{name}", meaning, labels=labels)
    for values, number in samples.items():
        if number is not None:
            made.add_metric(values, number)
    return made


def _stamp(at: datetime | None) -> float | None:
    return at.timestamp() if at else None


@contextmanager
def serving(
    config: Config, ledger: Ledger, clock: Clock, listener: socket | None = None
) -> Iterator[socket]:
    """Serve /metrics and /health as configured, at the socket that is given.

    `listener` is one that listens at this address already, and may be closed meanwhile.
    Raises ConfigError where the port cannot be had.
    """
    assert config.metrics is not None, "only called where it is configured"
    registry = CollectorRegistry(auto_describe=False)
    registry.register(LedgerCollector(ledger, config.schedule, clock))

    class Handler(BaseHTTPRequestHandler):
        """Answers two addresses."""

        timeout = 20

        def do_GET(self) -> None:
            try:
                if self.path == "/metrics":
                    self._answer(200, CONTENT_TYPE_LATEST, generate_latest(registry))
                elif self.path == "/health":
                    code, said = judged(health(ledger, config.schedule, clock()))
                    self._answer(code, "application/json", json.dumps(said).encode())
                else:
                    self.send_error(404)
            except StoreError as error:
                said = {"status": "the ledger cannot be read", "reason": str(error)}
                self._answer(503, "application/json", json.dumps(said).encode())

        def _answer(self, code: int, kind: str, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """A scrape is no news."""

    place = (config.metrics.host, config.metrics.port)
    try:
        server = ThreadingHTTPServer(place, Handler, bind_and_activate=listener is None)
    except OSError as error:
        where = f"{place[0]}:{place[1]}"
        raise ConfigError([f"metrics: cannot listen on {where}: {error.strerror}"]) from None
    if listener is not None:
        server.socket.close()
        server.socket = listener.dup()
    # Of two that hear of one call, the one that comes late must not wait for the next.
    server.socket.setblocking(False)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.socket
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def judged(jobs: Sequence[Health]) -> tuple[int, dict[str, object]]:
    """The status code for how the jobs stand, and what is said of each."""
    well = all(found.state is State.OK for found in jobs)
    said = {
        found.job: {
            "state": found.state,
            "reason": found.reason,
            "last_success": found.last_success and found.last_success.isoformat(),
        }
        for found in jobs
    }
    return (200 if well else 503), {"status": "ok" if well else "trouble", "jobs": said}
