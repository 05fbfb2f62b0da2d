"""Writing by a Bulk 2.0 ingest job: one upload, one job, three result files."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from connectors.errors import ConnectorError, Interrupted, OutcomeUnknown
from connectors.salesforce.bulk import wait_for_job
from connectors.salesforce.client import SalesforceClient
from connectors.salesforce.failures import CallRefused
from connectors.throttle import Sleep

JOB_ROWS = 100_000
"""Rows of one job: well under the 100 MB that an upload may have."""

FORGOTTEN = "NOT_FOUND"
"""The code with which Salesforce answers for a job that it does not know, and for that alone."""

CLEAR = "#N/A"
"""What empties a field; an empty cell leaves it as it is."""

Row = Mapping[str, str | None]


@dataclass(frozen=True)
class Refusal:
    """Why the job did not write a row; `code` is empty where it never came to it."""

    code: str
    reason: str


Outcomes = Mapping[str, Refusal | None]
"""Record id -> why it was not written, None where it was."""


@dataclass(frozen=True)
class IngestJob:
    """An update job. Until it is started it does nothing."""

    client: SalesforceClient
    sleep: Sleep
    id: str

    @property
    def path(self) -> str:
        """Where it is found."""
        return f"jobs/ingest/{self.id}"

    def run(self) -> Outcomes:
        """Start the job, which has its rows, and wait for its end.

        Raises TemporaryError when its end could not be seen: rows may be written at any time.
        Interrupted, it is aborted, so that what it has not come to is not written later.
        """
        try:
            self._start()
        except OutcomeUnknown:
            if self._is_open():
                self._start()
        return self._ended()

    def conclude(self) -> Outcomes:
        """Abort the job if it was not started, wait for its end if it was.

        Nothing is told of one that never started. Raises what `run` raises, and CallRefused where
        Salesforce does not show the job, as FORGOTTEN where it knows it no more.
        """
        if self._is_open():
            # Refused, it was started in between.
            with suppress(CallRefused):
                self._abort()
                return {}
        return self._ended()

    def _ended(self) -> Outcomes:
        try:
            job = wait_for_job(self.client, self.path, self.sleep)
        except Interrupted:
            with suppress(ConnectorError):
                self._abort()
            raise
        ended = Refusal("", f"bulk job {job['state']}: {job.get('errorMessage') or 'unprocessed'}")
        outcomes: dict[str, Refusal | None] = {}
        for row in self._results("unprocessedrecords"):
            outcomes[row["Id"]] = ended
        for row in self._results("failedResults"):
            outcomes[row["Id"]] = _refusal(row["sf__Error"])
        for row in self._results("successfulResults"):
            outcomes[row["Id"]] = None
        return outcomes

    def _is_open(self) -> bool:
        return bool(self.client.get(self.path)["state"] == "Open")

    def _abort(self) -> None:
        self.client.send("PATCH", self.path, {"state": "Aborted"})

    def _start(self) -> None:
        body = {"state": "UploadComplete"}
        self.client.send("PATCH", self.path, body, idempotent=False)

    def _results(self, kind: str) -> Iterator[dict[str, str]]:
        # A cell may hold a line break, so the text is parsed as a whole, not by lines.
        content = self.client.download(f"{self.path}/{kind}/").content.replace(b"\0", b"")
        return csv.DictReader(io.TextIOWrapper(io.BytesIO(content), "utf-8", newline=""))


def prepare(
    client: SalesforceClient,
    sleep: Sleep,
    object_type: str,
    names: Sequence[str],
    rows: Iterable[Row],
    began: Callable[[str], None],
) -> IngestJob:
    """Create a job and upload its rows of the columns `names`, of which one is `Id`.

    `began` hears the job's id before it has any rows. A value of None clears the field, one that a
    row lacks leaves it. The rows are read once: as dicts they would take as much memory again as
    the changes that they come from.
    """
    body = {
        "object": object_type,
        "operation": "update",
        "contentType": "CSV",
        "lineEnding": "CRLF",
        "columnDelimiter": "COMMA",
    }
    content = _csv(names, rows)
    try:
        return _uploaded(client, sleep, body, content, began)
    except OutcomeUnknown:
        # A job takes one upload, and one that is never started does nothing: take another.
        return _uploaded(client, sleep, body, content, began)


def _uploaded(
    client: SalesforceClient,
    sleep: Sleep,
    body: Mapping[str, str],
    content: bytes,
    began: Callable[[str], None],
) -> IngestJob:
    job = IngestJob(client, sleep, client.send("POST", "jobs/ingest", body)["id"])
    began(job.id)
    client.upload(f"{job.path}/batches", content)
    return job


def _csv(names: Sequence[str], rows: Iterable[Row]) -> bytes:
    content = io.BytesIO()
    text = io.TextIOWrapper(content, "utf-8", newline="")
    # With lines that end in CRLF a cell with either character is quoted; with LF, one with a
    # carriage return is not, and would end its row.
    writer = csv.DictWriter(text, names, restval="", lineterminator="\r\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: CLEAR if v is None else v for name, v in row.items()})
    text.flush()
    return content.getvalue()


def _refusal(error: str) -> Refusal:
    """`CODE:message:FIELD --` as a refusal."""
    code, _, rest = error.partition(":")
    return Refusal(code, rest.removesuffix("--").rstrip(" :"))
