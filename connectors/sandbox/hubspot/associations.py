"""Associations between records, in v4 and inline with a list."""

from typing import Any, NamedTuple

from connectors.sandbox.crm import Kind, Record
from connectors.sandbox.http import Response
from connectors.sandbox.hubspot.call import Call, number
from connectors.sandbox.hubspot.index import Index
from connectors.sandbox.hubspot.objects import BY_PATH, ObjectType
from connectors.sandbox.hubspot.replies import invalid, not_found, reply

INLINE = 100
"""How many associations of a record a list carries; more must be asked of v4."""
PER_PAGE = 500
MOST_INPUTS = 1000

TYPE_IDS = {
    ("contacts", "companies"): (1, 279),
    ("companies", "contacts"): (2, 280),
    ("deals", "contacts"): (3,),
    ("contacts", "deals"): (4,),
    ("deals", "companies"): (5, 341),
    ("companies", "deals"): (6, 342),
}
# From an engagement to a contact, a company and a deal; the way back is one less.
_ENGAGEMENTS = {
    "calls": (194, 182, 206),
    "emails": (198, 186, 210),
    "meetings": (200, 188, 212),
    "notes": (202, 190, 214),
    "tasks": (204, 192, 216),
}
for _name, _ids in _ENGAGEMENTS.items():
    for _other, _id in zip(("contacts", "companies", "deals"), _ids, strict=True):
        TYPE_IDS[_name, _other] = (_id,)
        TYPE_IDS[_other, _name] = (_id - 1,)
for _other, _id in (("contacts", 81), ("companies", 87), ("deals", 85)):
    TYPE_IDS["communications", _other] = (_id,)
    TYPE_IDS[_other, "communications"] = (_id + 1,)


class Pair(NamedTuple):
    """Two object types that can be associated."""

    of: ObjectType
    to: ObjectType

    @property
    def type_ids(self) -> tuple[int, ...]:
        """The association types that every pair of records has: the primary one first."""
        return TYPE_IDS[self.of.name, self.to.name]


def pair(of: ObjectType, to: str) -> Pair:
    """The pair from one type to another. Raises ApiError where there is none."""
    other = BY_PATH.get(to)
    if other is None or (of.name, other.name) not in TYPE_IDS:
        raise invalid(f"No association type between {of.name} and {to}")
    return Pair(of, other)


def linked(index: Index, between: Pair, record: Record) -> list[Record]:
    """The live records of the other type that a record is associated with."""
    to = between.to
    if record.kind in (Kind.ACTIVITY, Kind.DEAL):
        if to.name == "contacts":
            return index.people_of(record)
        if to.name == "deals":
            deal = record.values.get("deal")
            found = None if deal is None else index.find(to, deal)
            return [found] if found else []
    if to.name == "companies":
        account = index.account_of(record)
        return [account] if account else []
    if to.name == "contacts":
        return index.people_of_account.get(record.number, [])
    company = record.kind is Kind.ACCOUNT
    if to.name == "deals":
        deals = index.deals_of_account if company else index.deals_of_person
        return deals.get(record.number, [])
    if record.kind is Kind.DEAL:
        activities = index.activities_of_deal
    else:
        activities = index.activities_of_account if company else index.activities_of_person
    return [a for a in activities.get(record.number, []) if a.values["type"] in to.activities]


def inline(call: Call, kind: ObjectType, record: Record) -> dict[str, Any]:
    """The associations that a list or a get was asked for, cut at `INLINE`."""
    found = {}
    for name in call.many("associations"):
        between = pair(kind, name)
        rows = linked(call.index, between, record)
        if not rows:
            continue
        label = f"{kind.singular}_to_{between.to.singular}"
        labels = (label, f"{label}_unlabeled")[: len(between.type_ids)]
        found[between.to.name] = {
            "results": [
                {"id": str(row.number), "type": each} for row in rows[:INLINE] for each in labels
            ],
            **(call.paging(rows[INLINE].number) if len(rows) > INLINE else {}),
        }
    return {"associations": found} if found else {}


def _row(between: Pair, record: Record) -> dict[str, Any]:
    primary = len(between.type_ids) > 1
    return {
        "toObjectId": record.number,
        "associationTypes": [
            {
                "category": "HUBSPOT_DEFINED",
                "typeId": type_id,
                "label": "Primary" if primary and place == 0 else None,
            }
            for place, type_id in enumerate(between.type_ids)
        ],
    }


def batch_read(call: Call, of: str, to: str) -> Response:
    """POST v4 batch/read: up to 1,000 records; one without associations is left out."""
    between = pair(call.object_type(of), to)
    call.object_type(to)
    results = []
    for each in call.inputs(MOST_INPUTS):
        record = call.index.find(between.of, number(each.get("id")))
        rows = linked(call.index, between, record) if record else []
        start = int(each.get("after") or 0)
        end = start + PER_PAGE
        if rows[start:end]:
            results.append(
                {
                    "from": {"id": str(each["id"])},
                    "to": [_row(between, row) for row in rows[start:end]],
                    **(call.paging(end) if end < len(rows) else {}),
                }
            )
    return reply(200, {"status": "COMPLETE", "results": results})


def page(call: Call, of: str, id: str, to: str) -> Response:
    """GET v4 associations of one record, in pages of up to 500."""
    between = pair(call.object_type(of), to)
    call.object_type(to)
    record = call.index.find(between.of, number(id))
    if record is None:
        raise not_found()
    rows = linked(call.index, between, record)
    limit = call.limit(PER_PAGE, PER_PAGE)
    return reply(200, call.slice([_row(between, row) for row in rows], limit))
