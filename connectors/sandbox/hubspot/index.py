"""What the face must look up in the CRM: built once for a revision, each part when asked for."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from connectors.sandbox.crm import Crm, Kind, Record
from connectors.sandbox.hubspot.objects import OBJECTS, ObjectType
from connectors.sandbox.hubspot.properties import Property, custom

PEOPLE = (Kind.LEAD, Kind.CONTACT)
EMAIL_TYPES = {"email_open": "OPEN", "email_click": "CLICK"}
ELSEWHERE = {
    *EMAIL_TYPES,
    "form_submission",
    *(name for kind in OBJECTS.values() for name in kind.activities),
}
"""The neutral types that are no events: objects, marketing e-mail and forms hold them."""

# Neutral values behind custom properties that have one in common with Salesforce.
CUSTOM_KEYS = {"tech_stack": "technologies", "sales_accepted_at": "accepted_at"}


class Index:
    """The records of one revision by object type, by person and by company.

    Merged records stand for their survivor, a converted lead for its contact. It holds until
    the CRM's revision changes or `until`, when a held-back record comes to light. `memo` keeps
    what one request worked out and the next will ask for again, rendered answers included.
    """

    def __init__(self, crm: Crm) -> None:
        self.crm = crm
        self.revision = crm.revision
        self.until = crm.next_commit()
        self.memo: dict[str, Any] = {}
        self._live: dict[str, list[Record]] = {}
        self._archived: dict[str, list[Record]] = {}
        self._properties: dict[str, dict[str, Property]] = {}

    def holds(self) -> bool:
        """Whether the CRM still is as it was when this was built."""
        return self.revision == self.crm.revision and (
            self.until is None or self.crm.clock() < self.until
        )

    def properties(self, kind: ObjectType) -> Mapping[str, Property]:
        """The properties of an object type by name, HubSpot's own and the custom ones."""
        if kind.name not in self._properties:
            made = self.crm.custom[kind.custom_kind].values()
            self._properties[kind.name] = kind.properties | {
                d["name"]: custom(d, CUSTOM_KEYS.get(d["name"], ""))
                for d in made
                if d.get("objectTypeId") == kind.type_id and not d["archived"]
            }
        return self._properties[kind.name]

    def live(self, kind: ObjectType) -> list[Record]:
        """The records of an object type that are neither archived nor merged, by number."""
        if kind.name not in self._live:
            found = [r for r in self._of(kind, deleted=False) if not r.values.get("converted_to")]
            self._live[kind.name] = sorted(found, key=lambda r: r.number)
        return self._live[kind.name]

    def archived(self, kind: ObjectType) -> list[Record]:
        """The archived records by number; merged and purged ones are not among them."""
        if kind.name not in self._archived:
            gone = [
                r
                for r in self._of(kind, deleted=True)
                if r.deleted_at and r.survivor is None and r.values
            ]
            self._archived[kind.name] = sorted(gone, key=lambda r: r.number)
        return self._archived[kind.name]

    def _of(self, kind: ObjectType, *, deleted: bool) -> Iterable[Record]:
        for record in self.crm.records(*kind.kinds, deleted=deleted):
            if not kind.activities or record.values["type"] in kind.activities:
                yield record

    def find(self, kind: ObjectType, number: int, *, archived: bool = False) -> Record | None:
        """The record that now stands for a number; None when there is none (not archived)."""
        record = self._find(kind.kinds, number)
        if record is None or (kind.activities and record.values.get("type") not in kind.activities):
            return None
        return record if (record.deleted_at is not None) == archived and record.values else None

    def _find(self, kinds: tuple[Kind, ...], number: int) -> Record | None:
        record = self._at(kinds, number)
        if record is None:
            return None
        after = record.survivor or record.values.get("converted_to")
        return self._find(kinds, after) if after else record

    def _at(self, kinds: tuple[Kind, ...], number: int) -> Record | None:
        return next((r for k in kinds if (r := self.crm.get(k, number)) is not None), None)

    def account_of(self, record: Record) -> Record | None:
        """The company of a record, or None."""
        return self.company(record.values.get("account"))

    def company(self, number: int | None) -> Record | None:
        """The company that a number now stands for, or None."""
        return None if number is None else self.find(OBJECTS["companies"], number)

    def people_of(self, record: Record) -> list[Record]:
        """The contacts of an activity or a deal, each once."""
        found = (self.find(OBJECTS["contacts"], n) for n in record.values.get("people", ()))
        return list({person.number: person for person in found if person}.values())

    @cached_property
    def people_of_account(self) -> Mapping[int, list[Record]]:
        """Contacts by the number of their company."""
        return self._by_account(self.live(OBJECTS["contacts"]))

    @cached_property
    def deals_of_account(self) -> Mapping[int, list[Record]]:
        """Deals by the number of their company."""
        return self._by_account(self.live(OBJECTS["deals"]))

    def _by_account(self, records: Iterable[Record]) -> Mapping[int, list[Record]]:
        grouped = defaultdict(list)
        for record in records:
            if (account := self.account_of(record)) is not None:
                grouped[account.number].append(record)
        return grouped

    @cached_property
    def deals_of_person(self) -> Mapping[int, list[Record]]:
        """Deals by the number of a contact."""
        return self._by_person(self.live(OBJECTS["deals"]))

    @cached_property
    def activities_of_person(self) -> Mapping[int, list[Record]]:
        """All activities by the number of a contact, in order of number."""
        return self._by_person(self.crm.records(Kind.ACTIVITY))

    @cached_property
    def activities_of_account(self) -> Mapping[int, list[Record]]:
        """The activities that name a company, by its number."""
        return self._by_account(self.crm.records(Kind.ACTIVITY))

    @cached_property
    def activities_of_deal(self) -> Mapping[int, list[Record]]:
        """The activities that name a deal, by its number."""
        grouped = defaultdict(list)
        for record in self.crm.records(Kind.ACTIVITY):
            if (deal := record.values.get("deal")) is not None:
                grouped[deal].append(record)
        return grouped

    def _by_person(self, records: Iterable[Record]) -> Mapping[int, list[Record]]:
        grouped = defaultdict(list)
        for record in records:
            for person in self.people_of(record):
                grouped[person.number].append(record)
        return grouped

    @cached_property
    def merged_into(self) -> Mapping[int, list[int]]:
        """Numbers of the records that were merged, or converted, by their survivor's number."""
        grouped = defaultdict(list)
        for kinds in (PEOPLE, (Kind.ACCOUNT,)):
            for record in self.crm.records(*kinds, deleted=True):
                survivor = self._find(kinds, record.number)
                if survivor is not None and survivor is not record:
                    grouped[survivor.number].append(record.number)
        return grouped

    @cached_property
    def contact_by_email(self) -> Mapping[str, Record]:
        """Contacts by their own addresses and by those of the contacts merged into them."""
        found: dict[str, Record] = {}
        for record in self.live(OBJECTS["contacts"]):
            if email := record.values.get("email"):
                found.setdefault(email.lower(), record)
            for other in self.merged_emails(record):
                found.setdefault(other, record)
        return found

    def merged_emails(self, person: Record) -> list[str]:
        """The further addresses that a contact has from merged ones, in lower case."""
        merged = (self._at(PEOPLE, number) for number in self.merged_into.get(person.number, ()))
        emails = (r.values["email"].lower() for r in merged if r and r.values.get("email"))
        own = (person.values.get("email") or "").lower()
        return [email for email in dict.fromkeys(emails) if email != own]

    def of_type(self, person: Record, type: str) -> list[Record]:
        """A person's activities of one type, the latest last."""
        return self._activities_by_type.get((person.number, type), [])

    @cached_property
    def _activities_by_type(self) -> Mapping[tuple[int, str], list[Record]]:
        grouped = defaultdict(list)
        for number, activities in self.activities_of_person.items():
            for activity in sorted(activities, key=lambda a: a.values["at"]):
                grouped[number, activity.values["type"]].append(activity)
        return grouped

    def events(self, person: Record) -> list[Record]:
        """A person's events, page views and custom ones, the latest last."""
        return self._events_by_person.get(person.number, [])

    @cached_property
    def _events_by_person(self) -> Mapping[int, list[Record]]:
        return {
            number: sorted(
                (a for a in activities if a.values["type"] not in ELSEWHERE),
                key=lambda a: (a.values["at"], a.number),
            )
            for number, activities in self.activities_of_person.items()
        }

    def last(self, person: Record, type: str, value: str) -> Any:
        """A value of a person's latest activity of one type; None when there is none."""
        found = self.of_type(person, type)
        return found[-1].values.get(value) if found else None

    def owner(self, number: Any) -> Record | None:
        """The active user or the queue with a number; None when nobody can own by it."""
        for kind in (Kind.USER, Kind.QUEUE):
            record = self.crm.get(kind, number)
            if record and record.deleted_at is None and record.values.get("active", True):
                return record
        return None
