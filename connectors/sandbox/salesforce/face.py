"""The Salesforce face: the REST resources that simple-salesforce and its users talk to."""

import json
import re
from datetime import timedelta

from connectors.sandbox.crm import Crm
from connectors.sandbox.http import Request, Response
from connectors.sandbox.salesforce.bulk import PAGE_ROWS, Bulk, Job
from connectors.sandbox.salesforce.call import Call
from connectors.sandbox.salesforce.composite import composite
from connectors.sandbox.salesforce.customs import Customs
from connectors.sandbox.salesforce.errors import (
    JSON_TYPE,
    ApiError,
    RowError,
    daily_limit,
    not_found,
)
from connectors.sandbox.salesforce.evaluate import Objects
from connectors.sandbox.salesforce.fields import describe, summary
from connectors.sandbox.salesforce.history import history_objects
from connectors.sandbox.salesforce.objects import standard_objects
from connectors.sandbox.salesforce.org import Org
from connectors.sandbox.salesforce.records import Records
from connectors.sandbox.salesforce.render import Renderer
from connectors.sandbox.salesforce.sessions import ORGANIZATION, Credentials, Sessions
from connectors.sandbox.salesforce.store import Pages, Result, Results
from connectors.sandbox.salesforce.write import Options, Rules, Writer

VERSIONS = tuple(f"{number}.0" for number in range(31, 69))
MAX_URI = 16_384
PAGE_SIZES = (200, 2_000)


class SalesforceFace:
    """Answers as a Salesforce org over one CRM.

    `sessions`, `rules`, `used` (calls of the day) and `daily_limit` may be changed at any
    time: log-ins ended, the API disabled, an assignment rule switched on, records locked.
    Every call but the version list and the log-ins counts as one.
    """

    def __init__(
        self,
        crm: Crm,
        *,
        credentials: Credentials | None = None,
        daily_limit: int = 100_000,
        session_lifetime: timedelta = timedelta(hours=2),
    ) -> None:
        self.daily_limit = daily_limit
        self.used = 0
        self.rules = Rules()
        self.crm = crm
        self._org = Org(crm)
        self.sessions = Sessions(
            credentials or Credentials(),
            crm.clock,
            session_lifetime,
            lambda: self._org.user_id(None),
        )
        self._customs = Customs(crm)
        self._objects: tuple[int, Objects] = (-1, {})
        self._results = Results(crm)
        self._pages = Pages()
        writer = Writer(self._org, self.rules)
        self._writer = writer
        self._records = Records(self._org, writer)
        self.bulk = Bulk(crm, self._results, self._pages, writer)

    def __call__(self, request: Request) -> Response:
        """Answer one request."""
        if len(request.target) > MAX_URI:
            return Response(414, b"<h1>URI Too Long</h1>", {"Content-Type": "text/html"})
        path = request.path.rstrip("/")
        if path == "/services/oauth2/token":
            return self.sessions.token(request)
        if login := re.fullmatch(r"/services/Soap/u/([\d.]+)", path):
            return self.sessions.soap(request, login[1])
        if path == "/services/data":
            return _versions()
        try:
            response = self._counted(request, path)
        except ApiError as error:
            response = error.response()
        except RowError as refusal:
            response = refusal.request_error().response()
        response.headers["Sforce-Limit-Info"] = f"api-usage={self.used}/{self.daily_limit}"
        return response

    def _counted(self, request: Request, path: str) -> Response:
        session = self.sessions.require(request)
        with self.crm.lock:
            if self.used >= self.daily_limit:
                raise daily_limit()
            self.used += 1
            if path == "/services/oauth2/userinfo":
                return Call(request, session, "", {}).json({"user_id": self._org.user_id(None)})
            prefix = re.fullmatch(r"/services/data/v(\d+\.0)((?:/.*)?)", path)
            if prefix is None:
                raise not_found()
            if prefix[1] not in VERSIONS:
                raise ApiError(410, "UNSUPPORTED_API_VERSION", f"Version {prefix[1]} is retired")
            return self._routed(Call(request, session, prefix[1], self._known()), prefix[2])

    def _routed(self, call: Call, path: str) -> Response:
        allowed = []
        for method, pattern, handler in _ROUTES:
            match = pattern.fullmatch(path)
            if match and method == call.request.method:
                response: Response = handler(self, call, *match.groups())
                return response
            if match:
                allowed.append(method)
        if not allowed:
            raise not_found()
        raise ApiError(
            405,
            "METHOD_NOT_ALLOWED",
            f"HTTP Method '{call.request.method}' not allowed. Allowed are {','.join(allowed)}",
        )

    def _known(self) -> Objects:
        if self._objects[0] != self.crm.revision:
            standard = standard_objects(
                self._org, self._customs.visible, privacy=self.rules.privacy
            )
            found = [*standard, *self._customs.objects()]
            found += history_objects(self._org, self.rules, tuple(found))
            self._objects = (self.crm.revision, {s.name.lower(): s for s in found})
        return self._objects[1]

    # Queries

    def _query(self, call: Call, which: str) -> Response:
        hidden = which == "queryAll"
        return self._first_page(
            call, self._results.run(call.parameter("q"), call.objects, hidden=hidden)
        )

    def _tooling_query(self, call: Call) -> Response:
        objects = {s.name.lower(): s for s in self._customs.tooling()}
        return self._first_page(call, self._results.run(call.parameter("q"), objects, hidden=False))

    def _first_page(self, call: Call, result: Result) -> Response:
        if result.plan.query.count:
            return call.json({"totalSize": len(result.rows), "done": True, "records": []})
        return self._page(call, result, 0)

    def _next_page(self, call: Call, locator: str, offset: str) -> Response:
        return self._page(call, self._results.at(call.session, locator), int(offset))

    def _page(self, call: Call, result: Result, start: int) -> Response:
        asked = re.search(
            r"batchSize=(\d+)", call.request.headers.get("sforce-query-options", ""), re.I
        )
        size = min(max(int(asked[1]), PAGE_SIZES[0]), PAGE_SIZES[1]) if asked else PAGE_SIZES[1]
        after = start + size
        more = after < len(result.rows)
        url = f"/services/data/v{call.version}/query/"
        url += f"{self._results.open(call.session, result)}-{after}" if more else ""

        def make() -> str:
            renderer = Renderer(result.plan, result.objects, call.version, pretty=call.pretty)
            head: dict[str, object] = {"totalSize": len(result.rows), "done": not more}
            if more:
                head["nextRecordsUrl"] = url
            records = renderer.records(result.rows[start:after])
            if call.pretty:
                text = json.dumps(head, indent=2, separators=(",", " : "))[:-2]
                return f'{text},\n  "records" : [ {records} ]\n}}'
            return f'{json.dumps(head, separators=(",", ":"))[:-1]},"records":[{records}]}}'

        key = (result.key, start, size, call.version, call.pretty)
        return self._pages.response(key, make, {"Content-Type": JSON_TYPE}, packed=call.packed)

    # Describe

    def _resources(self, call: Call) -> Response:
        base = f"/services/data/v{call.version}"
        names = ("sobjects", "query", "queryAll", "limits", "composite", "jobs", "tooling")
        found = {name: f"{base}/{name}" for name in names}
        user_id = self._org.user_id(None) or ""
        identity = f"https://login.salesforce.com/id/{ORGANIZATION}/{user_id}"
        return call.json({**found, "identity": identity})

    def _describe_all(self, call: Call) -> Response:
        found = [summary(s, call.version) for s in call.objects.values() if s.prefix]
        return call.json({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": found})

    def _describe(self, call: Call, name: str) -> Response:
        return call.json(describe(call.sobject(name), call.version))

    def _limits(self, call: Call) -> Response:
        remaining = max(0, self.daily_limit - self.used)
        return call.json(
            {
                "DailyApiRequests": {"Max": self.daily_limit, "Remaining": remaining},
                "DailyBulkApiBatches": {"Max": 15_000, "Remaining": 15_000},
                "DailyBulkV2QueryJobs": {"Max": 10_000, "Remaining": 10_000},
                "DailyBulkV2QueryFileStorageMB": {"Max": 976_562, "Remaining": 976_562},
            }
        )

    # Records

    def _read(self, call: Call, name: str, record_id: str) -> Response:
        names = [n for n in call.parameter("fields").split(",") if n]
        text = self._records.read(call.sobject(name), record_id, names, call.version)
        return Response(200, text.encode(), {"Content-Type": JSON_TYPE})

    def _update(self, call: Call, name: str, record_id: str) -> Response:
        options = Options.of(call.request.headers)
        self._writer.update(call.sobject(name), record_id, call.body(), options)
        return Response(204)

    def _create(self, call: Call, name: str) -> Response:
        if name.lower() == "fieldpermissions":
            identity = self._customs.grant(call.body())
        else:
            options = Options.of(call.request.headers)
            identity = self._writer.create(call.sobject(name), call.body(), options)
        return call.json({"id": identity, "success": True, "errors": []}, 201)

    def _create_field(self, call: Call) -> Response:
        identity = self._customs.create(call.body())
        body = {"id": identity, "success": True, "errors": [], "warnings": [], "infos": []}
        return call.json(body, 201)

    def _delete(self, call: Call, name: str, record_id: str) -> Response:
        self._writer.delete(call.sobject(name), record_id)
        return Response(204)

    def _updated(self, call: Call, name: str) -> Response:
        sobject = call.sobject(name)
        return call.json(self._records.updated(sobject, call.moment("start"), call.moment("end")))

    def _deleted(self, call: Call, name: str) -> Response:
        sobject = call.sobject(name)
        return call.json(self._records.deleted(sobject, call.moment("start"), call.moment("end")))

    # Collections

    def _update_many(self, call: Call) -> Response:
        options = Options.of(call.request.headers)
        return call.json(self._records.update(call.body(), call.objects, options))

    def _create_many(self, call: Call) -> Response:
        options = Options.of(call.request.headers)
        return call.json(self._records.create(call.body(), call.objects, options))

    def _delete_many(self, call: Call) -> Response:
        return call.json(self._records.delete(call.parameter("ids").split(","), call.objects))

    def _read_many(self, call: Call, name: str) -> Response:
        if call.request.method == "POST":
            body = call.body()
            ids, names = body.get("ids", []), body.get("fields", [])
        else:
            ids = call.parameter("ids").split(",")
            names = call.parameter("fields").split(",")
        text = self._records.read_many(call.sobject(name), ids, names, call.version)
        return Response(200, text.encode(), {"Content-Type": JSON_TYPE})

    def _composite(self, call: Call) -> Response:
        return call.json(composite(call, self._routed))

    # Bulk

    def _create_job(self, call: Call, which: str) -> Response:
        create = self.bulk.create_query if which == "query" else self.bulk.create_ingest
        return self._job(call, create(call.body(), call.objects, call.version))

    def _read_job(self, call: Call, _: str, job_id: str) -> Response:
        job = self.bulk.job(job_id)
        self.bulk.work(job, call.objects)
        return self._job(call, job)

    def _job(self, call: Call, job: Job) -> Response:
        return call.json(job.describe(self._org.user_id(None)))

    def _upload(self, call: Call, job_id: str) -> Response:
        self.bulk.upload(self.bulk.job(job_id), call.request.body)
        return Response(201)

    def _change_job(self, call: Call, _: str, job_id: str) -> Response:
        job = self.bulk.job(job_id)
        self.bulk.change_state(job, str(call.body().get("state")), call.objects)
        return self._job(call, job)

    def _delete_job(self, call: Call, _: str, job_id: str) -> Response:
        del call
        self.bulk.delete(self.bulk.job(job_id))
        return Response(204)

    def _job_page(self, call: Call, job_id: str) -> Response:
        job = self.bulk.job(job_id)
        if job.version != call.version:
            raise ApiError(409, "VERSION_MISMATCH", f"Job was created with version {job.version}")
        size = int(call.parameter("maxRecords") or PAGE_ROWS)
        return self.bulk.page(job, call.parameter("locator"), size, packed=call.packed)

    def _job_outcome(self, call: Call, job_id: str, which: str) -> Response:
        del call
        return self.bulk.outcome(self.bulk.job(job_id), which.lower())


def _versions() -> Response:
    found = [
        {"label": f"Release {v}", "url": f"/services/data/v{v}", "version": v} for v in VERSIONS
    ]
    return Response(200, json.dumps(found).encode(), {"Content-Type": JSON_TYPE})


_FACE = SalesforceFace
_ROUTES = [
    (method, re.compile(pattern), handler)
    for method, pattern, handler in (
        ("GET", r"", _FACE._resources),
        ("GET", r"/(query|queryAll)", _FACE._query),
        ("GET", r"/(?:query|queryAll)/(01g\w+)-(\d+)", _FACE._next_page),
        ("GET", r"/tooling/query", _FACE._tooling_query),
        ("POST", r"/tooling/sobjects/CustomField", _FACE._create_field),
        ("GET", r"/limits", _FACE._limits),
        ("GET", r"/sobjects", _FACE._describe_all),
        ("GET", r"/sobjects/(\w+)/describe", _FACE._describe),
        ("GET", r"/sobjects/(\w+)/updated", _FACE._updated),
        ("GET", r"/sobjects/(\w+)/deleted", _FACE._deleted),
        ("POST", r"/sobjects/(\w+)", _FACE._create),
        ("GET", r"/sobjects/(\w+)/(\w{15,18})", _FACE._read),
        ("PATCH", r"/sobjects/(\w+)/(\w{15,18})", _FACE._update),
        ("DELETE", r"/sobjects/(\w+)/(\w{15,18})", _FACE._delete),
        ("POST", r"/composite", _FACE._composite),
        ("PATCH", r"/composite/sobjects", _FACE._update_many),
        ("POST", r"/composite/sobjects", _FACE._create_many),
        ("DELETE", r"/composite/sobjects", _FACE._delete_many),
        ("GET", r"/composite/sobjects/(\w+)", _FACE._read_many),
        ("POST", r"/composite/sobjects/(\w+)", _FACE._read_many),
        ("POST", r"/jobs/(query|ingest)", _FACE._create_job),
        ("GET", r"/jobs/(query|ingest)/(\w+)", _FACE._read_job),
        ("PATCH", r"/jobs/(query|ingest)/(\w+)", _FACE._change_job),
        ("DELETE", r"/jobs/(query|ingest)/(\w+)", _FACE._delete_job),
        ("PUT", r"/jobs/ingest/(\w+)/batches", _FACE._upload),
        ("GET", r"/jobs/query/(\w+)/results", _FACE._job_page),
        (
            "GET",
            r"/jobs/ingest/(\w+)/(successfulResults|failedResults|unprocessed[rR]ecords)",
            _FACE._job_outcome,
        ),
    )
]
