"""What leads are interested in, how deep and how keenly, and how far on and who they are in buying.

The sections `interest`, `journey` and `roles` of a model, and what they make of activities. None of
them moves the score, and none of them reads what sales made of a lead: its status, stage or deals.
"""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal, Self, TypeVar

import ibis
from ibis.expr.types import Table
from pydantic import AfterValidator, Discriminator, Field, PlainSerializer, Tag, model_validator

from core.conditions import ActivityCondition, LeadCondition
from core.decision import UNIT
from core.facts import TIME
from core.folding import folded
from core.points import CustomName, Duration, Part, RuleId, Share, units

T = TypeVar("T")

# A mapping whose order has a meaning is a list to the model's version, which sorts keys.
InOrder = Annotated[
    dict[RuleId, T], PlainSerializer(lambda named: list(named.items()), when_used="json")
]


def _folded(name: str) -> str:
    if name != name.strip().lower() or not name:
        raise ValueError("an area is written in lower case, without blanks around it")
    return name


Area = Annotated[str, Field(max_length=100), AfterValidator(_folded)]
Areas = Annotated[
    Annotated[Literal[True], Tag("field")]
    | Annotated[dict[Area, ActivityCondition], Field(min_length=1), Tag("conditions")],
    Discriminator(lambda value: "conditions" if isinstance(value, dict) else "field"),
]


class Interest(Part):
    """What leads are interested in. Interest is shown by activities that behaviour rules pay for,
    and by content of the buyer's journey."""

    areas: Areas = Field(
        description="true: an activity is of the area that its field `area` names. Or area -> "
        "condition, for activities whose field is empty: the first that holds is theirs."
    )


class Content(Part):
    """A stage of the buyer's journey, by the content that belongs to it."""

    when: ActivityCondition = Field(description="Which activities are with content of this stage.")
    evidence: int = Field(1, ge=1, description="How many of them put a lead into the stage.")
    within: Duration | None = Field(None, description="Older ones are no evidence any more.")


Journey = InOrder[Content]


class Role(Part):
    """How a role in the buying process is told. What is given of `when` and `did` must hold."""

    when: LeadCondition | None = Field(None, description="What the lead must be: by its title.")
    did: ActivityCondition | None = Field(
        None, description="What it must have done, once at least: by content."
    )
    confidence: Share = Field(gt=0, description="How sure that makes it, up to 1.")

    @model_validator(mode="after")
    def _can_be_told(self) -> Self:
        if not (self.when or self.did):
            raise ValueError("say when, or did: nothing tells this role")
        return self


class Roles(Part):
    """Roles in the buying process: the one that the CRM names, or else the one inferred."""

    explicit: CustomName | None = Field(
        None, description="The lead's `custom` field that names its role. It overrides."
    )
    infer: InOrder[Role] = Field(
        {}, description="Role -> how it is told; of those that hold the first."
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.explicit or self.infer):
            raise ValueError("name the field of explicit roles, or roles to infer")
        return self

    @property
    def named(self) -> str | None:
        """The column that names the explicit role."""
        return f"custom.{self.explicit}" if self.explicit else None

    @property
    def columns(self) -> frozenset[str]:
        """The columns of leads that their roles hang on."""
        asked = [role.when.columns() for role in self.infer.values() if role.when]
        return frozenset(filter(None, [self.named])).union(*asked)


def depth_and_intensity(content: Table, whose: str) -> Table:
    """How deep and how keen the interest is: connection, `whose`, events, days, depth, intensity.

    `content` holds activities: connection, the column `whose` (lead or account), occurred_at,
    duration in seconds, and place, the number of its stage on the journey, from 1; 0 for none.

    `depth` is one for each activity, one more for every stage that its content is along the
    journey, and one for each whole minute of all durations together: more of any never lowers it.
    `days` is one more than the whole days from the first to the last; `intensity` is activities per
    such day, in 1/10,000.
    """
    seconds = ibis.greatest(content.duration.coalesce(0), 0)
    sums = content.group_by("connection", whose).aggregate(
        events=content.count(),
        breadth=(content.place + 1).sum(),
        seconds=seconds.sum(),
        first=content.occurred_at.min().truncate("s").epoch_seconds(),
        last=content.occurred_at.max().truncate("s").epoch_seconds(),
    )
    days = (sums["last"] - sums["first"]) // 86_400 + 1
    return sums.select(
        "connection",
        whose,
        "events",
        days=days,
        depth=sums.breadth + sums.seconds // 60,
        intensity=sums.events * UNIT // days,
    )


def buyer_stages(journey: Journey, content: Table, at: datetime) -> Table:
    """The highest stage that each lead shows enough evidence for: connection, lead_id,
    buyer_stage, evidence (activities). Leads without one have no row.

    `content` is as for `depth_and_intensity`, with lead_id.
    """
    stages = list(enumerate(journey.values(), start=1))
    since = content.place.cases(
        *(
            (place, ibis.literal(at - stage.within, type=TIME))
            for place, stage in stages
            if stage.within
        ),
        (0, ibis.null(TIME)),  # cases want one at least
    )
    fresh = content.filter(content.place > 0, since.isnull() | (content.occurred_at >= since))
    counts = fresh.group_by("connection", "lead_id", "place").aggregate(evidence=fresh.count())
    needed = counts.place.cases(*((place, stage.evidence) for place, stage in stages))
    enough = counts.filter(counts.evidence >= needed)
    best = enough.group_by("connection", "lead_id").aggregate(
        place=enough.place.max(), evidence=enough.evidence.argmax(enough.place)
    )
    name = best.place.cases(*enumerate(journey, start=1))
    return best.select("connection", "lead_id", "evidence", buyer_stage=name)


def buying_roles(roles: Roles, wide: Table) -> Table:
    """The role of each lead in buying: connection, lead_id, role, confidence (of 10,000), and
    whether it is `explicit`. Leads whose role is neither given nor told have no row.

    `wide` holds connection, lead_id, the columns that the roles read, and for every role with
    `did` a column `did.<role>`: whether the lead did that.
    """
    explicit = folded(wide[roles.named]).nullif("") if roles.named else ibis.null("string")
    told = []
    for name, role in roles.infer.items():
        holds = role.when.holds(wide) if role.when else ibis.literal(True)
        if role.did:
            holds = holds & wide[f"did.{name}"]
        told.append((holds, name, units(role.confidence)))
    none = [(ibis.literal(False), "", 0)]
    rows = wide.select(
        "connection",
        "lead_id",
        explicit=explicit.notnull(),
        role=explicit.coalesce(ibis.cases(*((holds, name) for holds, name, _sure in told or none))),
        confidence=explicit.notnull().ifelse(
            units(Decimal(1)), ibis.cases(*((holds, sure) for holds, _name, sure in told or none))
        ),
    )
    return rows.filter(rows.role.notnull())
