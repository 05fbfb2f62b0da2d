"""Writing by a Bulk 2.0 ingest job: one upload, one job, three result files."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from connectors.errors import ConnectorError, Interrupted, OutcomeUnknown
from connectors.salesforce.bulk import wait_for_job
from connectors.salesforce.client import SalesforceClient
from connectors.throttle import Sleep

JOB_ROWS = 100_000
"""Rows of one job: well under the 100 MB that an upload may have."""

CLEAR = "#N/A"
"""What empties a field; an empty cell leaves it as it is."""

Row = Mapping[str, str | None]


@dataclass(frozen=True)
class Refusal:
    """Why the job did not write a row; `code` is empty where it never came to it."""

    code: str
    reason: str


@dataclass(frozen=True)
class IngestJob:
    """An update job that holds its rows, not started yet: until then it does nothing."""

    client: SalesforceClient
    sleep: Sleep
    path: str

    def run(self) -> dict[str, Refusal | None]:
        """Start the job and wait for its end: record id -> why not, None where written.

        Raises TemporaryError when its end could not be seen: rows may be written at any time.
        Interrupted, it is aborted, so that what it has not come to is not written later.
        """
        try:
            self._start()
        except OutcomeUnknown:
            if self.client.get(self.path)["state"] == "Open":
                self._start()
        try:
            job = wait_for_job(self.client, self.path, self.sleep)
        except Interrupted:
            with suppress(ConnectorError):
                self.client.send("PATCH", self.path, {"state": "Aborted"})
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
) -> IngestJob:
    """Create a job and upload its rows of the columns `names`, of which one is `Id`.

    A value of None clears the field, one that a row lacks leaves it. The rows are read once: as
    dicts they would take as much memory again as the changes that they come from.
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
        return _uploaded(client, sleep, body, content)
    except OutcomeUnknown:
        # A job takes one upload, and one that is never started does nothing: take another.
        return _uploaded(client, sleep, body, content)


def _uploaded(
    client: SalesforceClient, sleep: Sleep, body: Mapping[str, str], content: bytes
) -> IngestJob:
    path = f"jobs/ingest/{client.send('POST', 'jobs/ingest', body)['id']}"
    client.upload(f"{path}/batches", content)
    return IngestJob(client, sleep, path)


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
