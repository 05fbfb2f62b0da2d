"""Bulk API 2.0: jobs that query, and jobs that write, over CSV."""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from connectors.sandbox.crm import Crm
from connectors.sandbox.http import Response
from connectors.sandbox.salesforce.errors import ApiError, RowError, not_found
from connectors.sandbox.salesforce.evaluate import Objects
from connectors.sandbox.salesforce.fields import SObject
from connectors.sandbox.salesforce.ids import record_id
from connectors.sandbox.salesforce.render import csv_page
from connectors.sandbox.salesforce.store import Pages, Result, Results
from connectors.sandbox.salesforce.write import Options, Writer

CSV_TYPE = "text/csv; charset=UTF-8"
NULL = "#N/A"
"""The cell that clears a field; an empty one leaves it as it is."""
PAGE_ROWS = 50_000
_DELIMITERS = {
    "COMMA": ",",
    "TAB": "\t",
    "PIPE": "|",
    "SEMICOLON": ";",
    "CARET": "^",
    "BACKQUOTE": "`",
}
_LINE_ENDINGS = {"LF": "\n", "CRLF": "\r\n"}
_WRITES = ("insert", "update", "upsert", "delete", "hardDelete")


@dataclass
class Job:
    """One job. `rows` are what was uploaded; the outcomes are (record id, words, row).

    `breaks` lets it fail with half of its rows tried.
    """

    id: str
    operation: str
    object: str
    created: datetime
    version: str
    form: Mapping[str, str]
    state: str
    result: Result | None = None
    header: list[str] = field(default_factory=list)
    rows: list[dict[str, str]] = field(default_factory=list)
    done: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    failed: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    error: str = ""
    breaks: bool = False

    @property
    def delimiter(self) -> str:
        """The character between cells."""
        return _DELIMITERS[self.form.get("columnDelimiter", "COMMA")]

    @property
    def line_ending(self) -> str:
        """What ends a line."""
        return _LINE_ENDINGS[self.form.get("lineEnding", "LF")]

    def polled(self) -> None:
        """Time passes between looks: a job is seen in progress before it has ended."""
        ended = "Failed" if self.breaks else "JobComplete"
        self.state = {"UploadComplete": "InProgress", "InProgress": ended}.get(
            self.state, self.state
        )
        if self.breaks and self.state == ended:
            self.error = "InternalServerError : The job was ended."

    def describe(self, user_id: str | None) -> dict[str, Any]:
        """The job as JSON."""
        query = self.result is not None
        stamp = f"{self.created.isoformat()[:19]}.000+0000"
        processed = len(self.result.rows) if self.result else len(self.done) + len(self.failed)
        body: dict[str, Any] = {
            "id": self.id,
            "operation": self.operation,
            "object": self.object,
            "createdById": user_id,
            "createdDate": stamp,
            "systemModstamp": stamp,
            "state": self.state,
            "concurrencyMode": "Parallel",
            "contentType": "CSV",
            "apiVersion": float(self.version),
            "jobType": "V2Query" if query else "V2Ingest",
            "lineEnding": self.form.get("lineEnding", "LF"),
            "columnDelimiter": self.form.get("columnDelimiter", "COMMA"),
            "numberRecordsProcessed": processed,
            "retries": 0,
            "totalProcessingTime": 0,
        }
        if not query:
            body["numberRecordsFailed"] = len(self.failed)
            body["apiActiveProcessingTime"] = body["apexProcessingTime"] = 0
        if self.state == "Open":
            body["contentUrl"] = f"services/data/v{self.version}/jobs/ingest/{self.id}/batches"
        if self.error:
            body["errorMessage"] = self.error
        return body


class Bulk:
    """The jobs of one org."""

    def __init__(self, crm: Crm, results: Results, pages: Pages, writer: Writer) -> None:
        self._crm = crm
        self._results = results
        self._pages = pages
        self._writer = writer
        self._jobs: dict[str, Job] = {}

    def job(self, job_id: str) -> Job:
        """A job by id. ApiError NOT_FOUND."""
        if job_id not in self._jobs:
            raise not_found()
        return self._jobs[job_id]

    def work(self, job: Job, objects: Objects) -> None:
        """What a job does until it is looked at again: half of its rows each time."""
        before, half = job.state, len(job.rows) // 2
        job.polled()
        parts = {"InProgress": slice(half, None), "JobComplete": slice(half)}
        if job.rows and job.state != before and job.state in parts:
            self._carry_out(job, objects[job.object.lower()], parts[job.state])

    def create_query(self, form: Mapping[str, str], objects: Objects, version: str) -> Job:
        """Start a query job; its rows are those of this moment."""
        operation = form.get("operation", "")
        if operation not in ("query", "queryAll"):
            raise _invalid(f"Unsupported operation: {operation}")
        result = self._results.run(form.get("query", ""), objects, hidden=operation == "queryAll")
        plan = result.plan
        if not plan.sobject.bulk:
            words = f"Entity '{plan.sobject.name}' is not supported by the Bulk API."
            raise ApiError(400, "INVALIDENTITY", words)
        if plan.children or plan.query.count or plan.query.offset:
            words = "Sub-queries, aggregates and OFFSET are not supported in Bulk Query"
            raise ApiError(400, "FUNCTIONALITY_NOT_ENABLED", words)
        job = self._add(form, operation, plan.sobject.name, version, "UploadComplete")
        job.result = result
        return job

    def page(self, job: Job, locator: str, size: int, *, packed: bool) -> Response:
        """A page of a query job's rows. The last one's locator is the text `null`."""
        if job.result is None or job.state != "JobComplete":
            raise _state(job)
        result = job.result
        start = int(locator, 36) if locator else 0
        rows = result.rows[start : start + size]
        after = start + len(rows)
        columns = result.plan.columns
        headers = {
            "Content-Type": CSV_TYPE,
            "Sforce-NumberOfRecords": str(len(rows)),
            "Sforce-Locator": _base36(after) if after < len(result.rows) else "null",
        }
        return self._pages.response(
            (result.key, start, size, job.delimiter, job.line_ending),
            lambda: csv_page(columns, rows, job.delimiter, job.line_ending),
            headers,
            packed=packed,
        )

    def create_ingest(self, form: Mapping[str, str], objects: Objects, version: str) -> Job:
        """Open a job that writes."""
        sobject = objects.get(form.get("object", "").lower())
        operation = form.get("operation", "")
        if sobject is None:
            raise _invalid(f"Unable to find object: {form.get('object', '')}")
        if operation not in _WRITES:
            raise _invalid(f"Unsupported operation: {operation}")
        if operation == "upsert" and form.get("externalIdFieldName", "").lower() != "id":
            raise _invalid("externalIdFieldName must name an external id field: Id")
        return self._add(form, operation, sobject.name, version, "Open")

    def upload(self, job: Job, body: bytes) -> None:
        """Take a job's rows; one upload a job."""
        if job.state != "Open" or job.header:
            raise _state(job)
        text = io.StringIO(body.decode("utf-8"), newline="")
        reader = csv.DictReader(text, delimiter=job.delimiter)
        job.header = list(reader.fieldnames or ())
        job.rows = list(reader)

    def change_state(self, job: Job, state: str, objects: Objects) -> None:
        """Close a job, which is carried out from then on, or abort it."""
        if state == "Aborted" and job.state in ("Open", "UploadComplete", "InProgress"):
            job.state = "Aborted"
        elif state == "UploadComplete" and job.state == "Open" and job.header:
            job.state = "UploadComplete"
            self._require_columns(job, objects[job.object.lower()])
        else:
            raise _state(job)

    def delete(self, job: Job) -> None:
        """Forget a job that has ended."""
        if job.state not in ("JobComplete", "Failed", "Aborted"):
            raise _state(job)
        del self._jobs[job.id]

    def outcome(self, job: Job, which: str) -> Response:
        """The rows of a job that went well, that failed, or that were never tried."""
        rows: Iterator[list[str]]
        if which == "unprocessedrecords":
            tried = len(job.done) + len(job.failed)
            head, rows = job.header, (list(r.values()) for r in job.rows[: len(job.rows) - tried])
        else:
            second = "sf__Created" if which == "successfulresults" else "sf__Error"
            found = job.done if which == "successfulresults" else job.failed
            head = ["sf__Id", second, *job.header]
            rows = ([identity, words, *row.values()] for identity, words, row in found)
        text = io.StringIO()
        writer = csv.writer(
            text,
            delimiter=job.delimiter,
            lineterminator=job.line_ending,
            quoting=csv.QUOTE_ALL,
        )
        writer.writerow(head)
        writer.writerows(rows)
        return Response(200, text.getvalue().encode(), {"Content-Type": CSV_TYPE})

    def _add(
        self, form: Mapping[str, str], operation: str, target: str, version: str, state: str
    ) -> Job:
        if form.get("columnDelimiter", "COMMA") not in _DELIMITERS:
            raise _invalid("Unsupported columnDelimiter")
        identity = record_id("750", len(self._jobs) + 1)
        job = Job(identity, operation, target, self._crm.clock(), version, dict(form), state)
        self._jobs[identity] = job
        return job

    def _require_columns(self, job: Job, sobject: SObject) -> None:
        unknown = [c for c in job.header if c.lower() not in sobject.fields]
        if unknown:
            job.state = "Failed"
            job.error = f"InvalidBatch : Field name not found : {unknown[0]}"

    def _carry_out(self, job: Job, sobject: SObject, part: slice) -> None:
        # Results come in an order of their own; a client must match them by id.
        for row in reversed(job.rows[part]):
            identity = next((row[c] for c in row if c.lower() == "id"), "")
            try:
                done, created = self._write(job, sobject, identity, row)
            except RowError as error:
                words = f"{error.code}:{error.message}:{', '.join(error.fields)} --"
                job.failed.append((identity, words, row))
            else:
                job.done.append((done, str(created).lower(), row))

    def _write(
        self, job: Job, sobject: SObject, identity: str, row: Mapping[str, str]
    ) -> tuple[str, bool]:
        options = Options(assign="assignmentRuleId" in job.form)
        values = {
            column: None if cell == NULL else cell
            for column, cell in row.items()
            if column.lower() != "id" and cell
        }
        if job.operation in ("delete", "hardDelete"):
            self._writer.delete(sobject, identity)
        elif job.operation == "insert" or (job.operation == "upsert" and not identity):
            return self._writer.create(sobject, values, options), True
        else:
            self._writer.update(sobject, identity, values, options)
        return identity, False


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return digits


def _invalid(message: str) -> ApiError:
    return ApiError(400, "INVALIDJOB", f"InvalidJob : {message}")


def _state(job: Job) -> ApiError:
    return ApiError(400, "INVALIDJOBSTATE", f"InvalidJobState : Job {job.id} is {job.state}")
