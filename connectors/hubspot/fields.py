"""Which HubSpot property means what: the defaults, the user's mapping, and what exists.

A property of the user's own mapping must exist. A default that an account does not have is
left out: HubSpot would silently ignore its name when reading.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

from connectors.base import Field, FieldKind, NewField, Problem
from connectors.errors import MappingError
from connectors.history import traced
from connectors.hubspot.client import Gateway, Json
from connectors.hubspot.failures import MissingScope, Refused
from connectors.hubspot.settings import HubSpotSettings
from connectors.mapping import field_map, filled, nearest, refuse_unmapped
from connectors.settings import MappedTo, WrittenField
from connectors.sources import common_field, merged
from connectors.values import WRITTEN_KINDS
from core.decision import Output
from core.facts import ACCOUNTS, LEADS, FactsTable
from core.model import Account, Activity, Lead, Row

CONTACTS = "contacts"
COMPANIES = "companies"
DEALS = "deals"
ENGAGEMENTS = ("calls", "emails", "meetings", "notes", "tasks", "communications")

MODIFIED: Mapping[str, str] = {
    CONTACTS: "lastmodifieddate",
    **dict.fromkeys((COMPANIES, DEALS, *ENGAGEMENTS), "hs_lastmodifieddate"),
}
"""The property with the last change of each object; a wrong one finds nothing, silently."""

MERGED = "hs_merged_object_ids"

# No bounced_at: HubSpot counts bounces (hs_email_bounce) and names the reason of a hard one
# (hs_email_hard_bounce_reason_enum), but does not say when it was.
LEAD: Mapping[str, str] = {
    "created_at": "createdate",
    "modified_at": MODIFIED[CONTACTS],
    "first_name": "firstname",
    "last_name": "lastname",
    "email": "email",
    "phone": "phone",
    "title": "jobtitle",
    "company": "company",
    "website": "website",
    "industry": "industry",
    "employees": "numemployees",
    "revenue": "annualrevenue",
    "country": "country",
    "state": "state",
    "technologies": "tech_stack",
    "source": "hs_analytics_source",
    "status": "hs_lead_status",
    "email_opt_out": "hs_email_optout",
    "account_id": "associatedcompanyid",
    "owner_id": "hubspot_owner_id",
    "accepted_at": "sales_accepted_at",
    "custom.legal_basis": "hs_legal_basis",
}
ACCOUNT: Mapping[str, str] = {
    "created_at": "createdate",
    "modified_at": MODIFIED[COMPANIES],
    "name": "name",
    "domain": "domain",
    "industry": "industry",
    "employees": "numberofemployees",
    "revenue": "annualrevenue",
    "country": "country",
    "state": "state",
    "technologies": "tech_stack",
    "type": "type",
    "parent_id": "hs_parent_company_id",
    "owner_id": "hubspot_owner_id",
}
OUTCOME: Mapping[str, str] = {
    "stage": "dealstage",
    "amount": "amount",
    "currency": "deal_currency_code",
    "created_at": "createdate",
    "closed_at": "closedate",
    "modified_at": MODIFIED[DEALS],
}
ENGAGEMENT: Mapping[str, str] = {
    "occurred_at": "hs_timestamp",
    "modified_at": "hs_lastmodifieddate",
    "owner_id": "hubspot_owner_id",
}
EVENT = ("asset", "area", "channel", "campaign", "outcome")
"""What is read of behavioural events, each from a property of its name unless mapped."""
ACTIVITY = (
    *ENGAGEMENT,
    *("lead_id", "account_id", "type", "asset", "area", "campaign", "direction", "outcome"),
    *("duration", "message_id", "subject"),
)
"""What is read of activities: the properties that all engagements have, and what each kind has."""
FILLS = {
    "leads": filled(Lead, LEAD),
    "accounts": filled(Account, ACCOUNT),
    "activities": filled(Activity, ACTIVITY),
}
"""Facts table -> the fields of it that are read unless a mapping says otherwise."""
WRITTEN: Mapping[Output, WrittenField] = {
    Output.SCORE: WrittenField(field="leadgauge_score"),
    Output.TIER: WrittenField(field="leadgauge_tier"),
    Output.STAGE: WrittenField(field="leadgauge_stage"),
    Output.REASON: WrittenField(field="leadgauge_reason"),
    Output.MODEL: WrittenField(field="leadgauge_model"),
    Output.SCORED_AT: WrittenField(field="leadgauge_scored_at"),
    Output.OWNER: WrittenField(field="hubspot_owner_id"),
}

ALREADY_EXISTS = 409
LONGEST_TEXT = 65_536
WHOLE_DIGITS = 15

_KINDS = {
    "string": FieldKind.TEXT,
    "phone_number": FieldKind.TEXT,
    "number": FieldKind.NUMBER,
    "bool": FieldKind.BOOLEAN,
    "date": FieldKind.DATE,
    "datetime": FieldKind.DATETIME,
    "enumeration": FieldKind.CHOICE,
}
_TAKEN_BY = {
    FieldKind.NUMBER: (FieldKind.NUMBER,),
    FieldKind.DATETIME: (FieldKind.DATETIME,),
    FieldKind.TEXT: (FieldKind.TEXT, FieldKind.CHOICE),
    FieldKind.REFERENCE: (FieldKind.REFERENCE,),
}
_NEW_TYPES = {
    FieldKind.NUMBER: ("number", "number"),
    FieldKind.DATETIME: ("datetime", "date"),
    FieldKind.TEXT: ("string", "text"),
}


class Fields:
    """The properties of one account, and what the mapping makes of them."""

    def __init__(self, gateway: Gateway, name: str, settings: HubSpotSettings) -> None:
        self._gateway = gateway
        self._name = name
        self._mapping = settings.mapping
        self._known: dict[str, dict[str, Field]] = {}
        named = {**WRITTEN, **settings.write}
        self.written: dict[Output, WrittenField] = {o: named[o] for o in settings.outputs()}

    def of(self, object_type: str) -> dict[str, Field]:
        """The properties of an object, by name; asked once."""
        if object_type not in self._known:
            found = self._gateway.properties(object_type)["results"]
            self._known[object_type] = {p["name"]: _field(p) for p in found}
        return self._known[object_type]

    def known(self, object_type: str) -> bool:
        """Whether the properties of an object were asked for."""
        return object_type in self._known

    def lead(self) -> dict[str, str]:
        """Common column -> property of contacts, with the written fields as `present.*`."""
        present = {f"present.{o}": w.field for o, w in self.written.items()}
        return self._existing(LEADS, CONTACTS, {**LEAD, **present})

    def account(self) -> dict[str, str]:
        """Common column -> property of companies."""
        return self._existing(ACCOUNTS, COMPANIES, ACCOUNT)

    def unstamped(self, object_type: str) -> frozenset[str]:
        """The common fields of contacts or companies that change without a stamp, as HubSpot or
        the mapping says. Raises MappingError for a name in the mapping that is not mapped."""
        named = self._mapping.unstamped
        mapped = {CONTACTS: self.lead(), COMPANIES: self.account()}
        refuse_unmapped(
            named, (p for columns in mapped.values() for p in columns.values()), self._name
        )
        known = self.of(object_type)
        return frozenset(
            common_field(column)
            for column, name in traced(mapped[object_type]).items()
            if name in named or known[name].calculated
        )

    def engagement(self) -> dict[str, str]:
        """Common column -> property of an engagement; which of them has it is not asked."""
        return self._merged("activities", Activity, ENGAGEMENT, self._mapping.activities)

    def event_columns(self) -> tuple[str, ...]:
        """The common columns that a behavioural event may hold, custom ones as they are mapped."""
        custom = (name for name in self._mapping.activities if name.startswith("custom."))
        return (*EVENT, *custom)

    def event(self, column: str) -> str:
        """The property of a behavioural event that holds a common column."""
        return self._mapping.activities.get(column) or column

    def activity_type(self, word: str) -> str:
        """The canonical type of what HubSpot calls an activity, where the mapping says it."""
        return self._mapping.activity_types.get(word, "")

    def missing(self) -> list[NewField]:
        """The written fields that contacts do not have yet."""
        known = self.of(CONTACTS)
        return [
            NewField(
                object_type=CONTACTS,
                output=output,
                name=written.field,
                label=f"leadgauge {output.replace('_', ' ')}",
                description=f"Written by leadgauge: the {output.replace('_', ' ')} of the lead.",
                kind=WRITTEN_KINDS[output],
            )
            for output, written in self.written.items()
            if output is not Output.OWNER and written.field not in known
        ]

    def create(self, fields: Sequence[NewField]) -> list[Problem]:
        """Create properties; one that exists is left alone."""
        problems = []
        for new in fields:
            try:
                self._gateway.create_property(new.object_type, _definition(new))
            except Refused as error:
                if error.status != ALREADY_EXISTS:
                    where = f"{new.object_type}.{new.name}"
                    problems.append(Problem("error", where, error.message))
            except MissingScope as error:
                where = f"{new.object_type}.{new.name}"
                advice = "grant the scope crm.schemas.contacts.write"
                problems.append(Problem("credentials", where, error.message, advice))
            self._known.pop(new.object_type, None)
        return problems

    def lacks(self) -> dict[str, frozenset[str]]:
        """Facts table -> the fields that are read by default and that the portal does not have; of
        activities it is not asked."""
        read = ((LEADS, CONTACTS, LEAD), (ACCOUNTS, COMPANIES, ACCOUNT))
        return {
            table.name: FILLS[table.name]
            - filled(table.model, (n for n, name in names.items() if name in self.of(object_type)))
            for table, object_type, names in read
        }

    def check(self) -> Iterable[Problem]:
        """What is wrong with the mapping of leads, accounts and written fields."""
        absent = [*self._unmapped(LEADS, CONTACTS), *self._unmapped(ACCOUNTS, COMPANIES)]
        yield from absent
        mappings: list[Callable[[], object]] = [
            partial(self._merged, CONTACTS, Lead, LEAD, self._mapping.leads),
            partial(self._merged, COMPANIES, Account, ACCOUNT, self._mapping.accounts),
            self.engagement,
        ]
        if not absent:
            mappings.append(partial(self.unstamped, CONTACTS))
        for what in dict.fromkeys(_mistake(mapped) for mapped in mappings):
            if what:
                yield Problem("error", "mapping", what, "correct it in config.yaml")
        for output, written in self.written.items():
            yield from _unfit(output, written.field, self.of(CONTACTS).get(written.field))

    def _unmapped(self, table: FactsTable, object_type: str) -> Iterator[Problem]:
        """Mapped properties that an object does not have; a wrong name never costs silently."""
        known = self.of(object_type)
        for column, name in merged({}, self._given(table)).items():
            if name not in known:
                near = nearest(name, known)
                yield Problem(
                    "error",
                    f"mapping.{table.name}.{common_field(column)}",
                    f"{object_type} have no property {name}",
                    f"use {near}" if near else "correct the name",
                )

    def _given(self, table: FactsTable) -> Mapping[str, MappedTo]:
        given: Mapping[str, MappedTo] = getattr(self._mapping, table.name)
        return given

    def _existing(
        self, table: FactsTable, object_type: str, defaults: Mapping[str, str]
    ) -> dict[str, str]:
        found = self._merged(object_type, table.model, defaults, self._given(table))
        for problem in self._unmapped(table, object_type):
            raise MappingError(
                f"{problem.where}: {problem.what}: {problem.advice}", connection=self._name
            )
        known = self.of(object_type)
        return {column: name for column, name in found.items() if name in known}

    def _merged(
        self,
        what: str,
        model: type[Row],
        defaults: Mapping[str, str],
        given: Mapping[str, MappedTo],
    ) -> dict[str, str]:
        try:
            return field_map(model, defaults, given)
        except ValueError as error:
            raise MappingError(f"mapping of {what}: {error}", connection=self._name) from None


def _mistake(mapped: Callable[[], object]) -> str:
    """What is wrong with a mapping; empty: nothing."""
    try:
        mapped()
    except MappingError as error:
        return error.message
    return ""


def _field(definition: Json) -> Field:
    kind = _KINDS.get(definition["type"], FieldKind.OTHER)
    if definition.get("externalOptions"):
        kind = FieldKind.REFERENCE
    read_only = definition.get("modificationMetadata", {}).get("readOnlyValue", False)
    return Field(
        name=definition["name"],
        label=definition["label"],
        kind=kind,
        writable=not read_only and not definition.get("calculated", False),
        length=LONGEST_TEXT if kind is FieldKind.TEXT else None,
        whole_digits=WHOLE_DIGITS if kind is FieldKind.NUMBER else None,
        choices=tuple(option["value"] for option in definition.get("options", ())),
        calculated=definition.get("calculated", False),
    )


def _definition(new: NewField) -> Json:
    type_, field_type = _NEW_TYPES[new.kind]
    return {
        "name": new.name,
        "label": new.label,
        "description": new.description,
        "groupName": "contactinformation",
        "type": type_,
        "fieldType": field_type,
    }


def _unfit(output: Output, name: str, there: Field | None) -> Iterable[Problem]:
    """Why an output cannot be written to a property."""
    where = f"{CONTACTS}.{name}"
    if there is None:
        advice = "create it with `leadgauge setup`, or name another property under `write`"
        yield Problem("error", where, f"{output} is written to it, but it does not exist", advice)
    elif not there.writable:
        yield Problem("error", where, f"{output} is written to it, but it is read-only")
    elif there.kind not in _TAKEN_BY[WRITTEN_KINDS[output]]:
        what = f"{output} is a {WRITTEN_KINDS[output]}, but the property is a {there.kind}"
        yield Problem("error", where, what)
