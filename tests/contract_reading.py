"""The part of the contract that is about pulling: see `tests.contract`."""

from datetime import timedelta
from decimal import Decimal

import pytest

from connectors.base import Cursor, Page
from connectors.sandbox.crm import Kind
from core.facts import BY_NAME, arrow_schema
from tests.world import Mirror, World, lead_ids, lead_streams, mirrored, populate, reported

FIRM = {
    "website": "https://www.muster.example",
    "industry": "Retail",
    "employees": 12,
    "revenue": Decimal(5000),
    "country": "United States",
    "state": "Ohio",
    "technologies": ["sap"],
}
PERSON = {
    "first_name": "Ada",
    "email": "ada@muster.example",
    "phone": "+1 212 5550100",
    "title": "Head of Sales",
    "company": "Muster Ltd",
    "opt_out": True,
}
DEEDS = (
    {"type": "page_view", "asset": "/pricing", "area": "hr", "channel": "web"},
    {"type": "call", "subject": "Call", "direction": "inbound", "duration": 90},
)
_PLACED = {"industry", "employees", "revenue", "country", "state", "region", "us_region"}
_NAMED = {"first_name", "last_name", "company", "title", "seniority", "function"}
_REACHED = {"email", "email_valid", "phone", "phone_number", "phone_valid", "email_opt_out"}
EVERYBODYS = {
    "leads": _PLACED | _NAMED | _REACHED | {"website", "technologies", "owner_id", "created_at"},
    "accounts": _PLACED | {"name", "domain", "technologies", "owner_id", "created_at"},
    "activities": {"type", "asset", "channel", "direction", "duration", "occurred_at"},
}
"""Facts table -> the fields that every CRM has for what is told above."""


def pages_of_leads(world: World) -> list[Page]:
    """The pages of the streams that feed the leads."""
    return [
        page
        for stream in lead_streams(world.connector)
        for page in world.connector.pull(stream, None, world.clock())
    ]


class ReadContract:
    """What pulling promises."""

    def test_pages_have_the_schema_of_their_table(self, world: World) -> None:
        """Every page names its stream, and holds the columns of the common model, times in UTC."""
        populate(world)
        tables = set()
        for stream in world.connector.streams():
            for page in world.connector.pull(stream, None, world.clock()):
                assert page.stream == stream
                assert page.rows.schema == arrow_schema(BY_NAME[stream.table].model)
                tables |= {stream.table} if page.rows.num_rows else set()
        assert tables == {"leads", "accounts", "activities", "owners", "outcomes"}

    def test_streams_have_names_of_their_own(self, world: World) -> None:
        """A stream's name identifies its cursor, so no two streams share one."""
        streams = world.connector.streams()
        assert len({s.name for s in streams}) == len(streams)
        assert {s.table for s in streams} == set(BY_NAME)

    def test_keys_are_unique_in_a_page(self, world: World) -> None:
        """No two rows of a page share a key."""
        populate(world)
        for page in Mirror().pull(world.connector, world.clock()):
            key = BY_NAME[page.stream.table].key
            keys = [tuple(row[name] for name in key) for row in page.rows.to_pylist()]
            assert len(set(keys)) == len(keys)

    def test_values_arrive(self, world: World) -> None:
        """S086: what the CRM holds of a lead arrives under the common names."""
        opened = world.crm.clock()
        record = world.lead(
            first_name="Ada",
            last_name="Brandt",
            email="Ada@Buyer.example",
            title="Chief Technology Officer",
            company="Buyer AG",
            industry="Technology",
            employees=250,
            country="Germany",
            phone="+49 30 1",
        )
        world.clock.tick()
        row = mirrored(world).leads()[world.id(record)]
        expected = {
            "created_at": opened,
            "modified_at": opened,
            "first_name": "Ada",
            "last_name": "Brandt",
            "email": "ada@buyer.example",
            "phone": "+49 30 1",
            "title": "Chief Technology Officer",
            "seniority": "executive",
            "company": "Buyer AG",
            "industry": "technology",
            "employees": 250,
            "country": "DE",
            "region": "europe",
            "owner_id": world.id(world.rep),
        }
        assert {name: row[name] for name in expected} == expected

    def test_fields_are_filled_as_declared(self, world: World) -> None:
        """U20: what arrives without a mapping is what `fills` declares; no more, and no less of
        what everybody has."""
        owner = world.rep.number
        firm = world.crm.add(Kind.ACCOUNT, {"name": "Muster Ltd", "owner": owner, **FIRM})
        person = {**FIRM, **PERSON, "account": firm.number}
        people = [world.lead(kind, **person).number for kind in (Kind.LEAD, Kind.CONTACT)]
        deed = {"at": world.clock(), "owner": owner, "people": people[1:]}
        for told in DEEDS:
            world.crm.add(Kind.ACTIVITY, {**deed, **told})
        world.clock.tick()
        mirror, declared = mirrored(world), world.connector.capabilities.fills
        for table, everybodys in EVERYBODYS.items():
            rows = mirror.table(table)
            held = {name for row in rows for name, value in row.items() if value not in (None, "")}
            further = {f"custom.{name}" for row in rows for name, _ in row["custom"] or ()}
            filled = held - {"custom", "present"} | further
            assert filled <= declared[table]
            assert everybodys <= filled

    def test_what_is_lacking_is_never_filled(self, world: World) -> None:
        """U20: what `lacks` names is declared in `fills`, and is not what everybody has."""
        declared = world.connector.capabilities.fills
        for table, fields in world.connector.lacks().items():
            assert set(fields) <= set(declared[table])
            assert not set(fields) & EVERYBODYS[table]

    def test_company_people_and_owner_are_joined(self, world: World) -> None:
        """Accounts, activities, outcomes and owners name each other by the ids of their rows."""
        populate(world)
        mirror = mirrored(world)
        people = {row["email"]: row for row in mirror.table("leads")}
        (account,) = mirror.table("accounts")
        owner = {row["id"]: row for row in mirror.table("owners")}[world.id(world.rep)]
        assert people["a@buyer.example"]["account_id"] == account["id"]
        assert account["owner_id"] == owner["id"]
        assert (owner["kind"], owner["active"]) == ("person", True)
        call = next(row for row in mirror.table("activities") if row["duration"])
        assert (call["type"], call["lead_id"]) == ("call", people["a@buyer.example"]["id"])
        assert call["occurred_at"] == world.clock() - timedelta(hours=1)
        assert call["duration"] == 120

    def test_one_row_for_each_person(self, world: World) -> None:
        """What concerns several people has a row for each; what concerns none has one."""
        populate(world)
        mirror = mirrored(world)
        ids = {row["email"]: row["id"] for row in mirror.table("leads")}
        won = {row["lead_id"]: (row["result"], row["amount"]) for row in mirror.table("outcomes")}
        expected = ("won", Decimal("1200.50"))
        assert won == {ids["a@buyer.example"]: expected, ids["b@buyer.example"]: expected}
        calls = [row["lead_id"] for row in mirror.table("activities")]
        assert sorted(calls) == sorted(["", ids["a@buyer.example"]])

    def test_empty(self, world: World) -> None:
        """Of nothing, there is still a page, with the cursor from which the next run goes on."""
        for stream in lead_streams(world.connector):
            pages = list(world.connector.pull(stream, None, world.clock()))
            assert pages
            assert sum(page.rows.num_rows for page in pages) == 0
            world.clock.tick()
            again = list(world.connector.pull(stream, pages[-1].cursor, world.clock()))
            assert again
            assert sum(page.rows.num_rows for page in again) == 0

    def test_page_boundaries(self, world: World) -> None:
        """One row, a full page, and one more than a page are each read complete."""
        held = 0
        for size in (1, world.page, world.page + 1):
            world.leads(size - held)
            held = size
            world.clock.tick()
            assert len(set(lead_ids(pages_of_leads(world)))) == size

    def test_every_cursor_resumes(self, world: World) -> None:
        """From any page's cursor, every row is read that was not stored by then."""
        expected = {world.id(record) for record in world.leads(2 * world.page + 1)}
        world.clock.tick()
        for stream in lead_streams(world.connector):
            stored: set[str] = set()
            pages = list(world.connector.pull(stream, None, world.clock()))
            own = set(lead_ids(pages))
            for page in pages:
                stored |= set(lead_ids([page]))
                rest = world.connector.pull(stream, page.cursor, world.clock())
                assert stored | set(lead_ids(rest)) >= own
            expected -= own
        assert expected == set()

    def test_equal_stamps_across_pages(self, world: World) -> None:
        """D18, D19: thousands of equal stamps, read a page a run, end, and end complete."""
        expected = {world.id(record) for record in world.leads(3 * world.page)}
        world.clock.tick()
        found: set[str] = set()
        for stream in lead_streams(world.connector):
            cursor: Cursor | None = None
            for _ in range(12):
                page = next(iter(world.connector.pull(stream, cursor, world.clock())))
                found |= set(lead_ids([page]))
                cursor = page.cursor
                if cursor.until is None:
                    break
            assert cursor is not None
            assert cursor.until is None, "the same page came again and again"
        assert found == expected

    def test_cursor_stays_within_the_window(self, world: World) -> None:
        """No cursor passes the end of its window; the last one closes it."""
        world.leads(world.page + 1)
        until = world.clock.tick()
        world.clock.tick()
        world.lead(email="later@buyer.example")
        for stream in lead_streams(world.connector):
            pages = list(world.connector.pull(stream, None, until))
            for page in pages:
                assert page.cursor.stamp is None or page.cursor.stamp <= until
                assert page.cursor.until in (None, until)
            assert pages[-1].cursor.until is None
            assert pages[-1].cursor.stamp is not None
            assert pages[-1].cursor.stamp.tzinfo is not None

    def test_second_pull_brings_only_changes(self, world: World) -> None:
        """D15: what was read before, look-back aside, is not read again unless it changed."""
        leads = world.leads(5)
        world.clock.tick(hours=10)
        latest = world.lead(email="latest@buyer.example")
        world.clock.tick(minutes=1)
        mirror = mirrored(world)
        world.clock.tick(hours=10)
        world.crm.update(leads[2], {"title": "Director"})
        world.clock.tick(minutes=1)
        pages = mirror.pull(world.connector, world.clock())
        changed = set(lead_ids(page for page in pages if page.stream.incremental))
        assert changed - {world.id(latest)} == {world.id(leads[2])}
        assert mirror.leads()[world.id(leads[2])]["title"] == "Director"

    def test_late_commit_is_read(self, world: World) -> None:
        """What becomes visible with a stamp before the cursor is read within the look-back."""
        lookback = world.connector.capabilities.lookback
        if not lookback:
            pytest.skip("promises no look-back, by its capabilities")
        late = world.lead(email="late@buyer.example")
        late.visible_from = world.clock() + lookback / 2
        world.clock.tick(seconds=1)
        mirror = mirrored(world)
        assert world.id(late) not in mirror.leads()
        world.clock.tick(seconds=lookback.total_seconds())
        world.lead(email="other@buyer.example")
        mirror.pull(world.connector, world.clock())
        assert world.id(late) in mirror.leads()

    def test_change_during_a_pull_is_not_lost(self, world: World) -> None:
        """Leads that change while pages are being read arrive changed, at the latest next time."""
        leads = world.leads(world.page + 1)
        until = world.clock.tick()
        mirror, pause = Mirror(), 2 * world.connector.capabilities.lookback
        for stream in world.connector.streams():
            for page in world.connector.pull(stream, None, until):
                mirror.store(page)
                if (
                    page.stream.table == "leads"
                    and page.rows.num_rows
                    and leads[0].modified < until
                ):
                    world.clock.tick(seconds=pause.total_seconds() + 60)
                    world.crm.update(leads[0], {"title": "Director"})
                    world.crm.update(leads[-1], {"title": "Director"})
                    world.clock.tick(seconds=pause.total_seconds() + 60)
        world.clock.tick()
        mirror.pull(world.connector, world.clock())
        titles = {key: row["title"] for key, row in mirror.leads().items()}
        assert len(titles) == world.page + 1
        assert titles[world.id(leads[0])] == titles[world.id(leads[-1])] == "Director"

    def test_unicode_and_nulls(self, world: World) -> None:
        """Any script arrives as it is; what is empty or blank is None."""
        record = world.lead(first_name="Zoë 李 🚀", last_name="Łuczak\u0301", title="  ", phone="")
        world.clock.tick()
        row = mirrored(world).leads()[world.id(record)]
        assert (row["first_name"], row["last_name"]) == ("Zoë 李 🚀", "Łuczak\u0301")
        assert {row[name] for name in ("email", "title", "phone", "converted_to")} == {None}

    def test_unreadable_value_is_reported(self, world: World) -> None:
        """A value that cannot be read becomes None and is reported, without the value."""
        record = world.lead(country="Nowhereland", email="x@buyer.example")
        world.clock.tick()
        pages = pages_of_leads(world)
        problems = [problem for page in pages for problem in page.rejected]
        assert [(p.record_id, p.field) for p in problems] == [(world.id(record), "country")]
        assert "Nowhereland" not in problems[0].reason
        (row,) = [row for page in pages for row in page.rows.to_pylist()]
        assert (row["country"], row["email"]) == (None, "x@buyer.example")

    def test_complete_streams_show_all_that_lives(self, world: World) -> None:
        """What a complete stream does not show from its beginning on is gone; all it shows bears
        its name as object type."""
        populate(world)
        gone, *_ = world.leads(world.page + 1)
        world.clock.tick()
        world.crm.delete(gone)
        world.clock.tick()
        complete = [stream for stream in world.connector.streams() if stream.complete]
        if not complete:
            pytest.skip("promises of no stream to be complete")
        shown = set()
        for stream in complete:
            for page in world.connector.pull(stream, None, world.clock()):
                assert set(page.rows["object_type"].to_pylist()) <= {stream.name}
                shown |= set(page.rows["id"].to_pylist())
        kinds = (Kind.LEAD, Kind.CONTACT, Kind.ACCOUNT, Kind.ACTIVITY, Kind.DEAL)
        assert {world.id(record) for record in world.crm.records(*kinds)} <= shown
        assert world.id(gone) not in shown

    def test_count(self, world: World) -> None:
        """How much there is to read is told for one call at most, or not known."""
        world.leads(7)
        world.clock.tick()
        counts = []
        for stream in lead_streams(world.connector):
            list(world.connector.pull(stream, None, world.clock()))
            before = world.connector.usage.total
            counts.append(world.connector.count(stream, None))
            assert world.connector.usage.total - before <= 1
        assert None in counts or sum(count or 0 for count in counts) == 7

    def test_price(self, world: World) -> None:
        """U06: what a reading costs is told beforehand by class of call, without a call."""
        world.leads(2 * world.page + 1)
        world.clock.tick()
        for stream in world.connector.streams():
            list(world.connector.pull(stream, None, world.clock()))
        for stream in world.connector.streams():
            count = world.connector.count(stream, None)
            before = dict(world.connector.usage.calls)
            price = world.connector.price(stream, None, count)
            assert world.connector.usage.calls == before
            list(world.connector.pull(stream, None, world.clock()))
            assert world.connector.usage.since(before) == price.calls


class RemovalContract:
    """What pulling promises of records that are deleted, merged, converted or brought back."""

    def test_deleted(self, world: World) -> None:
        """A lead that is deleted after it was read is reported gone."""
        reported(world)
        stays, goes = world.leads(2)
        world.clock.tick()
        mirror = mirrored(world)
        assert set(mirror.leads()) == {world.id(stays), world.id(goes)}
        world.crm.delete(goes)
        world.clock.tick()
        pages = mirror.pull(world.connector, world.clock())
        told = {gone.id: gone.at for page in pages for gone in page.removed}
        assert told == {world.id(goes): goes.deleted_at}
        assert set(mirror.leads()) == {world.id(stays)}
        assert mirror.aliases == {}

    def test_merged(self, world: World) -> None:
        """A lead that is merged is gone, and its survivor is known."""
        reported(world)
        winner, loser = world.leads(2)
        world.clock.tick()
        mirror = mirrored(world)
        world.crm.merge(winner, loser)
        world.clock.tick()
        mirror.pull(world.connector, world.clock())
        survivor = mirror.final(world.id(loser))
        assert set(mirror.leads()) == {survivor} != {world.id(loser)}
        assert mirror.final(world.id(winner)) == survivor

    def test_converted(self, world: World) -> None:
        """A lead that is converted is gone, and the contact that took over is known."""
        reported(world)
        lead = world.lead(email="c@buyer.example")
        world.clock.tick()
        mirror = mirrored(world)
        contact = world.crm.convert(lead)
        world.clock.tick()
        mirror.pull(world.connector, world.clock())
        assert mirror.final(world.id(lead)) == world.id(contact)
        assert set(mirror.leads()) == {world.id(contact)}

    def test_brought_back(self, world: World) -> None:
        """A lead that is brought back after its deletion is there again under its id."""
        reported(world)
        lead = world.lead(email="c@buyer.example")
        world.clock.tick()
        mirror = mirrored(world)
        world.crm.delete(lead)
        world.clock.tick()
        mirror.pull(world.connector, world.clock())
        assert mirror.leads() == {}
        world.crm.restore(lead)
        world.clock.tick()
        mirror.pull(world.connector, world.clock())
        assert set(mirror.leads()) == {world.id(lead)}
