"""Facts in which whatever a person did counts for each of the person's records.

Scoring asks of every record what it did. Where records of several connections are one person
(`core.identity`), each of them is given the activities of all, each event once; nothing else about
scoring changes. An activity that another connection shows goes by the object type
`<type>@<connection>`, so that the ids of two CRMs never meet.
"""

from dataclasses import replace
from datetime import datetime

import ibis
from ibis import _
from ibis.expr.types import StringValue, Table

from core.affected import AFFECTED
from core.events import EMAILS, EVENT, LEAD
from core.facts import LEADS, as_of
from core.folding import folded
from core.identity import Identity, companies, handles, persons
from core.known import Facts, Keep, unkept

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
    again = keep(_again(facts.activities, records))
    targets = members.select("person", to_connection="connection", to_lead="lead_id")
    rows = facts.activities.anti_join(again, EVENT).join(records, LEAD).join(targets, "person")
    theirs = rows.to_connection != rows.connection
    given = rows.mutate(
        connection=rows.to_connection,
        lead_id=rows.to_lead,
        object_type=theirs.ifelse(rows.object_type + FROM + rows.connection, rows.object_type),
        account_id=theirs.ifelse(None, rows.account_id),
    ).select(facts.activities.columns)
    rest = facts.activities.anti_join(records, LEAD)
    activities = rest.union(given.cast(rest.schema()))
    firms = companies(as_of(facts.accounts, at)) if identity.accounts else None
    return replace(facts, activities=activities, persons=members, companies=firms)


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


def of_persons(records: Table, facts: Facts) -> Table:
    """Some records, and the others of the same persons: connection, lead_id."""
    names = records.select(*LEAD).cast(AFFECTED).view()
    if facts.persons is None:
        return names
    theirs = facts.persons.semi_join(names, LEAD).select("person")
    others = facts.persons.semi_join(theirs, "person").select(*LEAD)
    return names.union(others.cast(AFFECTED), distinct=True).view()


def shown_by(object_type: StringValue) -> StringValue:
    """The connection that shows an activity of a record, where it is another than the record's."""
    return object_type.re_extract(rf"{FROM}(.*)$", 1).nullif("")


def _former(facts: Facts, people: Table, members: Table) -> Table:
    """The records that were merged into one of a person's: connection, lead_id, person."""
    gone = facts.aliases.filter(facts.aliases.table_name == LEADS.name)
    gone = gone.anti_join(people, ["connection", "id"])
    named = gone.join(members, ["connection", ("survivor", "lead_id")])
    return named.select("connection", "person", lead_id="id").select(*LEAD, "person")


def _again(activities: Table, records: Table) -> Table:
    """The activities that show once more what a person did: the columns of EVENT.

    A record shows what another of the person's in its connection shows by the same id. And two
    connections that show, of one person, one type of activity at one second and with the same
    asset, campaign or subject (the first that is said), show one event: that of the connection
    that comes first by name counts. E-mails are told apart further on, also by message id.
    """
    what = ibis.coalesce(activities.asset, activities.campaign, activities.subject, "")
    seen = activities.select(
        *EVENT, "type", second=activities.occurred_at.truncate("s"), what=folded(what)
    ).join(records, LEAD)
    beside = records.group_by("person", "connection").aggregate(records=records.count())
    several = seen.semi_join(beside.filter(beside.records > 1), ["person", "connection"])
    place = ibis.row_number().over(
        group_by=["person", "connection", "object_type", "id"], order_by=several.lead_id
    )
    twice = several.mutate(place=place).filter(_.place > 0)
    mine = seen.filter(seen.type.notin(EMAILS))
    event = ["person", "type", "second", "what"]
    shows = mine.group_by(event).aggregate(first=_.connection.min(), last=_.connection.max())
    both = mine.join(shows.filter(shows.first != shows.last), event)
    elsewhere = both.filter(both.connection != both.first)
    return twice.select(*EVENT).union(elsewhere.select(*EVENT), distinct=True)
