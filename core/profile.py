"""A lead's profile by a model: areas of interest, depth and intensity, buyer's stage, role; and
its points by channel. An account's profile: the areas, depth and intensity of all its leads.

Each part is an expression over the facts as of an instant, built only for a model that asks for it.
What an activity is worth in its area, or its channel, the behaviour rules say: there is no second
scorer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import count
from typing import Any

import ibis
from ibis.expr.types import Table

from core.behaviour import behaviour
from core.conditions import ActivityCondition
from core.contributions import matched
from core.counting import BETWEEN
from core.decision import UNIT
from core.events import wide
from core.folding import folded
from core.interest import Areas, buyer_stages, buying_roles, depth_and_intensity
from core.known import Facts, known_columns, living, settled_events
from core.limits import Limits
from core.rules import Model
from core.scoring import score
from core.uncounted import counted

KEY = ["connection", "lead_id"]
ACCOUNT_KEY = ["connection", "account_id"]

Own = tuple[Model, Facts]
"""A model, and its own share of the facts."""


@dataclass(frozen=True)
class Profile:
    """The profile of a lead, or of an account: areas, depth and intensity alone.

    What its model does not ask for, or no activity shows, is None.

    `areas` are areas of interest with their points, the biggest first. `intensity` is activities
    per day of the `days` that its `events` span. `explicit` says that the CRM named the role.
    """

    areas: Mapping[str, Decimal]
    events: int | None = None
    days: int | None = None
    depth: int | None = None
    intensity: Decimal | None = None
    buyer_stage: str | None = None
    evidence: int | None = None
    role: str | None = None
    confidence: Decimal | None = None
    explicit: bool | None = None

    def __str__(self) -> str:
        said = []
        if self.areas:
            listed = ", ".join(f"{area} {points:f}" for area, points in self.areas.items())
            said.append(f"interested in: {listed}")
        if self.events:
            said.append(
                f"depth {self.depth}, intensity {self.intensity:f} activities a day "
                f"(activities: {self.events}, days: {self.days})"
            )
        if self.buyer_stage:
            said.append(f"buyer's stage: {self.buyer_stage} (evidence: {self.evidence})")
        if self.role:
            how = "as the CRM says" if self.explicit else f"confidence {self.confidence:f}"
            said.append(f"role: {self.role} ({how})")
        return "\n".join(said)


def profile(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> Profile:
    """The profile of one lead or account, from its rows of `parts` or `account_parts`."""
    ranked = sorted(rows.get("areas", ()), key=lambda row: row["rank"])
    told: dict[str, Any] = {}
    for part in ("engagement", "stages", "roles"):
        for row in rows.get(part, ()):
            told |= {k: v for k, v in row.items() if k not in {*KEY, *ACCOUNT_KEY}}
    for share in {"intensity", "confidence"} & told.keys():
        told[share] = Decimal(told[share]) / UNIT
    return Profile({row["area"]: Decimal(row["points"]) / UNIT for row in ranked}, **told)


def parts(model: Model, facts: Facts, at: datetime) -> Mapping[str, Table]:
    """The parts of the leads' profiles that the model asks for, by name."""
    found = {}
    if model.interest:
        found["areas"] = areas(model, facts, at)
        found["engagement"] = engagement(model, facts, at)
    if model.journey:
        found["stages"] = stages(model, facts, at)
    if model.roles:
        found["roles"] = roles(model, facts, at)
    return found


def areas(model: Model, facts: Facts, at: datetime) -> Table:
    """Points by area: connection, lead_id, area, points (units, weighted), rank (1 is the lead's
    area; of equal ones the one that was active last, then the first by name).

    They are what the model's behaviour rules, with their caps, counts and decays, give for the
    activities of that area alone; measures and silences are not taken of areas. An area without
    points above zero is no interest.
    """
    return _ranked(_interests(model, facts, at), "lead_id")


def account_parts(own: Sequence[Own], contacts: Table, at: datetime) -> Mapping[str, Table]:
    """The parts of accounts' profiles that their leads' models ask for, by name: as `areas` and
    `engagement`, by account_id, of all `contacts` together.

    `contacts`: connection, account_id, home (the connection of the lead) and lead_id. A lead's
    points in an area are those of its own profile, and add up.
    """
    asking = [(model, facts) for model, facts in own if model.interest]
    if not asking:
        return {}
    points = _theirs(ibis.union(*(_interests(*one, at) for one in asking)), contacts)
    sums = points.group_by(*ACCOUNT_KEY, "area").aggregate(
        points=points.points.sum(), latest=points.latest.max()
    )
    content = _theirs(ibis.union(*(_content(*one, at) for one in asking)), contacts)
    return {
        "areas": _ranked(sums, "account_id"),
        "engagement": depth_and_intensity(content, "account_id"),
    }


def _theirs(rows: Table, contacts: Table) -> Table:
    """Rows of leads as those of the accounts whose contacts they are."""
    return rows.rename(home="connection").join(contacts, ["home", "lead_id"])


def _interests(model: Model, facts: Facts, at: datetime) -> Table:
    """The areas of leads with points above zero, and when each was latest active."""
    assert model.interest, "the model asks for areas"
    events = _by_area(model.interest.areas, _activities(model, facts, at))
    points = _summed(_apart(model, events, at), "area")
    points = points.filter(points.points > 0)
    return points.semi_join(living(facts, at), ["connection", ("lead_id", "id")])


def _ranked(points: Table, whose: str) -> Table:
    """Areas in their order, of each lead or account."""
    order = ibis.window(
        group_by=["connection", whose],
        order_by=[points.points.desc(), points.latest.desc(), points.area],
    )
    return points.select(
        "connection", whose, "area", "points", rank=ibis.row_number().over(order) + 1
    )


def channels(model: Model, facts: Facts, at: datetime) -> Table:
    """Points by channel: connection, lead_id, channel, points (units, weighted).

    They are what the behaviour rules, with their counts, own caps and decays, give for the
    activities of that channel alone: so they add up to the points of these rules where each rule
    pays for activities of one channel. Measures, silences, caps of groups and limits have no
    channel. The model must have a rule that is not `silent`.
    """
    lines = facts.channels
    if lines is None:
        lines = score(model, facts, at, channels=True).channels
    assert lines is not None, "a score by channel was asked for"
    lines = lines.filter(lines.rule.isin([rule.id for rule in model.behaviour]))
    return _summed(lines, "channel").drop("latest")


def _apart(model: Model, events: Table, at: datetime) -> Table:
    """The contributions of behaviour rules and of the caps of groups for `events`, whose lead_id
    is a lead's with something else: each pair as if it were a lead of its own."""
    single = tuple(rule for rule in model.behaviour if not rule.silent)
    none = {"ignore": (), "reset": (), "measures": (), "limits": Limits()}
    rules = model.model_copy(update={**none, "behaviour": single})
    return behaviour(rules, events, events, at, None)


def _summed(lines: Table, name: str) -> Table:
    """The points of each pair of `_apart`: connection, lead_id, what else by its name, points, and
    when it was latest active."""
    sums = lines.group_by(KEY).aggregate(points=lines.points.sum(), latest=lines["last"].max())
    cut = sums.lead_id.find(BETWEEN)
    pair = {"lead_id": sums.lead_id.left(cut), name: sums.lead_id.substr(cut + 1)}
    return sums.select("connection", "points", "latest", **pair)


def engagement(model: Model, facts: Facts, at: datetime) -> Table:
    """How deep and how keen each lead's interest is (`core.interest.depth_and_intensity`)."""
    return depth_and_intensity(_content(model, facts, at), "lead_id")


def stages(model: Model, facts: Facts, at: datetime) -> Table:
    """The buyer's stage of each lead, as `core.interest.buyer_stages` says."""
    return buyer_stages(model.journey, _content(model, facts, at), at)


def roles(model: Model, facts: Facts, at: datetime) -> Table:
    """The role of each lead in buying, as `core.interest.buying_roles` says."""
    assert model.roles, "the model asks for roles"
    leads = known_columns(model.roles.columns, facts, at, model=model)
    did = {name: role.did for name, role in model.roles.infer.items() if role.did}
    if did:
        found = _matching(model, facts, at, [[condition] for condition in did.values()])
        flags = found.group_by(KEY).aggregate(
            **{name: (found.number == number).any() for number, name in enumerate(did)}
        )
        joined = leads.left_join(flags, KEY)
        known = {f"did.{name}": joined[name].fill_null(False) for name in did}
        leads = joined.select(leads, **known).view()
    return buying_roles(model.roles, leads)


def _activities(model: Model, facts: Facts, at: datetime) -> Table:
    """The activities of leads, and of records merged into them, that count for the model."""
    counting, _lines = counted(model.ignore, model.reset, settled_events(facts, at))
    return counting.semi_join(living(facts, at), ["connection", ("lead_id", "id")])


def _by_area(areas: Areas, events: Table) -> Table:
    """The activities of each area, with the lead's id and the area together as lead_id."""
    area = folded(events.area).nullif("")
    tagged = events.mutate(lead_id=events.lead_id + BETWEEN + area).filter(area.notnull())
    if areas is True:
        return tagged
    found = _numbered(events.filter(area.isnull()), [list(areas.values())])
    name = found.number.cases(*enumerate(areas))
    told = found.mutate(lead_id=found.lead_id + BETWEEN + name)
    return tagged.union(told.select(events.columns).cast(tagged.schema()))


def _content(model: Model, facts: Facts, at: datetime) -> Table:
    """The activities that show interest: connection, lead_id, occurred_at, duration and place.

    They are of the last stage of the journey whose condition holds; of none, but paid for by a
    behaviour rule, they have the place 0.
    """
    staged = [stage.when for stage in reversed(model.journey.values())]
    paying = [rule.when for rule in model.behaviour if rule.points > 0]
    found = _matching(model, facts, at, [[*staged, *paying]])
    place = ibis.greatest(len(staged) - found.number, 0)
    return found.select("connection", "lead_id", "occurred_at", "duration", place=place)


def _matching(
    model: Model, facts: Facts, at: datetime, groups: Sequence[Sequence[ActivityCondition]]
) -> Table:
    """The leads' activities until `at` that the model counts, as `_numbered`."""
    return _numbered(_activities(model, facts, at), groups)


def _numbered(events: Table, groups: Sequence[Sequence[ActivityCondition]]) -> Table:
    """Each activity with the `number` of every condition that holds, counted through all groups;
    of each group only the first."""
    columns = sorted(frozenset[str]().union(*(c.columns() for group in groups for c in group)))
    read = wide(events, frozenset(columns))
    signatures = read.select(columns).distinct()
    number = count()
    decided = [[(c.holds(signatures), next(number)) for c in group] for group in groups]
    return matched(read, signatures, decided)
