"""What a changed model would move, lead by lead, before it is used.

Two models over the same facts at the same instant, compared in whole sets. Nothing is written
to a CRM or recorded in the ledger.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import ibis
import pyarrow as pa
from ibis import _
from ibis.expr.types import Table

from core.changes import changes
from core.decision import UNIT
from core.prediction import exact
from core.segments import Segments
from core.verdict import KEY
from sync.decide import BATCH, Decider, past_of
from sync.kin import People
from sync.roster import colleagues, find
from sync.route import Round, assign
from sync.session import Session

_GIVEN = pa.schema([(name, pa.string()) for name in (*KEY, "given", "new_given")])


@dataclass(frozen=True)
class Standing:
    """Where a lead stands under one model: points, tier, stage, its owner's id, and what is
    predicted of it, which moves nobody."""

    score: Decimal
    tier: str | None
    stage: str | None
    owner: str | None
    probability: Decimal | None = None


@dataclass(frozen=True)
class RuleMove:
    """A rule that gives a lead other points than before; 0 where it does not match or exist."""

    rule: str
    before: Decimal
    after: Decimal


@dataclass(frozen=True)
class Mover:
    """A lead that the new model moves, and the rules that do it.

    Without rules it is moved by a threshold or a tier, or by its turn in the round robin.
    """

    connection: str
    object_type: str
    lead_id: str
    before: Standing
    after: Standing
    rules: tuple[RuleMove, ...]


@dataclass(frozen=True)
class StageMove:
    """How many leads of a connection go from one stage to another; equal ones stay."""

    connection: str
    before: str | None
    after: str | None
    leads: int


class Preview:
    """Two sets of models compared. `changes` says how they differ, `old` and `new` name those
    that do, or all of them where none does. `rounds` are what routing decides by each of the two,
    by connection."""

    def __init__(self, old: Decider, new: Decider, rounds: Sequence[Mapping[str, Round]]) -> None:
        both = zip(old.segments, new.segments, strict=True)
        pairs = [(before.model, after.model) for before, after in both]
        differing = [pair for pair in pairs if pair[0].version != pair[1].version] or pairs
        self.old, self.new = (
            ", ".join(model.label for model in side) for side in zip(*differing, strict=True)
        )
        self.changes = [line for pair in differing for line in changes(*pair)]
        self._both = _beside(old, new, _given(*rounds))
        self._rules = _rule_moves(old, new)
        self._connections = sorted(rounds[0])

    def stages(self) -> list[StageMove]:
        """How many leads keep or change their stage: where two definitions agree and differ."""
        counted = self._of_connections().group_by("connection", "stage", "new_stage")
        rows = counted.aggregate(leads=_.count()).to_pyarrow().to_pylist()
        moves = (StageMove(*(row[name] for name in row)) for row in rows)
        return sorted(moves, key=lambda m: (m.connection, m.before or "", m.after or ""))

    def movers(self) -> Iterator[Mover]:
        """Every lead whose score, tier, stage or owner differs, by connection and id."""
        both = self._of_connections()
        differs = [~both[n].identical_to(both[f"new_{n}"]) for n in ("tier", "stage", "owner")]
        moved = both.filter((both.score != both.new_score) | differs[0] | differs[1] | differs[2])
        rows = moved.left_join(self._rules, KEY).select(moved, self._rules.moves).order_by(KEY)
        for batch in rows.to_pyarrow_batches(chunk_size=BATCH):
            yield from map(_mover, batch.to_pylist())

    def _of_connections(self) -> Table:
        return self._both.filter(_.connection.isin(self._connections))


@contextmanager
def opened(session: Session, changed: Segments, at: datetime) -> Iterator[Preview]:
    """The configured models compared with changed ones, as of an instant, with the same past."""
    at = at.replace(microsecond=0)
    routing, facts = session.config.routing, session.facts
    past = past_of(session.ledger, routing, at, (*session.segments, *changed))
    with ExitStack() as stack:
        old, new = (
            stack.enter_context(
                Decider(segments, routing, facts, at, past, identity=session.config.identity)
            )
            for segments in (session.segments, changed)
        )
        rosters = {
            name: find(routing, facts, name, connector.capabilities).roster if routing else None
            for name, connector in session.connectors.items()
        }
        known = colleagues(routing, facts) if routing else {}
        rounds = [
            assign(decider, rosters, session.ledger, People(decider, session.config), known)
            for decider in (old, new)
        ]
        yield Preview(old, new, rounds)


def _given(old: Mapping[str, Round], new: Mapping[str, Round]) -> Table:
    """The owners that either model would give: connection, lead_id, given, new_given."""
    rows = []
    for name in old:
        owners = [{id_: a.owner_id for id_, a in r[name].assignments.items()} for r in (old, new)]
        for id_ in sorted(owners[0].keys() | owners[1].keys()):
            given, new_given = (found.get(id_) for found in owners)
            rows.append(dict(zip(_GIVEN.names, (name, id_, given, new_given), strict=True)))
    return ibis.memtable(pa.Table.from_pylist(rows, _GIVEN))


def _beside(old: Decider, new: Decider, given: Table) -> Table:
    """One row for each lead: what each model decides; an owner that is not given stays."""
    columns = ("object_type", "score", "tier", "stage", "probability")
    before = old.decisions.select(*KEY, *columns, present="owner_id")
    after = new.decisions.select(*KEY, **{f"new_{name}": name for name in columns[1:]})
    rows = before.inner_join(after, KEY).left_join(given, KEY, rname="{name}_right")
    owners = {"owner": _.given.coalesce(_.present), "new_owner": _.new_given.coalesce(_.present)}
    names = [*before.columns[:-1], *after.columns[2:]]
    return rows.select(*names, **owners).view()


def _rule_moves(old: Decider, new: Decider) -> Table:
    """For each lead the rules that give it other points: connection, lead_id, moves."""
    zero = ibis.literal(0, "int64")
    sides = (
        decider.contributions.select(*KEY, "rule", before=before, after=after)
        for decider, before, after in ((old, _.points, zero), (new, zero, _.points))
    )
    sums = ibis.union(*sides).group_by(*KEY, "rule")
    moves = sums.aggregate(before=_.before.sum(), after=_.after.sum()).filter(_.before != _.after)
    listed = ibis.struct({"rule": moves.rule, "before": moves.before, "after": moves.after})
    return moves.group_by(KEY).aggregate(moves=listed.collect())


def _mover(row: Mapping[str, Any]) -> Mover:
    before, after = (
        Standing(
            score=_points(row[f"{side}score"]),
            tier=row[f"{side}tier"],
            stage=row[f"{side}stage"],
            owner=row[f"{side}owner"],
            probability=exact(row[f"{side}probability"]),
        )
        for side in ("", "new_")
    )
    moves = (
        RuleMove(m["rule"], _points(m["before"]), _points(m["after"])) for m in row["moves"] or ()
    )
    ordered = sorted(moves, key=lambda m: (-abs(m.after - m.before), m.rule))
    return Mover(
        row["connection"], row["object_type"], row["lead_id"], before, after, tuple(ordered)
    )


def _points(units: Any) -> Decimal:
    return Decimal(int(units)) / UNIT
