"""The Salesforce connector over real HTTP: log-ins, trouble, big reads, big writes."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from connectors.base import Change, Cursor, FieldKind, NewField, Page, Status, Stream, WriteResult
from connectors.errors import CredentialsError, MappingError, QuotaExhausted, TemporaryError
from connectors.salesforce import soql
from connectors.salesforce.connector import SalesforceConnector
from connectors.salesforce.pull import BULK_PAGE
from connectors.salesforce.settings import SalesforceSettings
from connectors.sandbox.crm import Crm, Kind, Record
from connectors.sandbox.http import Fault, Request, Response, Server
from connectors.sandbox.salesforce.face import SalesforceFace
from connectors.sandbox.salesforce.render import CHILDREN
from connectors.sandbox.salesforce.sessions import Credentials
from core.decision import Output
from tests.salesforce import CLIENT, SalesforceWorld, refusal, salesforce_world
from tests.world import Clock, Mirror, mirrored

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption(),
).decode()
PUBLIC = (
    KEY.public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
)
USER = "integration@sandbox.example"
JWT = {"flow": "jwt", "client_id": "sandbox-client", "username": USER, "private_key": PEM}
PASSWORD = {
    "flow": "password",
    "username": USER,
    "password": "sandbox-password",
    "security_token": "sandbox-token",
}
LEADS = Stream("Lead", "leads")


@pytest.fixture
def world() -> Iterator[SalesforceWorld]:
    with salesforce_world() as world:
        yield world


@pytest.fixture
def ready(world: SalesforceWorld) -> SalesforceWorld:
    """A world whose written fields are there and known, so that calls counted are the test's."""
    world.prepare_fields()
    for name in world.connector.capabilities.objects:
        world.connector.written_fields(name)
    return world


def _leads(world: SalesforceWorld, cursor: Cursor | None = None) -> Iterator[Page]:
    return world.connector.pull(LEADS, cursor, world.clock())


def _ids(pages: list[Page]) -> list[str]:
    return [key for page in pages for key in page.rows["id"].to_pylist()]


def _written(world: SalesforceWorld, leads: list[Record], **values: str) -> list[WriteResult]:
    return world.write(*(world.change(lead, **values) for lead in leads))


def _calls(world: SalesforceWorld, kind: str) -> int:
    return world.connector.usage.calls.get(kind, 0)


def _check(auth: dict[str, str], **org: Any) -> list[str]:
    """The severities that a check finds in a fresh org, logged in to by `auth`."""
    crm = Crm(Clock())
    crm.integration_user = crm.add(Kind.USER, {"name": "Api", "active": True}).number
    face = SalesforceFace(crm, credentials=Credentials(jwt_public_key=PUBLIC))
    for name, value in org.items():
        setattr(face.sessions, name, value)
    with Server(face) as server:
        settings = SalesforceSettings.model_validate(
            {"kind": "salesforce", "url": server.url, "auth": auth}
        )
        connector = SalesforceConnector("sales", settings, sleep=lambda _: None)
        problems = connector.check()
        connector.close()
    open_ = ("flow", "username", "client_id")
    secrets = [value for key, value in auth.items() if value and key not in open_]
    assert not [s for s in secrets for p in problems if s in f"{p.where}{p.what}{p.advice}"]
    return sorted({p.severity for p in problems})


@pytest.mark.parametrize("auth", [CLIENT, JWT, PASSWORD], ids=lambda a: a["flow"])
def test_every_login_flow_works(auth: dict[str, str]) -> None:
    """A check gets in, and finds no more than that the written fields are not there yet."""
    assert _check(auth) == ["error"]


def test_a_session_made_elsewhere_works_until_it_ends(world: SalesforceWorld) -> None:
    """A session id is used as it is; when it has ended, the error says what to do."""
    world.connector.count(LEADS, None)
    token = world.seen[-1].headers["authorization"].removeprefix("Bearer ")
    connector = world.open(auth={"flow": "session", "session_id": token})
    assert connector.count(LEADS, None) == 0
    assert "login" not in connector.usage.calls
    world.face.sessions.expire()
    with pytest.raises(CredentialsError, match="new session_id"):
        connector.count(LEADS, None)


@pytest.mark.parametrize(
    "auth",
    [
        {**CLIENT, "client_secret": "wrong-secret"},
        {**CLIENT, "client_id": "wrong-client"},
        {**JWT, "username": "nobody@sandbox.example"},
        {**JWT, "private_key": "no key at all"},
        {**PASSWORD, "password": "wrong-password"},
        {**PASSWORD, "security_token": ""},
        {"flow": "session", "session_id": "no-such-session"},
    ],
)
def test_wrong_credentials_are_a_finding(auth: dict[str, str]) -> None:
    """Whatever is wrong with the credentials, a check says so and shows no secret."""
    assert _check(auth) == ["credentials"]


@pytest.mark.parametrize("body", [b"[]", b"{}", b"<html>", b""])
def test_a_login_that_something_else_answers(world: SalesforceWorld, body: bytes) -> None:
    """A proxy's or a portal's page in place of Salesforce's answer is said to be that."""
    page = Response(200, body, {"content-type": "application/json"})
    world.server.faults.append(Fault("/services/oauth2", response=page, times=None))
    with pytest.raises(TemporaryError, match="answer"):
        world.connector.now()


def test_a_disabled_api_is_a_finding() -> None:
    """An org without API is a matter of its licence or permissions, not a passing trouble."""
    assert _check(CLIENT, api_enabled=False) == ["credentials"]


def test_an_expired_session_in_mid_run_loses_nothing(world: SalesforceWorld) -> None:
    """D16: the session ends while pages are read: the rest is read from the last key."""
    leads = world.leads(3 * world.page + 1)
    world.clock.tick()
    pages = []
    for page in _leads(world):
        pages.append(page)
        if len(pages) == 1:
            world.face.sessions.expire()
    assert set(_ids(pages)) == {world.id(lead) for lead in leads}
    assert _calls(world, "login") == 2


def test_a_lost_locator_loses_nothing(world: SalesforceWorld) -> None:
    """The org forgets a running query: it is asked again from the last key."""
    leads = world.leads(2 * world.page + 1)
    world.clock.tick()
    lost = refusal(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
    world.server.faults.append(Fault("/query/01g", response=lost, times=2))
    assert set(_ids(list(_leads(world)))) == {world.id(lead) for lead in leads}


def test_a_locator_that_is_always_lost_costs_calls_only(world: SalesforceWorld) -> None:
    """An org that forgets every query is read page by page, by queries from the last key."""
    leads = world.leads(2 * world.page + 1)
    world.clock.tick()
    lost = refusal(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
    world.server.faults.append(Fault("/query/01g", response=lost, times=None))
    assert sorted(_ids(list(_leads(world)))) == sorted(world.id(lead) for lead in leads)


LOST = refusal(400, "INVALID_QUERY_LOCATOR", "invalid query locator")


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two records make a page, as wide ones do."""
    monkeypatch.setattr("connectors.sandbox.salesforce.face.PAGE_SIZES", (2, 2))


@pytest.mark.usefixtures("small_pages")
def test_a_locator_lost_among_records_that_are_asked_for_by_id(world: SalesforceWorld) -> None:
    """Who asks for some records gets all of them: their query is begun anew."""
    leads = world.leads(5)
    world.server.faults.append(Fault("/query/01g", skip=1, response=LOST))
    page = world.connector.read_again(LEADS, [world.id(lead) for lead in leads])
    assert sorted(page.rows["id"].to_pylist()) == sorted(map(world.id, leads))
    assert world.server.faults[0].hit == 1


@pytest.mark.usefixtures("small_pages")
def test_a_page_whose_history_is_lost_is_not_passed_over(world: SalesforceWorld) -> None:
    """What belongs to the records of a page is asked for again, and so is the page; where it
    cannot be had at all, that is an error."""
    leads = world.leads(5)
    world.face.rules.tracked["Lead"] = {"Title": world.clock()}
    for title in ("CTO", "CEO"):
        world.clock.tick()
        for lead in leads:
            world.crm.update(lead, {"title": title}, at=lead.modified)
    connector = world.open(history=True)
    lost = Fault("/query/01g", skip=2, times=2, response=LOST)
    world.server.faults.append(lost)
    pages = list(connector.pull(LEADS, None, world.clock()))
    assert lost.hit == 2
    assert sorted(_ids(pages)) == sorted(map(world.id, leads))
    world.server.faults[:] = [Fault("/query/01g", times=None, response=LOST)]
    with pytest.raises(TemporaryError, match="lost again and again"):
        list(connector.pull(LEADS, None, world.clock()))


def test_the_quota_of_an_app_is_not_that_of_the_org(world: SalesforceWorld) -> None:
    """D24: the header may tell both, in whatever order."""

    def told(request: Request) -> Response:
        answer = world.face(request)
        answer.headers["Sforce-Limit-Info"] = "per-app-api-usage=17/250(appName=x),api-usage=18/500"
        return answer

    world.server.faults.append(Fault("/services/data", response=told, times=None))
    world.connector.count(LEADS, None)
    usage = world.connector.usage
    assert (usage.daily_used, usage.daily_limit) == (18, 500)


def test_logging_in_for_ever_is_not_tried(world: SalesforceWorld) -> None:
    """An org that refuses every new session ends in an error after one renewal."""
    gone = refusal(401, "INVALID_SESSION_ID", "Session expired or invalid")
    world.server.faults.append(Fault("/services/data/", response=gone, times=None))
    with pytest.raises(CredentialsError, match="right after log-in"):
        world.connector.count(LEADS, None)
    assert _calls(world, "login") == 2


def test_headers_survive_a_new_login(ready: SalesforceWorld) -> None:
    """The header policy holds on the call that is repeated after a renewal, too."""
    lead = ready.lead()
    ready.face.sessions.expire()
    ready.seen.clear()
    assert _written(ready, [lead], tier="A")[0].status is Status.WRITTEN
    sent = [r.headers for r in ready.seen if r.method == "PATCH"]
    assert len(sent) == 2
    for headers in sent:
        assert headers["sforce-auto-assign"] == "FALSE"
        assert headers["sforce-duplicate-rule-header"] == "allowSave=true"
        assert headers["sforce-mru"] == "updateMru=false"
        assert headers["sforce-call-options"] == "client=leadgauge"
        assert "gzip" in headers["accept-encoding"]
        assert "x-prettyprint" not in headers


@pytest.mark.parametrize("asked", [False, True])
def test_assignment_rules_run_only_when_asked(ready: SalesforceWorld, asked: bool) -> None:
    """A score write moves no lead to another owner, unless the configuration wants that."""
    other = ready.crm.add(Kind.USER, {"name": "Other", "active": True})
    ready.face.rules.assign_to = other.number
    lead = ready.lead()
    (result,) = ready.open(assignment_rules=asked).write([ready.change(lead, tier="A")])
    assert result.status is Status.WRITTEN
    owner = other if asked else ready.rep
    assert ready.held(lead)[Output.OWNER] == ready.id(owner)


def test_equal_stamps_lose_nothing_and_end(world: SalesforceWorld) -> None:
    """D18, D19: a bulk load under one stamp is read whole, once, from any page's cursor on."""
    leads = world.leads(2 * world.page + 7)
    world.clock.tick()
    pages = list(_leads(world))
    assert sorted(_ids(pages)) == sorted(world.id(lead) for lead in leads)
    assert len(pages) == 3
    rest = list(_leads(world, pages[0].cursor))
    assert sorted(_ids([pages[0], *rest])) == sorted(world.id(lead) for lead in leads)


def test_the_next_run_reads_only_what_changed(world: SalesforceWorld) -> None:
    """D15: after a full read, one changed lead costs one call and brings one row."""
    leads = world.leads(50)
    world.clock.tick()
    (page,) = _leads(world)
    world.clock.tick(minutes=5)
    world.crm.update(leads[7], {"title": "Director"})
    world.clock.tick(minutes=5)
    before = world.connector.usage.total
    (delta,) = _leads(world, page.cursor)
    assert _ids([delta]) == [world.id(leads[7])]
    assert world.connector.usage.total - before == 1


def test_a_run_over_an_unchanged_org_costs_a_dozen_calls(world: SalesforceWorld) -> None:
    """D15: one log-in, one call that describes everything, one query for each object."""
    world.leads(3)
    mirror = mirrored(world)
    connector = world.open()
    mirror.pull(connector, world.clock.tick())
    for name in connector.capabilities.objects:
        connector.written_fields(name)
    assert connector.usage.calls == {"login": 1, "describe": 1, "read": len(connector.streams())}
    assert connector.usage.total == 12


def test_more_leads_cost_no_more_calls(world: SalesforceWorld) -> None:
    """D25: what can be read on one page takes the same calls, however many; one describe in all."""
    spent = []
    for more in (10, 490):
        world.leads(more)
        world.clock.tick()
        connector = world.open()
        for _ in range(2):
            mirror = Mirror()
            mirror.pull(connector, world.clock())
        spent.append(connector.usage.calls)
    assert spent[0] == spent[1]
    assert spent[0]["describe"] == 1


def test_an_object_that_is_not_visible_stops_only_its_own_stream(world: SalesforceWorld) -> None:
    """An object kept from the integration user is a finding, and an error where it is read."""
    lead = world.lead()
    world.clock.tick()

    def hide_events(request: Request) -> Response:
        body = request.body.replace(b"/sobjects/Event/", b"/sobjects/Hidden/")
        return world.face(replace(request, body=body))

    world.server.faults.append(Fault("/composite$", response=hide_events, times=None))
    assert [(p.severity, p.where) for p in world.connector.check()] == [("error", "Event")]
    assert _ids(list(_leads(world))) == [world.id(lead)]
    with pytest.raises(MappingError, match="NOT_FOUND"):
        list(world.connector.pull(Stream("Event", "activities"), None, world.clock()))


def test_a_call_refused_inside_the_describe_is_temporary(world: SalesforceWorld) -> None:
    """An object that could not be described for now is asked for again, and nothing else is."""
    busy = b'[{"errorCode":"SERVER_UNAVAILABLE","message":"busy"}]'

    def overloaded(request: Request) -> Response:
        reply = json.loads(world.face(request).body)
        (part,) = (p for p in reply["compositeResponse"] if p["referenceId"] == "Lead")
        part |= {"httpStatusCode": 503, "body": json.loads(busy)}
        return Response(200, json.dumps(reply).encode(), {"Content-Type": "application/json"})

    world.server.faults.append(Fault("/composite$", response=overloaded))
    with pytest.raises(TemporaryError, match="SERVER_UNAVAILABLE"):
        list(_leads(world))
    assert "Email" in world.connector.fields("Lead")
    assert _calls(world, "describe") == 2


def _long_fields(world: SalesforceWorld, count: int) -> dict[str, str]:
    """So many custom fields on leads that their names do not fit a URI; the mapping to them."""
    names = [f"A_field_with_a_name_of_forty_letters_{n:03}__c" for n in range(count)]
    fields = [NewField("Lead", Output.TIER, name, name, "", FieldKind.TEXT) for name in names]
    assert world.connector.create_fields(fields) == []
    return {f"custom.f{n:03}": name for n, name in enumerate(names)}


def test_a_long_field_list_is_read_all_the_same(world: SalesforceWorld) -> None:
    """D20: more fields than a URI holds are read by a bulk job, whose query is no URI."""
    mapped = _long_fields(world, 350)
    name = mapped["custom.f349"]
    text = 'line\nbreak, "quoted" Zoë 李'
    full = world.lead(Kind.LEAD, **{name: text}, title="Director")
    gone = world.lead()
    world.crm.delete(gone)
    converted = world.lead()
    contact = world.crm.convert(converted)
    world.clock.tick()
    connector = world.open(mapping={"leads": mapped})
    pages = list(connector.pull(LEADS, None, world.clock()))
    rows = {row["id"]: row for page in pages for row in page.rows.to_pylist()}
    assert dict(rows[world.id(full)]["custom"]) == {"f349": text}
    assert rows[world.id(full)]["title"] == "Director"
    assert {(r.id, r.survivor) for page in pages for r in page.removed} == {
        (world.id(gone), None),
        (world.id(converted), world.id(contact)),
    }
    assert connector.usage.calls["bulk"] >= 3
    assert pages[0].cursor.id.startswith("750")
    assert pages[-1].cursor == Cursor(world.clock())


def test_rest_and_bulk_say_the_same(
    world: SalesforceWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record is the same row whichever interface it came through."""
    values = {
        "email": "A@Buyer.example",
        "employees": 120,
        "revenue": 1_234_567,
        "country": "United States",
        "state": "California",
        "technologies": ["Salesforce", "Slack"],
        "industry": "Healthcare",
        "opt_out": True,
        "bounced_at": world.clock(),
    }
    world.lead(Kind.LEAD, **values)
    world.prepare_fields()
    _written(
        world, [world.lead(Kind.LEAD, **values)], score="98.5", scored_at="2026-03-01T12:00:00Z"
    )
    world.clock.tick()
    (rest,) = _leads(world)
    monkeypatch.setattr(soql, "URI_BYTES", 200)
    connector = world.open()
    bulk = connector.pull(LEADS, None, world.clock())
    rows = [row for page in bulk for row in page.rows.to_pylist()]
    expected = rest.rows.to_pylist()
    assert connector.usage.calls["bulk"]
    assert sorted(rows, key=lambda row: row["id"]) == sorted(expected, key=lambda row: row["id"])


def test_rest_and_bulk_tell_the_same_history(
    world: SalesforceWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a record was is the same whichever interface its row came through."""
    fields = ("Title", "NumberOfEmployees", "HasOptedOutOfEmail", "AnnualRevenue", "OwnerId")
    world.face.rules.tracked["Lead"] = dict.fromkeys(fields, world.clock())
    lead = world.lead(title="Clerk", employees=120, opt_out=True, revenue=1_234_567)
    changed = {"title": "CEO", "employees": 121, "opt_out": False}
    world.crm.update(lead, changed, at=world.clock.tick())
    world.crm.update(lead, {}, at=world.clock.tick())
    told = []
    for longest in (soql.URI_BYTES, 200):
        monkeypatch.setattr(soql, "URI_BYTES", longest)
        connector = world.open(history=True)
        for page in connector.pull(LEADS, None, world.clock()):
            if page.earlier is not None:
                told.append(page.earlier.to_pylist())
        assert bool(connector.usage.calls.get("bulk")) == (longest == 200)
    rest, bulk = told
    assert [(row["title"], row["employees"], row["email_opt_out"]) for row in rest] == [
        ("Clerk", 120, True), ("CEO", 121, False),
    ]  # fmt: skip
    assert [row["revenue"] for row in rest] == [1_234_567] * 2
    assert bulk == rest


def test_two_thousand_leads_cost_ten_calls(ready: SalesforceWorld) -> None:
    """D29, D41: one lead takes one call and 2,000 take ten, no bulk job; each has its result."""
    leads = ready.leads(2_000)
    before = _calls(ready, "write")
    _written(ready, leads[:1], score="70")
    assert _calls(ready, "write") - before == 1
    before += 1
    results = _written(ready, leads, score="71", tier="B")
    assert {r.status for r in results} == {Status.WRITTEN}
    assert len({r.change.id for r in results}) == 2_000
    assert _calls(ready, "write") - before == 10
    assert _calls(ready, "bulk") == 0


def test_one_bad_record_fails_alone_in_its_collection(ready: SalesforceWorld) -> None:
    """D31: of 200 records sent in one call, the one with an error is refused, 199 are written."""
    leads = ready.leads(200)
    changes = [ready.change(lead, score="71") for lead in leads]
    changes[7] = ready.change(leads[7], owner=ready.id(leads[8]))
    before = _calls(ready, "write")
    results = {r.change.id: r.status for r in ready.write(*changes)}
    assert _calls(ready, "write") - before == 1
    assert results.pop(ready.id(leads[7])) is Status.REFUSED
    assert list(results.values()) == [Status.WRITTEN] * 199
    held = ready.connect().read_back("Lead", [ready.id(lead) for lead in leads])
    others = [values[Output.SCORE] for id_, values in held.items() if id_ != ready.id(leads[7])]
    assert others == ["71"] * 199


def test_more_are_written_by_one_bulk_job(ready: SalesforceWorld) -> None:
    """D41: above 2,000 one job does it; a refused row is told, a None clears, others stay."""
    leads = ready.leads(2_001)
    _written(ready, leads[:1], stage="MQL", tier="C")
    changes = [ready.change(lead, score="98.5", reason='a "b",\nc') for lead in leads[2:]]
    changes.append(ready.change(leads[0], tier=None))
    changes.append(ready.change(leads[1], owner=ready.id(leads[2])))
    writes = _calls(ready, "write")
    results = {r.change.id: r for r in ready.write(*changes)}
    refused = results.pop(ready.id(leads[1]))
    assert refused.status is Status.REFUSED
    assert refused.code.isupper()
    assert {r.status for r in results.values()} == {Status.WRITTEN}
    assert _calls(ready, "write") == writes
    assert _calls(ready, "bulk") <= ready.connector.capabilities.bulk_write_calls
    held = ready.held(leads[0])
    assert (held[Output.TIER], held[Output.STAGE]) == (None, "MQL")
    held = ready.held(leads[-1])
    assert (held[Output.SCORE], held[Output.REASON]) == ("98.5", 'a "b",\nc')


@pytest.mark.parametrize("lost", ["/jobs/ingest$", "/batches$", "/jobs/ingest/750\\w+$"])
def test_a_bulk_job_survives_a_lost_answer(ready: SalesforceWorld, lost: str) -> None:
    """Whichever answer of a job is lost, every record is written."""
    leads = ready.leads(2_001)
    ready.server.faults.append(Fault(lost, method="POST|PUT|PATCH", drop="after"))
    assert {r.status for r in _written(ready, leads, tier="A")} == {Status.WRITTEN}
    assert ready.held(leads[-1])[Output.TIER] == "A"


def test_a_write_updates_by_id_and_creates_nothing(ready: SalesforceWorld) -> None:
    """D36: a write is an update of a record by its id; no record comes into being."""
    leads = ready.leads(3)
    count = sum(1 for _ in ready.crm.records(*Kind, deleted=True))
    ready.server.requests.clear()
    gone = Change("Lead", "00Q000000000000AAA", {Output.TIER: "A"})
    results = list(ready.connector.write([*(ready.change(r, tier="A") for r in leads), gone]))
    assert sum(1 for _ in ready.crm.records(*Kind, deleted=True)) == count
    assert {method for method, _ in ready.server.requests} == {"PATCH"}
    assert [r.status for r in results if r.change is gone] == [Status.REFUSED]


def test_a_converted_lead_is_refused_with_its_reason(ready: SalesforceWorld) -> None:
    """D32: a converted lead is read-only; the others of its batch are written."""
    converted, other = ready.leads(2)
    ready.crm.convert(converted)
    results = {r.change.id: r for r in _written(ready, [converted, other], tier="A")}
    refused = results[ready.id(converted)]
    assert (refused.status, refused.code) == (Status.REFUSED, "CANNOT_UPDATE_CONVERTED_LEAD")
    assert results[ready.id(other)].status is Status.WRITTEN


def test_an_inactive_owner_is_refused_with_its_reason(ready: SalesforceWorld) -> None:
    """D33: an owner who left cannot be given a lead, and is told as inactive by the pull."""
    left = ready.crm.add(Kind.USER, {"name": "Left", "active": False})
    lead, other = ready.leads(2)
    changes = [ready.change(lead, owner=ready.id(left)), ready.change(other, tier="A")]
    results = {r.change.id: r for r in ready.write(*changes)}
    refused = results[ready.id(lead)]
    assert (refused.status, refused.code) == (Status.REFUSED, "INACTIVE_OWNER_OR_USER")
    assert results[ready.id(other)].status is Status.WRITTEN
    ready.clock.tick()
    owners = {row["id"]: row["active"] for row in mirrored(ready).table("owners")}
    assert owners[ready.id(left)] is False
    assert owners[ready.id(ready.rep)] is True


@pytest.mark.parametrize(("times", "status"), [(2, Status.WRITTEN), (99, Status.TRANSIENT)])
def test_a_locked_record_is_tried_again(ready: SalesforceWorld, times: int, status: Status) -> None:
    """D35: a row lock passes or is told as passing; it never holds up the other records."""
    leads = ready.leads(3)
    ready.face.rules.locked[ready.id(leads[1])] = times
    results = {r.change.id: r for r in _written(ready, leads, tier="A")}
    assert results.pop(ready.id(leads[1])).status is status
    assert {r.status for r in results.values()} == {Status.WRITTEN}


@pytest.mark.parametrize(
    ("code", "message", "sent"),
    [
        ("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "LeadTrigger: UNABLE_TO_LOCK_ROW", 2),
        ("CANNOT_EXECUTE_FLOW_TRIGGER", "Apex CPU time limit exceeded", 2),
        ("ALL_OR_NONE_OPERATION_ROLLED_BACK", "another record of the call failed", 2),
        ("PROCESSING_HALTED", "an earlier record of the call failed", 2),
        ("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "LeadTrigger: NullPointerException", 1),
        ("CANNOT_EXECUTE_FLOW_TRIGGER", "the flow has no such record", 1),
    ],
)
def test_what_passes_by_itself_is_sent_again(
    ready: SalesforceWorld, code: str, message: str, sent: int
) -> None:
    """D35: a lock within a trigger passes, its bug does not: that is told, and sent once."""
    lead = ready.lead()
    error = {"statusCode": code, "message": message, "fields": []}
    rows = json.dumps([{"id": ready.id(lead), "success": False, "errors": [error]}]).encode()
    told = Response(200, rows, {"Content-Type": "application/json"})
    ready.server.faults.append(Fault("/composite/sobjects$", "PATCH", response=told))
    (result,) = _written(ready, [lead], tier="A")
    assert (result.status, result.code) == (
        (Status.WRITTEN, "") if sent == 2 else (Status.REFUSED, code)
    )
    assert len([m for m, _ in ready.server.requests if m == "PATCH"]) == sent


def test_records_of_one_account_go_together(ready: SalesforceWorld) -> None:
    """D35: records that lock the same account are sent next to each other, in one call or two."""
    leads = ready.leads(300)
    given = [
        replace(ready.change(lead, tier="A"), group=f"account {n % 5}")
        for n, lead in enumerate(leads)
    ]
    groups = {change.id: change.group for change in given}
    assert {r.status for r in ready.write(*given)} == {Status.WRITTEN}
    sent = [json.loads(r.body)["records"] for r in ready.seen if r.method == "PATCH"]
    assert [len(call) for call in sent] == [200, 100]
    order = [groups[record["id"]] for call in sent for record in call]
    assert order == sorted(groups.values())


@pytest.mark.parametrize("asked", [False, True])
def test_duplicate_rules_refuse_only_when_asked(ready: SalesforceWorld, asked: bool) -> None:
    """D34: an alerting duplicate rule is overridden, or its refusal is told and stops no other."""
    one, twin, other = (ready.lead(email=f"{n}@x.example") for n in ("same", "same", "other"))
    ready.face.rules.duplicate_alert = True
    changes = [ready.change(lead, tier="A") for lead in (one, twin, other)]
    results = list(ready.open(duplicate_rules=asked).write(changes))
    codes = {result.change.id: result.code for result in results}
    refused = "DUPLICATES_DETECTED" if asked else ""
    assert codes == {ready.id(one): refused, ready.id(twin): refused, ready.id(other): ""}


@pytest.mark.parametrize("drop", ["before", "after"])
def test_a_lost_answer_is_settled_by_reading_back(ready: SalesforceWorld, drop: str) -> None:
    """Only what was not carried out is sent again."""
    leads = ready.leads(2)
    ready.server.faults.append(Fault("/composite/sobjects$", method="PATCH", drop=drop))
    results = _written(ready, leads, tier="A")
    assert [r.status for r in results] == [Status.WRITTEN] * 2
    assert {ready.held(lead)[Output.TIER] for lead in leads} == {"A"}
    sent = [path for method, path in ready.server.requests if method == "PATCH"]
    assert len(sent) == (2 if drop == "before" else 1)


def test_a_record_that_held_a_part_before_is_sent_again(ready: SalesforceWorld) -> None:
    """One value that was there already is no proof that the write arrived."""
    lead = ready.lead()
    _written(ready, [lead], tier="A")
    ready.server.faults.append(Fault("/composite/sobjects$", method="PATCH", drop="before"))
    (result,) = _written(ready, [lead], tier="A", score="7")
    assert result.status is Status.WRITTEN
    assert ready.held(lead)[Output.SCORE] == "7"


def test_what_cannot_be_settled_is_unknown(ready: SalesforceWorld) -> None:
    """No answer to the write, none to the reading back: unknown, and not sent again."""
    lead = ready.lead()
    ready.server.faults.append(Fault("/composite/sobjects$", method="PATCH", drop="after"))
    ready.server.faults.append(Fault("/composite/sobjects/Lead", drop="before", times=None))
    (result,) = _written(ready, [lead], tier="A")
    assert result.status is Status.UNKNOWN
    assert len([m for m, _ in ready.server.requests if m == "PATCH"]) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_write_that_was_carried_out_is_not_sent_again(
    ready: SalesforceWorld, status: int
) -> None:
    """U05: after a status that does not prove the contrary the records are read back first."""
    leads = ready.leads(3)

    def carried_out(face: Any, request: Request) -> Response:
        face(request)
        return Response(status, b"<html>", {"Content-Type": "text/html"})

    ready.server.faults.append(Fault("/composite/sobjects$", "PATCH", around=carried_out))
    assert {r.status for r in _written(ready, leads, tier="A")} == {Status.WRITTEN}
    assert len([m for m, _ in ready.server.requests if m == "PATCH"]) == 1


def test_what_salesforce_says_it_did_not_begin_is_sent_again(ready: SalesforceWorld) -> None:
    """Its own words for an overload prove that nothing was written: wait, and send."""
    unavailable = refusal(503, "SERVER_UNAVAILABLE", "too many requests are waiting")
    fault = Fault("/composite/sobjects$", "PATCH", times=2, response=unavailable)
    ready.server.faults.append(fault)
    assert {r.status for r in _written(ready, ready.leads(3), tier="A")} == {Status.WRITTEN}
    assert not [path for _, path in ready.server.requests if path.endswith("/sobjects/Lead")]
    assert len([wait for wait in ready.waits if wait]) == 2


def test_a_lasting_overload_leaves_the_rest_unsent(ready: SalesforceWorld) -> None:
    """U05: what was acknowledged stays told; what got no answer is unknown and ends the writing."""
    leads, down = ready.leads(700), Response(503, b"<html>")
    fault = Fault("/composite/sobjects$", "PATCH", skip=1, times=None, response=down)
    ready.server.faults.append(fault)
    results: list[WriteResult] = []
    changes = [ready.change(lead, tier="A") for lead in leads]
    with pytest.raises(TemporaryError):
        results.extend(ready.connector.write(changes))
    told = [result.status for result in results]
    assert told == [Status.WRITTEN] * 200 + [Status.UNKNOWN] * 200
    assert fault.hit == 2


def test_a_field_that_is_read_only_is_refused_without_a_call(ready: SalesforceWorld) -> None:
    """It is told by name, and the other records of the call are written."""
    lead, other = ready.leads(2)
    ready.crm.custom[Kind.LEAD]["Leadgauge_Tier__c"]["editable"] = False
    ready.crm.revision += 1
    changes = [ready.change(lead, tier="A"), ready.change(other, score="7")]
    refused, written = ready.open().write(changes)
    assert (refused.status, refused.code) == (Status.REFUSED, "INVALID_FIELD")
    assert refused.reason.startswith("Lead.Leadgauge_Tier__c is read-only")
    assert written.status is Status.WRITTEN
    (sent,) = (json.loads(r.body)["records"] for r in ready.seen if r.method == "PATCH")
    assert [record["id"] for record in sent] == [ready.id(other)]


def test_a_call_refused_as_a_whole_costs_only_the_culprit(ready: SalesforceWorld) -> None:
    """A record that makes Salesforce refuse the call is found; the others are written."""
    leads = ready.leads(8)
    bad = refusal(400, "JSON_PARSER_ERROR", "cannot be read")
    fault = Fault("/composite/sobjects$", "PATCH", ready.id(leads[5]), times=None, response=bad)
    ready.server.faults.append(fault)
    results = {r.change.id: r for r in _written(ready, leads, tier="A")}
    culprit = results.pop(ready.id(leads[5]))
    assert (culprit.status, culprit.code) == (Status.REFUSED, "JSON_PARSER_ERROR")
    assert {r.status for r in results.values()} == {Status.WRITTEN}


def test_the_daily_quota_ends_a_run(world: SalesforceWorld) -> None:
    """A used-up quota is told as such and not waited for; the quota is known from any answer."""
    world.connector.count(LEADS, None)
    assert world.connector.usage.daily_limit == world.face.daily_limit
    assert world.connector.usage.daily_used == world.face.used
    world.face.used = world.face.daily_limit
    with pytest.raises(QuotaExhausted, match="used up"):
        list(_leads(world))
    assert world.waits == []


def test_an_overload_is_waited_out(world: SalesforceWorld) -> None:
    """A maintenance page and a cut-off answer cost time, not rows."""
    (lead,) = world.leads(1)
    world.clock.tick()
    down = refusal(503, "SERVER_UNAVAILABLE")
    down.body = b"<html>Maintenance</html>"
    world.server.faults += [Fault("/queryAll", response=down), Fault("/queryAll", drop="truncate")]
    assert _ids(list(_leads(world))) == [world.id(lead)]
    assert len(world.waits) == 2


def test_an_unreachable_org_is_temporary() -> None:
    """Nobody answers: try again later; the message names the address."""
    settings = SalesforceSettings.model_validate(
        {"kind": "salesforce", "url": "http://127.0.0.1:9", "auth": CLIENT}
    )
    connector = SalesforceConnector("sales", settings, sleep=lambda _: None)
    with pytest.raises(TemporaryError, match=r"127\.0\.0\.1:9"):
        connector.check()


def test_a_heavy_query_is_asked_by_bulk(world: SalesforceWorld) -> None:
    """A query that runs over two minutes goes on as a bulk job."""
    leads = world.leads(5)
    world.clock.tick()
    slow = refusal(400, "QUERY_TIMEOUT", "Your query request was running for too long.")
    world.server.faults.append(Fault("/queryAll", response=slow, times=None))
    assert set(_ids(list(_leads(world)))) == {world.id(lead) for lead in leads}
    assert _calls(world, "bulk") >= 3


def test_a_contact_role_that_comes_late_is_followed(world: SalesforceWorld) -> None:
    """D12: a changed role alone brings its opportunity anew, a row for each of its contacts."""
    people = [world.lead(Kind.CONTACT) for _ in range(2)]
    numbers = [person.number for person in people]
    world.crm.add(Kind.DEAL, {"name": "Deal", "people": numbers, "closed": False})
    roles = Stream("OpportunityContactRole", "outcomes")
    world.clock.tick(minutes=5)
    assert world.connector.count(roles, None) == 0
    (first,) = world.connector.pull(roles, None, world.clock())
    assert (first.rows.num_rows, first.cursor) == (0, Cursor(world.clock()))
    early = Cursor(world.clock() - timedelta(hours=1))
    assert world.connector.count(roles, early) == 2
    (page,) = world.connector.pull(roles, early, world.clock())
    rows = page.rows.to_pylist()
    assert {row["lead_id"] for row in rows} == {world.id(person) for person in people}
    assert {(row["object_type"], row["result"]) for row in rows} == {("Opportunity", "open")}


def test_more_contact_roles_than_a_sub_query_brings(world: SalesforceWorld) -> None:
    """An opportunity has a row for each of its contacts, however many they are."""
    people = [world.lead(Kind.CONTACT) for _ in range(CHILDREN + 1)]
    few = world.crm.add(Kind.DEAL, {"name": "Few", "people": [people[0].number]})
    many = {"name": "Many", "people": [person.number for person in people]}
    deal = world.crm.add(Kind.DEAL, many)
    world.clock.tick()
    pages = world.connector.pull(Stream("Opportunity", "outcomes"), None, world.clock())
    found = [(row["id"], row["lead_id"]) for page in pages for row in page.rows.to_pylist()]
    expected = [(world.id(deal), world.id(person)) for person in people]
    assert sorted(found) == sorted([*expected, (world.id(few), world.id(people[0]))])


def test_a_check_finds_what_a_run_would_fail_on(world: SalesforceWorld) -> None:
    """Each wrong field is named with its object and what to do; the rest is not in the way."""
    world.prepare_fields()
    connector = world.open(
        mapping={"leads": {"title": "Titel", "custom.parent": "Owner.Name"}},
        write={"score": {"field": "Title"}, "stage": {"field": "CreatedDate"}},
    )
    found = {(p.where, p.advice.split(",")[0]) for p in connector.check()}
    assert ("mapping.leads.title", "use Title") in found
    assert ("Lead.CreatedDate", "grant edit") in found
    assert ("Contact.CreatedDate", "grant edit") in found
    assert len(found) == 3


@pytest.mark.slow
def test_a_hundred_thousand_leads_are_read_by_bulk(world: SalesforceWorld) -> None:
    """D20, D21: above 100,000 records a bulk job is paged by its locator to the last row."""
    count = BULK_PAGE + 1
    world.leads(count)
    world.clock.tick()
    pages = list(_leads(world))
    assert len(set(_ids(pages))) == count
    assert _calls(world, "read") == 1
    # The first page keeps the job's id, the last the end of the reading.
    assert [page.rows.num_rows for page in pages] == [0, BULK_PAGE, 1, 0]
