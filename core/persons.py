"""Facts in which whatever a person did counts for each of the person's records.

Scoring asks of every record what it did. Where records of several connections are one person
(`core.identity`), each of them is given the activities of all, each event once; nothing else about
scoring changes. An activity that another connection shows goes by the object type
`<type>@<connection>`, so that the ids of two CRMs never meet.
"""

from dataclasses import replace
from datetime import datetime

import ibis
from ibis.expr.types import StringValue, Table

from core.affected import AFFECTED
from core.events import EMAILS, EVENT, LEAD
from core.facts import LEADS, as_of
from core.identity import Identity, handles, persons
from core.scoring import Facts, Keep, unkept

FROM = "@"
"""What stands between an object type and the connection that shows the activity."""


def shared(identity: Identity | None, facts: Facts, at: datetime, keep: Keep = unkept) -> Facts:
    """The facts as of `at`, with the activities of each person at each of its records.

    Without `identity` they stay as they are. `facts` hold, of every lead among them, all leads
    that share a handle with it, and so on (`nearby`).
    """
    if identity is None:
        return facts
    people = as_of(facts.leads, at)
    members = keep(persons(identity, people).members)
    records = members.select(*LEAD, "person").union(_former(facts, people, members))
    events = _events(facts.activities, records)
    targets = members.select("person", to_connection="connection", to_lead="lead_id")
    rows = facts.activities.join(events, EVENT).join(targets, "person")
    theirs = rows.to_connection != rows.connection
    given = rows.mutate(
        connection=rows.to_connection,
        lead_id=rows.to_lead,
        object_type=theirs.ifelse(rows.object_type + FROM + rows.connection, rows.object_type),
        account_id=theirs.ifelse(None, rows.account_id),
    ).select(facts.activities.columns)
    rest = facts.activities.anti_join(records, LEAD)
    activities = rest.union(given.cast(rest.schema()))
    return replace(facts, activities=activities, persons=members)


def nearby(identity: Identity, facts: Facts, leads: Table) -> Table:
    """Some leads, those that share a handle with one of them or ever did, and the records that
    were merged into one of these: connection, lead_id, each once.

    What a change makes of persons reaches no farther than this, asked again until it adds nobody.
    """
    every = handles(identity, facts.leads)
    mine = every.semi_join(leads, LEAD).select("way", "handle").distinct()
    found = every.semi_join(mine, ["way", "handle"]).select(*LEAD).cast(AFFECTED)
    known = ibis.union(leads, found, distinct=True).view()
    merged = facts.aliases.filter(facts.aliases.table_name == LEADS.name)
    followers = merged.semi_join(known, ["connection", ("survivor", "lead_id")])
    return known.union(followers.select("connection", lead_id="id").cast(AFFECTED), distinct=True)


def shown_by(object_type: StringValue) -> StringValue:
    """The connection that shows an activity of a record, where it is another than the record's."""
    return object_type.re_extract(rf"{FROM}(.*)$", 1).nullif("")


def _former(facts: Facts, people: Table, members: Table) -> Table:
    """The records that were merged into one of a person's: connection, lead_id, person."""
    gone = facts.aliases.filter(facts.aliases.table_name == LEADS.name)
    gone = gone.anti_join(people, ["connection", "id"])
    named = gone.join(members, ["connection", ("survivor", "lead_id")])
    return named.select("connection", "person", lead_id="id").select(*LEAD, "person")


def _events(activities: Table, records: Table) -> Table:
    """What each person did, once: the columns of EVENT, person.

    Two connections that show, of one person, one type of activity at one second and with the same
    asset, campaign or subject (the first that is said), show one event: that of the connection
    that comes first by name counts. E-mails are told apart further on, also by message id.
    """
    seen = activities.join(records, LEAD).select(
        *EVENT,
        "person",
        "type",
        second=activities.occurred_at.truncate("s"),
        what=ibis.coalesce(activities.asset, activities.campaign, activities.subject)
        .strip()
        .lower(),
    )
    told = [name for name in seen.columns if name != "lead_id"]
    once = seen.group_by(told).aggregate(lead_id=seen.lead_id.min())
    placed = once.mutate(
        first=once.connection.min().over(group_by=["person", "type", "second", "what"])
    )
    kept = placed.type.isin(EMAILS) | (placed.connection == placed.first)
    return placed.filter(kept).select(*EVENT, "person")
