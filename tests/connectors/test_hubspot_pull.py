"""Reading records from HubSpot: everything once, then what changed, and what is gone."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from connectors.base import Connector, Cursor, FieldKind, NewField, Page, Removed
from connectors.errors import TemporaryError
from connectors.sandbox.crm import Kind, Record
from connectors.sandbox.http import Face, Fault, Request, Response
from connectors.sandbox.hubspot.limits import SCOPES
from connectors.sandbox.hubspot.replies import not_found
from connectors.settings import FieldMapping
from core.decision import Output
from tests.hubspot import Account, account
from tests.world import Mirror


@pytest.fixture
def own() -> Iterator[Account]:
    """A fresh account."""
    with account() as made:
        yield made


def pages(connector: Connector, name: str, cursor: Cursor | None, until: datetime) -> list[Page]:
    """The pages of a stream."""
    (stream,) = [s for s in connector.streams() if s.name == name]
    return list(connector.pull(stream, cursor, until))


def rows(of: Sequence[Page]) -> list[dict[str, Any]]:
    """The rows of some pages."""
    return [row for page in of for row in page.rows.to_pylist()]


def read(own: Account, name: str, cursor: Cursor | None = None) -> list[dict[str, Any]]:
    """The rows of a stream, up to now."""
    return rows(pages(own.connect(), name, cursor, own.clock()))


def contact(own: Account, **values: Any) -> Record:
    return own.crm.add(Kind.LEAD, {"last_name": "Muster", **values})


def yesterday(own: Account) -> Cursor:
    return Cursor(own.clock() - timedelta(days=1))


def test_contact_in_the_common_model(own: Account) -> None:
    """What HubSpot says in text is read as what it is; the company is the primary one."""
    firm = own.crm.add(Kind.ACCOUNT, {"name": "Muster Ltd", "industry": "Technology"})
    who = contact(
        own,
        first_name="Ada",
        email="Ada@Buyer.example",
        title="VP Sales",
        company="Muster Ltd",
        industry="Healthcare",
        employees=250,
        revenue=Decimal("1500000.50"),
        country="Germany",
        technologies=["SAP", "Slack"],
        opt_out=True,
        account=firm.number,
    )
    (lead,) = read(own, "contacts")
    (company,) = read(own, "companies")
    assert lead["id"] == str(who.number)
    assert lead["object_type"] == "contacts"
    assert lead["email"] == "ada@buyer.example"
    assert (lead["employees"], lead["revenue"]) == (250, Decimal("1500000.50"))
    assert (lead["country"], lead["industry"]) == ("DE", "healthcare")
    assert lead["technologies"] == ["sap", "slack"]
    assert lead["email_opt_out"] is True
    assert lead["account_id"] == company["id"] == str(firm.number)
    assert lead["modified_at"] == own.clock()
    assert company["industry"] == "technology"


def test_more_than_10_000_contacts_with_one_stamp(own: Account) -> None:
    """D08, D19: a search goes on behind its cap, by windows of ids; none is missing."""
    for n in range(10_450):
        contact(own, email=f"p{n}@buyer.example")
    connector = own.connect()
    found = rows(pages(connector, "contacts", yesterday(own), own.clock()))
    assert len({row["id"] for row in found}) == len(found) == 10_450
    assert connector.usage.calls["search"] == 53


def test_search_takes_the_largest_page(own: Account) -> None:
    """D09: 200 records a search."""
    for n in range(600):
        contact(own, email=f"p{n}@buyer.example")
    connector = own.connect()
    found = pages(connector, "contacts", yesterday(own), own.clock())
    assert sum(page.rows.num_rows for page in found) == 600
    assert connector.usage.calls["search"] == 3


def test_only_what_changed_is_read_again(own: Account) -> None:
    """D15: after one change, one search brings one contact."""
    everyone = [contact(own, email=f"p{n}@buyer.example") for n in range(300)]
    own.clock.tick()
    connector = own.connect()
    cursor = pages(connector, "contacts", None, own.clock())[-1].cursor
    own.clock.tick()
    own.crm.update(everyone[7], {"title": "CTO"})
    own.clock.tick()
    before = dict(connector.usage.calls)
    (row,) = rows(pages(connector, "contacts", cursor, own.clock()))
    assert row["id"] == str(everyone[7].number)
    assert row["title"] == "CTO"
    after = connector.usage.calls
    assert after["search"] - before.get("search", 0) == 1
    assert after["read"] == before["read"]


def test_first_load_goes_on_where_it_stopped(own: Account) -> None:
    """The walk ends where its first attempt began: what changed since comes with the next."""
    for n in range(1_100):
        contact(own, email=f"p{n}@buyer.example")
    began = own.clock()
    connector = own.connect()
    (stream,) = [s for s in connector.streams() if s.name == "contacts"]
    first = next(iter(connector.pull(stream, None, began)))
    assert first.rows.num_rows == 1_000
    own.clock.tick()
    rest = pages(own.connect(), "contacts", first.cursor, own.clock())
    assert len({row["id"] for row in rows([first, *rest])}) == 1_100
    assert rest[-1].cursor == Cursor(stamp=began)


def test_properties_that_do_not_fit_into_a_search(own: Account) -> None:
    """D20: then ids are searched, and the records read in batches of 100."""
    names = [f"{'long_' * 17}{n}" for n in range(40)]
    connector = own.connect()
    made = [NewField("contacts", Output.TIER, n, n, "", FieldKind.TEXT) for n in names]
    assert connector.create_fields(made) == []
    mapping = FieldMapping(leads={f"custom.f{n}": name for n, name in enumerate(names)})
    for n in range(150):
        contact(own, email=f"p{n}@buyer.example", **{names[39]: f"value {n}"})
    connector = own.connect(mapping=mapping)
    found = rows(pages(connector, "contacts", yesterday(own), own.clock()))
    assert {dict(row["custom"])["f39"] for row in found} == {f"value {n}" for n in range(150)}
    assert connector.usage.calls["search"] == 1
    assert connector.usage.calls["read"] == 2


@pytest.mark.parametrize(
    "answer",
    [
        {"total": 5, "results": [{"id": "1"}, {"id": "2"}]},
        {"total": 2, "results": [{"id": "2"}, {"id": "1"}]},
        {"total": 2, "results": [{"id": "1"}, {"id": "1"}]},
    ],
)
def test_search_that_would_lose_records_fails(own: Account, answer: dict[str, Any]) -> None:
    """D08: never capped in silence."""
    for record in answer["results"]:
        record |= {"properties": {}, "updatedAt": "2026-03-01T12:00:00Z"}
    body = json.dumps(answer).encode()
    own.server.faults.append(Fault("/contacts/search", times=None, response=Response(200, body)))
    with pytest.raises(TemporaryError, match="search in contacts"):
        pages(own.connect(), "contacts", yesterday(own), own.clock())


def test_archived_records_are_removed_though_no_stamp_moved(own: Account) -> None:
    gone, kept = contact(own, email="a@buyer.example"), contact(own, email="b@buyer.example")
    firm = own.crm.add(Kind.ACCOUNT, {"name": "Gone Ltd"})
    own.clock.tick()
    cursor = pages(own.connect(), "contacts", None, own.clock())[-1].cursor
    at = own.clock.tick()
    own.crm.delete(gone, bump=False)
    own.crm.delete(firm, bump=False)
    own.clock.tick()
    assert read(own, "contacts", cursor) == []
    (page,) = pages(own.connect(), "contacts/archived", None, own.clock())
    assert page.removed == (Removed(str(gone.number), at),)
    assert page.rows.num_rows == 0
    (page,) = pages(own.connect(), "companies/archived", None, own.clock())
    assert page.removed == (Removed(str(firm.number), at),)
    assert [row["id"] for row in read(own, "contacts")] == [str(kept.number)]


def test_merged_contacts_become_one_under_a_new_id(own: Account) -> None:
    """Both old ids, the winner's too, now stand for the new record."""
    first, second = contact(own, email="a@buyer.example"), contact(own, email="b@buyer.example")
    cursor = pages(own.connect(), "contacts", None, own.clock())[-1].cursor
    own.clock.tick()
    survivor = contact(own, email="a@buyer.example")
    own.crm.merge(survivor, first)
    own.crm.merge(survivor, second)
    (page,) = pages(own.connect(), "contacts", cursor, own.clock())
    assert {(gone.id, gone.survivor) for gone in page.removed} == {
        (str(first.number), str(survivor.number)),
        (str(second.number), str(survivor.number)),
    }
    assert [row["id"] for row in rows([page])] == [str(survivor.number)]


def test_owners_people_and_queues(own: Account) -> None:
    """Removed and inactive owners are told, so that nobody gives them a lead."""
    rep = own.crm.add(Kind.USER, {"name": "Ada Rep", "email": "Ada@seller.example", "active": True})
    idle = own.crm.add(Kind.USER, {"name": "Bo Rep", "email": "bo@seller.example", "active": False})
    queue = own.crm.add(Kind.QUEUE, {"name": "Inbound"})
    closed = own.crm.add(Kind.QUEUE, {"name": "Outbound"})
    own.crm.delete(closed)
    found = {row["id"]: row for row in read(own, "owners")}
    assert found[str(rep.number)]["active"]
    assert found[str(rep.number)]["email"] == "ada@seller.example"
    assert not found[str(idle.number)]["active"]
    assert found[str(queue.number)]["kind"] == "queue"
    assert found[str(queue.number)]["active"]
    assert not found[str(closed.number)]["active"]


def test_deal_is_an_outcome_of_each_of_its_contacts(own: Account) -> None:
    firm = own.crm.add(Kind.ACCOUNT, {"name": "Muster Ltd"})
    who = [contact(own, email=f"p{n}@buyer.example") for n in range(3)]
    deal = {"account": firm.number, "currency": "EUR", "amount": Decimal("1200.50")}
    won = own.crm.add(
        Kind.DEAL,
        {**deal, "name": "A", "people": [p.number for p in who], "closed": True, "won": True},
    )
    lost = own.crm.add(Kind.DEAL, {**deal, "name": "B", "people": [], "closed": True})
    running = own.crm.add(Kind.DEAL, {**deal, "name": "C", "people": [who[0].number]})
    found = read(own, "deals")
    assert {(r["id"], r["lead_id"], r["result"]) for r in found} == {
        *((str(won.number), str(p.number), "won") for p in who),
        (str(lost.number), "", "lost"),
        (str(running.number), str(who[0].number), "open"),
    }
    assert {r["account_id"] for r in found} == {str(firm.number)}
    assert {(r["amount"], r["currency"]) for r in found} == {(Decimal("1200.50"), "EUR")}


def activity(own: Account, kind: str, *people: Record, **values: Any) -> Record:
    """An activity half an hour ago."""
    at = own.clock() - timedelta(minutes=30)
    given = {"type": kind, "at": at, "people": [p.number for p in people], **values}
    return own.crm.add(Kind.ACTIVITY, given)


def test_meeting_counts_for_everyone_in_it(own: Account) -> None:
    """One row for each contact; more than fit into one page of associations, too."""
    who = [contact(own, email=f"p{n}@buyer.example") for n in range(620)]
    meeting = activity(own, "meeting", *who, duration=1800, outcome="COMPLETED")
    found = read(own, "meetings")
    assert {row["lead_id"] for row in found} == {str(p.number) for p in who}
    assert len(found) == 620
    assert {(r["id"], r["type"], r["duration"]) for r in found} == {
        (str(meeting.number), "meeting", 1800)
    }


@pytest.mark.parametrize(
    ("given", "stream", "wanted"),
    [
        (
            {"type": "call", "direction": "inbound", "duration": 95, "outcome": "Connected"},
            "calls",
            ("call", "phone", "inbound", 95, "Connected"),
        ),
        ({"type": "email_sent"}, "emails", ("email_sent", "email", "outbound", None, "SENT")),
        ({"type": "email_reply"}, "emails", ("email_reply", "email", "inbound", None, "SENT")),
        ({"type": "note"}, "notes", ("note", None, None, None, None)),
        (
            {"type": "task", "outcome": "COMPLETED"},
            "tasks",
            ("task", None, None, None, "COMPLETED"),
        ),
        (
            {"type": "social_message"},
            "communications",
            ("social_message", "social", None, None, None),
        ),
    ],
)
def test_engagements(
    own: Account, given: dict[str, Any], stream: str, wanted: tuple[Any, ...]
) -> None:
    """S050: what HubSpot calls it becomes one canonical type, with its time and its person."""
    who = contact(own, email="a@buyer.example")
    activity(own, people=[who.number], kind=given.pop("type"), **given)
    (row,) = read(own, stream)
    columns = ("type", "channel", "direction", "duration", "outcome")
    assert tuple(row[name] for name in columns) == wanted
    assert row["lead_id"] == str(who.number)
    assert row["occurred_at"] == own.clock() - timedelta(minutes=30)


def test_engagement_of_a_company_alone(own: Account) -> None:
    firm = own.crm.add(Kind.ACCOUNT, {"name": "Muster Ltd"})
    activity(own, "call", account=firm.number)
    (row,) = read(own, "calls")
    assert (row["lead_id"], row["account_id"]) == ("", str(firm.number))


def test_text_that_is_no_proper_unicode(own: Account) -> None:
    """JSON may carry half of a pair; nothing of the record is lost but that half."""
    contact(own, first_name="A", email="a@buyer.example")
    answer = (
        b'{"results": [{"id": "1", "updatedAt": "2026-03-01T12:00:00Z", "properties": '
        b'{"firstname": "\\ud83d", "email": "a@buyer.example", '
        b'"lastmodifieddate": "2026-03-01T12:00:00Z"}}]}'
    )
    own.server.faults.append(Fault("/objects/contacts", response=Response(200, answer)))
    (row,) = read(own, "contacts")
    assert (row["first_name"], row["email"]) == ("?", "a@buyer.example")


def test_properties_that_do_not_fit_into_an_address(own: Account) -> None:
    """D20: a list of very many properties brings the ids, and the records are read by POST."""
    names = [f"{'long_' * 18}{n}" for n in range(90)]
    made = [NewField("contacts", Output.TIER, n, n, "", FieldKind.TEXT) for n in names]
    assert own.connect().create_fields(made) == []
    mapping = FieldMapping(leads={f"custom.f{n}": name for n, name in enumerate(names)})
    for n in range(150):
        contact(own, email=f"p{n}@buyer.example", **{names[89]: f"value {n}"})
    connector = own.connect(mapping=mapping)
    found = rows(pages(connector, "contacts", None, own.clock()))
    assert {dict(row["custom"])["f89"] for row in found} == {f"value {n}" for n in range(150)}
    assert connector.usage.calls["read"] == 4


def test_contact_that_goes_while_its_events_are_read(own: Account) -> None:
    """Search may still show it: its events are nobody's, and those of others are read."""
    gone, kept = contact(own, email="a@buyer.example"), contact(own, email="b@buyer.example")
    activity(own, "page_view", gone, asset="/pricing")
    activity(own, "page_view", kept, asset="/pricing")

    def going(face: Face, request: Request) -> Response:
        asked = request.query["objectId"] == [str(gone.number)]
        return not_found().response if asked else face(request)

    own.server.faults.append(Fault("/events/v3/events", times=None, around=going))
    (row,) = read(own, "events")
    assert row["lead_id"] == str(kept.number)


def test_associations_cost_two_calls_for_1_000_records(own: Account) -> None:
    """D13: who an activity belongs to is asked in batches, never one by one; in the first load,
    and in what changed later as well."""
    who = contact(own, email="a@buyer.example")
    for _ in range(1_000):
        activity(own, "note", who)
    connector = own.connect()
    assert len(rows(pages(connector, "notes", None, own.clock()))) == 1_000
    assert connector.usage.calls["read"] == 10 + 2
    since = Cursor(own.clock.tick())
    own.clock.tick()
    activity(own, "note", who)
    own.clock.tick()
    (later,) = rows(pages(connector, "notes", since, own.clock()))
    assert later["lead_id"] == str(who.number)
    assert connector.usage.calls["read"] == 10 + 2 + 2


def test_events_of_those_who_were_seen(own: Account) -> None:
    """S050: page views and an account's own events; nobody else costs a call."""
    who, other = contact(own, email="a@buyer.example"), contact(own, email="b@buyer.example")
    activity(own, "page_view", who, asset="/pricing", url="https://www.vendor.example/pricing?x=1")
    activity(own, "demo_requested", who, asset="demo", area="billing", campaign="Spring")
    connector = own.connect()
    found = rows(pages(connector, "events", None, own.clock()))
    assert {(r["type"], r["asset"], r["area"], r["campaign"], r["lead_id"]) for r in found} == {
        ("page_view", "/pricing", None, None, str(who.number)),
        ("demo_requested", "demo", "billing", "Spring", str(who.number)),
    }
    assert {r["channel"] for r in found} == {"web"}
    assert connector.usage.calls == {"search": 1, "read": 1}
    assert str(other.number) not in {r["lead_id"] for r in found}


def test_whoever_had_any_event_is_asked_for_all(own: Account) -> None:
    """S086: a contact that never visited a page, or visited it long ago, has its own events."""
    never, ago = contact(own, email="a@buyer.example"), contact(own, email="b@buyer.example")
    activity(own, "page_view", ago, asset="/old", at=own.clock() - timedelta(days=30))
    for who in (never, ago):
        activity(own, "trade_show", who, campaign="Factory Days")
    found = read(own, "events", yesterday(own))
    assert {(r["type"], r["lead_id"]) for r in found} == {
        ("trade_show", str(never.number)),
        ("trade_show", str(ago.number)),
    }


def test_events_since_the_cursor_also_of_those_who_came_again(own: Account) -> None:
    """A visit after the run began does not hide the one before it."""
    who = contact(own, email="a@buyer.example")
    activity(own, "page_view", who, asset="/old", at=own.clock() - timedelta(days=3))
    activity(own, "page_view", who, asset="/new")
    activity(own, "page_view", who, asset="/later", at=own.clock() + timedelta(minutes=5))
    (row,) = read(own, "events", yesterday(own))
    assert row["asset"] == "/new"


def test_marketing_email_without_robots(own: Account) -> None:
    who = contact(own, email="A@Buyer.example")
    opened = activity(own, "email_open", who, campaign="Spring")
    activity(own, "email_click", who)
    activity(own, "email_open", who, outcome="bot")
    connector = own.connect()
    found = rows(pages(connector, "email_events", None, own.clock()))
    assert {(r["type"], r["lead_id"], r["channel"]) for r in found} == {
        ("email_open", str(who.number), "email"),
        ("email_click", str(who.number), "email"),
    }
    assert {r["occurred_at"] for r in found} == {opened.values["at"]}
    # A campaign is named by its number.
    assert {r["type"]: r["campaign"] is None for r in found} == {
        "email_open": False,
        "email_click": True,
    }
    assert connector.usage.calls["read"] == 4


@pytest.mark.parametrize(
    ("key", "fields"), [("recipient", ["lead_id"]), ("created", ["occurred_at", "modified_at"])]
)
def test_an_email_event_that_lacks_what_it_needs(own: Account, key: str, fields: list[str]) -> None:
    """D05: it is told by its id, with the field and a reason; the event beside it is read."""
    who = contact(own, email="a@buyer.example")
    for kind in ("email_open", "email_click"):
        activity(own, kind, who)
    lost: list[str] = []

    def lacking(face: Face, request: Request) -> Response:
        answer = face(request)
        body = json.loads(answer.body)
        body["events"][0].pop(key)
        lost.append(body["events"][0]["id"])
        answer.body = json.dumps(body).encode()
        return answer

    own.server.faults.append(Fault("/email/public/v1/events", around=lacking))
    found = pages(own.connect(), "email_events", None, own.clock())
    told = [problem for page in found for problem in page.rejected]
    assert [(p.record_id, p.field) for p in told] == [(lost[0], field) for field in fields]
    assert all(p.reason.startswith("is missing: ") for p in told)
    assert [row["type"] for row in rows(found)] == ["email_click"]


def test_form_submissions_back_to_the_cursor(own: Account) -> None:
    """Forms of every maker, joined by e-mail address; newest first, so reading stops early."""
    who = [contact(own, email=f"p{n}@buyer.example") for n in range(130)]
    old = own.clock() - timedelta(days=9)
    for person in who:
        activity(own, "form_submission", person, asset="Contact us", at=old)
        activity(own, "form_submission", person, asset="Price list", at=old)
    new = activity(own, "form_submission", who[3], asset="Contact us")
    every = read(own, "form_submissions")
    assert len({row["id"] for row in every}) == len(every) == 261
    assert {row["asset"] for row in every} == {"Contact us", "Price list"}
    connector = own.connect()
    (row,) = rows(pages(connector, "form_submissions", yesterday(own), own.clock()))
    assert (row["lead_id"], row["occurred_at"]) == (str(who[3].number), new.values["at"])
    # The forms, the newest page of each, and the contact.
    assert connector.usage.calls == {"read": 4}


def test_a_form_that_asked_for_no_address_is_nobody_s(own: Account) -> None:
    """What was sent without an e-mail address is not taken for somebody's who sent theirs."""
    known, nameless = contact(own, email="ada@buyer.example"), contact(own)
    for person in (known, nameless):
        activity(own, "form_submission", person, asset="Poll")
    assert [row["lead_id"] for row in read(own, "form_submissions")] == [str(known.number)]


def test_form_submissions_go_on_where_they_broke_off(
    own: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it was: in the middle of a form, the next one is read from its own beginning."""
    monkeypatch.setattr("connectors.hubspot.activities.PAGE", 50)
    for n in range(60):
        for form in ("Contact us", "Price list"):
            activity(own, "form_submission", contact(own, email=f"p{n}@buyer.example"), asset=form)
    connector = own.connect()
    found = pages(connector, "form_submissions", None, own.clock())
    assert len(found) > 3
    for n, page in enumerate(found, start=1):
        left = pages(connector, "form_submissions", page.cursor, own.clock())
        assert len({row["id"] for row in rows([*found[:n], *left])}) == 120


def test_forms_that_are_listed_in_another_order_meanwhile(
    own: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D10: a form that is edited may be listed elsewhere: none is passed over on the way on."""
    monkeypatch.setattr("connectors.hubspot.activities.PAGE", 1)
    for form in ("Contact us", "Poll", "Price list"):
        activity(own, "form_submission", contact(own, email=f"{form[:2]}@x.example"), asset=form)
    found = pages(own.connect(), "form_submissions", None, own.clock())

    def reversed_(face: Face, request: Request) -> Response:
        reply = json.loads(face(request).body)
        return Response(200, json.dumps({"results": reply["results"][::-1]}).encode())

    own.server.faults.append(Fault("/marketing/v3/forms", times=None, around=reversed_))
    for n, page in enumerate(found, start=1):
        left = pages(own.connect(), "form_submissions", page.cursor, own.clock())
        assert len({row["id"] for row in rows([*found[:n], *left])}) == 3


def test_account_without_event_sources() -> None:
    """S050: the last events that contacts remember stand in, each under an id that stays."""
    with account(scopes=SCOPES - {"content", "forms"}, enterprise=False) as own:
        who = contact(own, email="a@buyer.example")
        at = own.clock() - timedelta(minutes=30)
        activity(own, "page_view", who, url="https://www.vendor.example/pricing")
        activity(own, "demo_requested", who, at=own.clock())
        activity(own, "email_open", who)
        activity(own, "email_click", who)
        activity(own, "form_submission", who, asset="Contact us")
        names = ("events", "email_events", "form_submissions")
        found = [row for name in names for row in read(own, name)]
        assert {(r["type"], r["asset"]) for r in found} == {
            ("page_view", "/pricing"),
            ("email_open", None),
            ("email_click", None),
            ("form_submission", "Contact us"),
        }
        assert {(r["lead_id"], r["occurred_at"]) for r in found} == {(str(who.number), at)}
        again = [row for name in names for row in read(own, name, yesterday(own))]
        assert again == found
        own.clock.tick()
        later = Cursor(own.clock() - timedelta(minutes=1))
        assert [row for name in names for row in read(own, name, later)] == []


def test_activity_types_and_fields_of_the_mapping(own: Account) -> None:
    """What the admin calls things goes before what is built in."""
    who = contact(own, email="a@buyer.example")
    activity(own, "page_view", who, asset="/pricing")
    activity(own, "webinar_attended", who, asset="Scaling", area="billing")
    mapping = FieldMapping(
        activity_types={"pe1_webinar_attended": "webinar"}, activities={"campaign": "area"}
    )
    found = rows(pages(own.connect(mapping=mapping), "events", None, own.clock()))
    assert {(r["type"], r["campaign"]) for r in found} == {
        ("page_view", None),
        ("webinar", "billing"),
    }


def test_a_run_over_an_unchanged_account_costs_20_calls_and_one_for_each_form(
    own: Account,
) -> None:
    """D15: nothing is read again; what cannot say that it changed costs a call to see."""
    who = contact(own, email="a@buyer.example")
    for kind in ("page_view", "email_open", "form_submission", "call"):
        activity(own, kind, who, asset="Contact us")
    mirror = Mirror()
    mirror.pull(own.connect(), own.clock.tick())
    connector = own.connect()
    own.clock.tick()
    assert mirror.pull(connector, connector.now())
    assert connector.usage.calls == {"read": 8 + 1, "describe": 2, "search": 10}


def test_more_contacts_cost_no_more_calls(own: Account) -> None:
    """D25: what can be read on one page takes the same calls, however many; one describe each."""
    spent = []
    for more in (5, 85):
        for n in range(more):
            contact(own, email=f"{more}-{n}@buyer.example")
        connector = own.connect()
        for _ in range(2):
            Mirror().pull(connector, own.clock.tick())
        spent.append(connector.usage.calls)
    assert spent[0] == spent[1]
    assert spent[0]["describe"] == 2


def test_count_costs_one_call(own: Account) -> None:
    for n in range(250):
        contact(own, email=f"p{n}@buyer.example")
    connector = own.connect()
    by_name = {stream.name: stream for stream in connector.streams()}
    assert connector.count(by_name["contacts"], None) == 250
    assert connector.usage.total == 1
    assert connector.count(by_name["contacts"], Cursor(own.clock() + timedelta(hours=1))) == 0
    assert connector.count(by_name["owners"], None) is None
    activity(own, "page_view", next(iter(own.crm.records(Kind.LEAD))), asset="/pricing")
    assert connector.count(by_name["events"], None) == 1
