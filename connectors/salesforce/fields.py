"""Which Salesforce field means what, and what the org says of its fields."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.base import Field, FieldKind, Problem
from connectors.errors import ConnectorError, MappingError
from connectors.history import traced
from connectors.mapping import filled, nearest, refuse_unmapped
from connectors.salesforce import soql
from connectors.salesforce.client import SalesforceClient
from connectors.salesforce.described import described, unfit
from connectors.salesforce.failures import CallRefused
from connectors.salesforce.settings import SalesforceSettings
from connectors.settings import MappedTo
from connectors.sources import common_field, merged
from core.decision import Output
from core.facts import SCORED

PERSON = {
    "created_at": "CreatedDate",
    "first_name": "FirstName",
    "last_name": "LastName",
    "email": "Email",
    "phone": "Phone",
    "title": "Title",
    "source": "LeadSource",
    "email_opt_out": "HasOptedOutOfEmail",
    "bounced_at": "EmailBouncedDate",
    "accepted_at": "Sales_Accepted__c",
    "technologies": "Tech_Stack__c",
    "owner_id": "OwnerId",
    "custom.opted_out_tracking": "Individual.HasOptedOutTracking",
    "custom.opted_out_profiling": "Individual.HasOptedOutProfiling",
    "custom.opted_out_processing": "Individual.HasOptedOutProcessing",
    "custom.opted_out_solicit": "Individual.HasOptedOutSolicit",
    "custom.should_forget": "Individual.ShouldForget",
}
WHAT_IT_IS_ABOUT = {
    "asset": "Asset__c",
    "area": "Area__c",
    "channel": "Channel__c",
    "campaign": "Campaign__c",
}
OUTPUT_FIELDS = {
    Output.SCORE: "Leadgauge_Score__c",
    Output.TIER: "Leadgauge_Tier__c",
    Output.STAGE: "Leadgauge_Stage__c",
    Output.REASON: "Leadgauge_Reason__c",
    Output.MODEL: "Leadgauge_Model__c",
    Output.SCORED_AT: "Leadgauge_Scored_At__c",
    Output.OWNER: "OwnerId",
}
WRITTEN_OBJECTS = ("Lead", "Contact")


@dataclass(frozen=True)
class Way:
    """A way from the records of one object to those of another whose `theirs` is their `ours`."""

    to: str
    theirs: str
    ours: str


@dataclass(frozen=True)
class ObjectMap:
    """One Salesforce object and the facts table that it feeds.

    `fields` are common field -> field path; a path the org does not have is left out. A name
    that begins with `_` is only an ingredient of other columns (see `shape`). `status` are the
    fields that say a record is gone. `marked` is the field by which entries of ours are told.
    `children` is a sub-query, which Bulk API cannot carry. An object with `ways` is read for others
    that change with it without a stamp of their own. One that is `optional` not every org has.
    """

    name: str
    table: str
    fields: Mapping[str, str]
    constants: Mapping[str, str | bool] = field(default_factory=dict)
    where: str = ""
    status: tuple[str, ...] = ("IsDeleted",)
    marked: str = ""
    children: str = ""
    bulk: bool = True
    ways: tuple[Way, ...] = ()
    optional: bool = False


OBJECTS = (
    ObjectMap(
        "User",
        "owners",
        {"name": "Name", "email": "Email", "active": "IsActive"},
        constants={"kind": "person"},
        where="UserType = 'Standard'",
        status=(),
    ),
    ObjectMap(
        "Group",
        "owners",
        {"name": "Name"},
        constants={"kind": "queue", "active": True},
        where="Type = 'Queue'",
        status=(),
    ),
    ObjectMap(
        "Account",
        "accounts",
        {
            "created_at": "CreatedDate",
            "name": "Name",
            "domain": "Website",
            "industry": "Industry",
            "employees": "NumberOfEmployees",
            "revenue": "AnnualRevenue",
            "country": "BillingCountry",
            "state": "BillingState",
            "technologies": "Tech_Stack__c",
            "type": "Type",
            "parent_id": "ParentId",
            "owner_id": "OwnerId",
        },
        status=("IsDeleted", "MasterRecordId"),
    ),
    # Before the leads: what changes while they are first read is then not missed.
    ObjectMap(
        "Individual",
        "leads",
        {},
        bulk=False,
        ways=tuple(Way(name, "IndividualId", "Id") for name in WRITTEN_OBJECTS),
        optional=True,
    ),
    ObjectMap(
        "Lead",
        "leads",
        {
            **PERSON,
            "company": "Company",
            "website": "Website",
            "industry": "Industry",
            "employees": "NumberOfEmployees",
            "revenue": "AnnualRevenue",
            "country": "Country",
            "state": "State",
            "status": "Status",
            "converted_at": "ConvertedDate",
            "converted_to": "ConvertedContactId",
        },
        status=("IsDeleted", "MasterRecordId"),
    ),
    ObjectMap(
        "Contact",
        "leads",
        {
            **PERSON,
            "company": "Account.Name",
            "country": "MailingCountry",
            "state": "MailingState",
            "account_id": "AccountId",
        },
        status=("IsDeleted", "MasterRecordId"),
    ),
    ObjectMap(
        "Task",
        "activities",
        {
            **WHAT_IT_IS_ABOUT,
            "lead_id": "WhoId",
            "account_id": "AccountId",
            "type": "Type",
            "_subtype": "TaskSubtype",
            "subject": "Subject",
            "occurred_at": "CompletedDateTime",
            "_day": "ActivityDate",
            "_created_at": "CreatedDate",
            "direction": "CallType",
            "outcome": "CallDisposition",
            "duration": "CallDurationInSeconds",
            "owner_id": "OwnerId",
        },
        marked="Subject",
    ),
    ObjectMap(
        "Event",
        "activities",
        {
            **WHAT_IT_IS_ABOUT,
            "lead_id": "WhoId",
            "account_id": "AccountId",
            "type": "Type",
            "occurred_at": "StartDateTime",
            "_end": "EndDateTime",
            "_day": "ActivityDate",
            "_created_at": "CreatedDate",
            "owner_id": "OwnerId",
        },
        constants={"_subtype": "Meeting"},
    ),
    ObjectMap(
        "CampaignMember",
        "activities",
        {
            "lead_id": "ContactId",
            "_lead": "LeadId",
            "type": "Campaign.Type",
            "campaign": "Campaign.Name",
            "outcome": "Status",
            "_status": "Status",
            "occurred_at": "FirstRespondedDate",
            "_created_at": "CreatedDate",
        },
    ),
    # Before the opportunities, for the same reason.
    ObjectMap(
        "OpportunityContactRole",
        "outcomes",
        {"_opportunity": "OpportunityId"},
        bulk=False,
        ways=(Way("Opportunity", "Id", "OpportunityId"),),
    ),
    ObjectMap(
        "Opportunity",
        "outcomes",
        {
            "created_at": "CreatedDate",
            "account_id": "AccountId",
            "stage": "StageName",
            "amount": "Amount",
            "currency": "CurrencyIsoCode",
            "closed_at": "CloseDate",
            "_closed": "IsClosed",
            "_won": "IsWon",
        },
        children="(SELECT ContactId FROM OpportunityContactRoles WHERE IsDeleted = false)",
        bulk=False,
    ),
)
BY_NAME = {item.name: item for item in OBJECTS}
_READ = [(item.table, n) for item in OBJECTS for n in item.fields if not n.startswith("_")]
FILLS = {t.name: filled(t.model, (n for name, n in _READ if name == t.name)) for t in SCORED}
"""Facts table -> the fields of it that are read unless a mapping says otherwise."""
CAMPAIGN = "Campaign"
"""What a campaign member leads to; not a stream of its own."""


class Schema:
    """What the org's objects have, read once, and what of it the connection reads and writes."""

    def __init__(self, client: SalesforceClient, settings: SalesforceSettings) -> None:
        self._client = client
        self._settings = settings
        self._describes: dict[str, dict[str, Mapping[str, Any]]] = {}
        self._refused: dict[str, CallRefused] = {}

    def forget(self) -> None:
        """Read the describes again when next asked: fields were created."""
        self._describes.clear()
        self._refused.clear()

    def fields(self, object_type: str) -> dict[str, Field]:
        """The fields of an object that the user can see."""
        return {name: described(item) for name, item in self._describe(object_type).items()}

    def objects(self) -> list[ObjectMap]:
        """The objects that are read: all but those optional ones that the user cannot see."""
        return [item for item in OBJECTS if not item.optional or self._sees(item.name)]

    def _sees(self, object_type: str) -> bool:
        try:
            self._describe(object_type)
        except CallRefused:
            return False
        return True

    def has(self, object_type: str, path: str) -> bool:
        """Whether a field path leads to a field, over relationships too."""
        return any(True for _ in self._at(object_type, path))

    def _at(self, object_type: str, path: str) -> Iterator[Field]:
        """The fields that a path leads to: several where a relationship is to several objects."""
        first, _, rest = path.partition(".")
        known = self._describe(object_type)
        if not rest:
            yield from (described(known[name]) for name in (first,) if name in known)
            return
        for item in known.values():
            if item.get("relationshipName") == first:
                for target in item["referenceTo"]:
                    if self._sees(target):
                        yield from self._at(target, rest)

    def in_history(self, object_type: str, name: str) -> str:
        """What the object's history calls a field: a standard reference by its relationship."""
        described = self._describe(object_type)[name]
        custom = name.endswith("__c")
        return name if custom else described.get("relationshipName") or name

    def is_reference(self, object_type: str, name: str) -> bool:
        """Whether a field holds a record id."""
        return self.fields(object_type)[name].kind is FieldKind.REFERENCE

    def columns(self, item: ObjectMap) -> dict[str, str]:
        """Raw column -> field path, as mapped and as far as the org has it."""
        wanted = merged(item.fields, self._chosen(item.table))
        return {
            column: soql.name(path) for column, path in wanted.items() if self.has(item.name, path)
        }

    def lacks(self) -> dict[str, frozenset[str]]:
        """Facts table -> the fields that are read by default and that the org does not have."""
        there: dict[str, set[str]] = {table.name: set() for table in SCORED}
        for item in self.objects():
            if item.table in there:
                there[item.table] |= {n for n, p in item.fields.items() if self.has(item.name, p)}
        return {t.name: FILLS[t.name] - filled(t.model, there[t.name]) for t in SCORED}

    def unstamped(self, item: ObjectMap) -> frozenset[str]:
        """The common fields of an object that change without a stamp, as the org or the mapping
        says. Raises MappingError for a name in the mapping that is not mapped."""
        named = self._settings.mapping.unstamped
        scored = {table.name for table in SCORED}
        mapped = (self.columns(one) for one in self.objects() if one.table in scored)
        refuse_unmapped(
            named, (p for columns in mapped for p in columns.values()), self._client.name
        )
        if item.table not in scored:
            return frozenset()
        return frozenset(
            common_field(column)
            for column, path in traced(self.columns(item)).items()
            if path in named or any(field.calculated for field in self._at(item.name, path))
        )

    def outputs(self) -> dict[Output, str]:
        """Output -> the name of the field it is written to."""
        given = {output: written.field for output, written in self._settings.write.items()}
        names = {**OUTPUT_FIELDS, **given}
        return {output: names[output] for output in self._settings.outputs()}

    def written(self, object_type: str) -> dict[Output, Field]:
        """The fields that outputs are written to, as far as the org has them."""
        known = self.fields(object_type)
        return {o: known[name] for o, name in self.outputs().items() if name in known}

    def problems(self) -> list[Problem]:
        """What is wrong with the mapping and the written fields."""
        found = [p for table in ("leads", "accounts", "activities") for p in self.unmapped(table)]
        try:
            self.unstamped(BY_NAME["Lead"])
        except MappingError as error:
            found.append(Problem("error", "mapping", error.message, "correct it in config.yaml"))
        for name in WRITTEN_OBJECTS:
            known = self.fields(name)
            for output, target in self.outputs().items():
                found += unfit(f"{name}.{target}", output, known.get(target))
        return found

    def unmapped(self, table: str) -> list[Problem]:
        """Mapped paths that none of a table's objects has; a wrong name never costs silently."""
        names = [item.name for item in OBJECTS if item.table == table and not item.ways]
        return [
            Problem("error", f"mapping.{table}.{common_field(column)}",
                    f"no field {path} on {_either(names)}", self._nearest(names, path))
            for column, path in merged({}, self._chosen(table)).items()
            if not any(self.has(name, path) for name in names)
        ]  # fmt: skip

    def _nearest(self, names: list[str], path: str) -> str:
        near = nearest(path, (field for name in names for field in self._describe(name)))
        hidden = "or make it visible to the integration user"
        return f"use {near}, {hidden}" if near else f"correct the name, {hidden}"

    def _chosen(self, table: str) -> Mapping[str, MappedTo]:
        chosen: Mapping[str, MappedTo] = getattr(self._settings.mapping, table, {})
        return chosen

    def _describe(self, object_type: str) -> dict[str, Mapping[str, Any]]:
        if refusal := self._refused.get(object_type):
            raise refusal
        if object_type not in self._describes:
            # Together they count as one call, so the first asks for all that will be needed.
            others = () if self._describes else (*BY_NAME, CAMPAIGN)
            found = self._client.describe(sorted({soql.name(object_type), *others}))
            for name, fields in found.items():
                if isinstance(fields, CallRefused):
                    self._refused[name] = fields
                elif not isinstance(fields, ConnectorError):
                    self._describes[name] = {item["name"]: item for item in fields}
            if isinstance(error := found[object_type], ConnectorError):
                raise error
        return self._describes[object_type]


def _either(names: list[str]) -> str:
    return " or ".join(names)
