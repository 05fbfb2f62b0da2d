"""The neutral CRM as a Salesforce org sees it: ids, references, and which object a record is."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from connectors.sandbox.crm import Crm, Kind, Record
from connectors.sandbox.salesforce.ids import parse_id, record_id

PREFIX = {
    Kind.LEAD: "00Q",
    Kind.CONTACT: "003",
    Kind.ACCOUNT: "001",
    Kind.DEAL: "006",
    Kind.USER: "005",
    Kind.QUEUE: "00G",
    Kind.INDIVIDUAL: "0PK",
}
TASK, EVENT, CAMPAIGN = "00T", "00U", "701"
CAMPAIGN_MEMBER, CONTACT_ROLE, TASK_WHO, EVENT_WHO = "00v", "00K", "0RT", "0RE"
CAMPAIGN_TYPES = {
    "webinar_registered": "Webinar",
    "webinar_attended": "Webinar",
    "trade_show": "Trade Show",
}
ARCHIVED_AFTER = timedelta(days=365)
RECYCLE_BIN = timedelta(days=15)
"""How long a deleted record can still be read by queryAll."""
_PERSON_SPAN = 10**9
"""A row that links an activity or deal to a person is numbered by both."""


class Link(NamedTuple):
    """A record and one of its people: a campaign member, a contact role, a who-relation."""

    record: Record
    person: int


def seconds(stamp: datetime | None) -> datetime | None:
    """A time as Salesforce keeps it: in whole seconds."""
    return stamp and stamp.replace(microsecond=0)


def activity_prefix(record: Record) -> str:
    """The object of an activity, as a key prefix."""
    kind = record.values.get("type")
    if kind in CAMPAIGN_TYPES:
        return CAMPAIGN_MEMBER
    return EVENT if kind == "meeting" else TASK


def id_of(record: Record) -> str:
    """The id of a record; not of one that stands for several rows (campaign members)."""
    prefix = PREFIX.get(record.kind) or activity_prefix(record)
    return record_id(prefix, record.number)


def link_id(prefix: str, link: Link) -> str:
    """The id of a row that links a record to a person."""
    return record_id(prefix, link.record.number * _PERSON_SPAN + link.person)


class Org:
    """References between records of one CRM, followed. Deleted records still resolve."""

    def __init__(self, crm: Crm) -> None:
        self.crm = crm
        self._campaigns: tuple[int, dict[tuple[str, str], Record]] = (-1, {})
        self._converted: tuple[int, dict[int, int]] = (-1, {})

    def find(self, text: str) -> Record | None:
        """The record with this id. RowError MALFORMED_ID when it is no id."""
        prefix, number = parse_id(text)
        for kind, own in PREFIX.items():
            if own == prefix:
                return self.crm.get(kind, number)
        record = self.crm.get(Kind.ACTIVITY, number)
        return record if record is not None and activity_prefix(record) == prefix else None

    def one(self, kind: Kind, number: int | None) -> Record | None:
        """The record of that kind and number."""
        return None if number is None else self.crm.get(kind, number)

    def individual(self, record: Record) -> Record | None:
        """The privacy record of a person; deleting one clears what refers to it."""
        found = self.one(Kind.INDIVIDUAL, record.values.get("individual"))
        return found if found is not None and found.deleted_at is None else None

    def reference(self, kind: Kind, number: int | None) -> str | None:
        """The id of the record of that kind and number."""
        return None if number is None else record_id(PREFIX[kind], number)

    def owner(self, record: Record) -> Record | None:
        """The user or queue that owns a record; what nobody owns is the integration user's."""
        number = record.values.get("owner") or self.crm.integration_user
        if number is None:
            return None
        return self.crm.get(Kind.USER, number) or self.crm.get(Kind.QUEUE, number)

    def owner_id(self, record: Record) -> str | None:
        """The id of the owner."""
        owner = self.owner(record)
        return None if owner is None else id_of(owner)

    def user_id(self, number: int | None) -> str | None:
        """The id of a user; of the integration user when none is known."""
        return self.reference(Kind.USER, number or self.crm.integration_user)

    def person(self, number: int) -> Record | None:
        """The lead or contact with that number."""
        return self.crm.get(Kind.LEAD, number) or self.crm.get(Kind.CONTACT, number)

    def who(self, record: Record) -> Record | None:
        """The primary person of an activity."""
        people = record.values.get("people")
        return self.person(people[0]) if people else None

    def what(self, record: Record) -> Record | None:
        """The deal or account an activity is about; never set beside a Lead."""
        who = self.who(record)
        if who is not None and who.kind is Kind.LEAD:
            return None
        deal = self.one(Kind.DEAL, record.values.get("deal"))
        return deal or self.one(Kind.ACCOUNT, record.values.get("account"))

    def activity_account(self, record: Record) -> Record | None:
        """The account of an activity: its own, else that of its contact."""
        number = record.values.get("account")
        who = self.who(record)
        if number is None and who is not None and who.kind is Kind.CONTACT:
            number = who.values.get("account")
        return self.one(Kind.ACCOUNT, number)

    def archived(self, record: Record) -> bool:
        """Whether a closed task or past event is older than a year: hidden from `query`."""
        at = record.values.get("at")
        done = record.values.get("Status", "Completed") == "Completed"
        return bool(done and at and at < self.crm.clock() - ARCHIVED_AFTER)

    def records(self, kind: Kind) -> Iterator[Record]:
        """The records of a kind, with the deleted ones that are still in the recycle bin."""
        purged = self.crm.clock() - RECYCLE_BIN
        for record in self.crm.records(kind, deleted=True):
            if record.deleted_at is None or record.deleted_at > purged:
                yield record

    def activities(self, prefix: str) -> Iterator[Record]:
        """The activities that are rows of one object."""
        for record in self.records(Kind.ACTIVITY):
            if activity_prefix(record) == prefix:
                yield record

    def links(self, kind: Kind, prefix: str | None = None) -> Iterator[Link]:
        """The (record, person) pairs of deals, or of the activities of one object."""
        records = self.activities(prefix) if prefix else self.records(kind)
        for record in records:
            for person in record.values.get("people") or ():
                yield Link(record, person)

    def campaigns(self) -> dict[tuple[str, str], Record]:
        """Campaigns by type and name; the first activity of each stands for it."""
        if self._campaigns[0] != self.crm.revision:
            found: dict[tuple[str, str], Record] = {}
            for record in self.activities(CAMPAIGN_MEMBER):
                found.setdefault(_campaign_key(record), record)
            self._campaigns = (self.crm.revision, found)
        return self._campaigns[1]

    def campaign(self, record: Record) -> Record:
        """The activity that stands for the campaign of this one."""
        return self.campaigns().get(_campaign_key(record), record)

    def converted_from(self, contact: int) -> int | None:
        """The lead that was converted to this contact."""
        if self._converted[0] != self.crm.revision:
            found = {
                lead.values["converted_to"]: lead.number
                for lead in self.crm.records(Kind.LEAD, deleted=True)
                if lead.values.get("converted_to")
            }
            self._converted = (self.crm.revision, found)
        return self._converted[1].get(contact)


def _campaign_key(record: Record) -> tuple[str, str]:
    kind = CAMPAIGN_TYPES[record.values["type"]]
    return kind, record.values.get("campaign") or kind
