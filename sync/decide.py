"""Decide: score, qualify and route everything the facts hold, as of one instant."""

from collections.abc import Collection, Iterator, Mapping, Set
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, reduce
from operator import and_
from typing import Any, Self

import ibis
import pyarrow as pa
from ibis import _
from ibis.expr.types import BooleanValue, Table

from core.affected import AFFECTED, only
from core.cleaning import hygiene_of
from core.decision import OPTIONAL, Decision, Output
from core.diff import Values
from core.duplicates import with_duplicates
from core.events import done_by, until
from core.facts import ACCOUNTS, LEADS, TIME, as_of
from core.identity import Identity
from core.known import Facts, belonging, companies, known_columns, lead_columns
from core.matching import domain
from core.past import Past, asks
from core.persons import nearby, of_persons, shared
from core.prediction import exact, probabilities
from core.profile import areas, stages
from core.routing import Assignment
from core.segments import Segments, scoring_accounts, shares
from core.stages import HELD_OUT, WITHHELD
from core.verdict import KEY, judge
from sync.facts_store import FactsStore
from sync.hygiene import Cleanliness, cleanliness
from sync.ledger import Ledger
from sync.routing_settings import Routing, Territory

BATCH = 10_000
"""Leads that are in memory at a time."""

NAMED = 5
"""Records that a warning names; of more, it says how many."""

_DID = {"lead_id": "string", "occurred_at": TIME}
_BEGAN = pa.schema([("lead_id", pa.string()), ("since", TIME.to_pyarrow())])


def facts_of(store: FactsStore, at: datetime) -> Facts:
    """The facts known at `at`, as the expressions that scoring takes.

    Leads and accounts are there in all their versions, activities and aliases in that of `at`:
    whose an activity was, and which record stood for which, is not what it became later.
    """
    return Facts(
        store.table("leads"),
        store.table("accounts"),
        as_of(store.table("activities"), at),
        as_of(store.table("aliases"), at),
    )


def past_of(
    ledger: Ledger,
    routing: Routing | None,
    at: datetime,
    segments: Segments,
    leads: Collection[str] = (),
) -> Past | None:
    """What was decided before `at`, of some leads if any are named; None where nothing asks."""
    placing = [*(routing.conditions if routing else ())]
    placing += [segment.when for segment in segments if segment.when is not None]
    recalls = asks(placing) or any(segment.model.recalls for segment in segments)
    whole = any(segment.model.remembers for segment in segments)
    vetted = any(segment.model.sql.mode == "vetted" for segment in segments)
    past = ledger.past.before(at, leads, stages=recalls, spells=whole, accepted=vetted)
    return past if recalls or vetted or past.overrides is not None else None


def about(facts: Facts, leads: Collection[str]) -> Facts:
    """The facts that the scores of some leads rest on, merged records included.

    All accounts are among them: whether a domain is that of one alone hangs on every other.
    """
    people = with_gone(facts, leads)
    return replace(
        facts,
        leads=facts.leads.filter(_.id.isin(sorted(people))),
        activities=done_by(facts.activities, people, ()),
        aliases=aliases_of(facts, leads),
    )


def aliases_of(facts: Facts, leads: Collection[str]) -> Table:
    """What was merged or converted into some leads, and into any account."""
    return facts.aliases.filter((_.table_name == ACCOUNTS.name) | _.survivor.isin(sorted(leads)))


def with_gone(facts: Facts, leads: Collection[str]) -> set[str]:
    """The ids of some leads, and of those that were merged or converted into them."""
    mine = facts.aliases.filter(_.table_name == LEADS.name, _.survivor.isin(sorted(leads)))
    return {*leads, *mine.id.to_pyarrow().to_pylist()}


@contextmanager
def together(
    identity: Identity | None, segments: Segments, facts: Facts, leads: Table, at: datetime
) -> Iterator[Table]:
    """Some leads with all whose decisions hang on theirs, in a table of their own for so long.

    That are the other records of a person (`core.persons.nearby`), and those that may be its
    duplicates as of `at`; asked again until it adds nobody.
    """
    cleaning = hygiene_of(segments) is not None
    with ExitStack() as stack:
        found, before = stack.enter_context(leads.cache()), 0
        while (identity or cleaning) and before < (before := _rows(found)):
            if identity:
                found = stack.enter_context(nearby(identity, facts, found).cache())
            if cleaning:
                found = stack.enter_context(with_duplicates(found, facts, at).cache())
        yield found


def all_of(
    identity: Identity | None,
    segments: Segments,
    facts: Facts,
    leads: Collection[str],
    at: datetime,
) -> set[str]:
    """The ids of some leads, and of those that are decided about `together` with them."""
    if not identity and hygiene_of(segments) is None:
        return {*leads}
    known = facts.leads.filter(_.id.isin(sorted(leads)))
    named = known.select("connection", lead_id="id").distinct().cast(AFFECTED)
    with together(identity, segments, facts, named, at) as found:
        return {*leads, *found.lead_id.to_pyarrow().to_pylist()}


def _rows(table: Table) -> int:
    return int(table.count().to_pyarrow().as_py())


@dataclass(frozen=True)
class Decided:
    """A decision, and the record it is about as the CRM last showed it.

    `present` and `modified_at` are what the CRM held and when; `parent` is the account's id.
    """

    decision: Decision
    present: Values
    modified_at: datetime
    parent: str


class Decider:
    """Everything decided as of `at`, for all connections at once; read it by connection.

    Given some `leads` (as `core.affected` names them), it decides about no others; with `identity`,
    whoever is near them is among them. `facts` are those of these leads, with what a person did at
    each of its records.
    """

    def __init__(
        self,
        segments: Segments,
        routing: Routing | None,
        store: FactsStore,
        at: datetime,
        past: Past | None = None,
        *,
        leads: Table | None = None,
        optional: Set[Output] = frozenset(),
        identity: Identity | None = None,
    ) -> None:
        self.segments = segments
        self.at = at
        self._past = past
        self._known = facts_of(store, at)
        self._kept = ExitStack()
        self._nobody = leads is not None and not _rows(leads)
        mine = self._known if leads is None else self._apart(only(self._known, leads))
        self.facts = shared(identity, mine, at, self._keep)
        self._judged = judge(segments, self.facts, at, past)
        self._clean = self._measured()
        self.contributions = self._judged.contributions
        self.routing = routing
        areas_asked = any(territory.areas for territory in (routing.territories if routing else ()))
        asked = {*optional, Output.AREA} if areas_asked else optional
        decisions = self._placed(self._profiled(self._decisions(), asked))
        self.decisions = self._keep(decisions)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Give the memory back; the decisions are not read afterwards."""
        self._kept.close()

    def _apart(self, facts: Facts) -> Facts:
        """The facts of a few leads in tables of their own: scoring reads them more than once."""
        leads, activities = map(self._keep, (facts.leads, facts.activities))
        return replace(facts, leads=leads, activities=activities)

    def _keep(self, table: Table) -> Table:
        """A table of the leads to decide about; of nobody there is nothing to find out."""
        if self._nobody:
            schema = table.schema()
            return ibis.memtable(schema.to_pyarrow().empty_table(), schema=schema)
        return self._kept.enter_context(table.cache())

    def _decisions(self) -> Table:
        """One row for each lead: what was decided, and what routing and the diff ask for."""
        leads = belonging(self.facts, self.at)
        owners = self._accounts().select(
            "connection", account_id="id", account_owner="owner_id", account_domain="domain"
        )
        records = leads.select(
            "connection", "object_type", "modified_at", "account_id", "present",
            lead_id="id",
            # What we wrote last is in `present` at once, in `owner_id` after the next pull.
            owner_id=_.present.get(Output.OWNER.value).coalesce(_.owner_id),
            email_domain=domain(_.email) if self._by_domain else ibis.null("string"),
        )  # fmt: skip
        table = records.inner_join(self._judged.verdicts, KEY)
        table = table.left_join(owners, ["connection", "account_id"])
        table = table.mutate(domain=_.account_domain.coalesce(_.email_domain))
        gone = (name for name in table.columns if name.endswith(("_right", "_domain")))
        return table.drop(*gone)

    @property
    def _by_domain(self) -> bool:
        """Whether routing asks for the domain of a lead's company."""
        return self.routing is not None and bool(self.routing.named_accounts)

    def _accounts(self) -> Table:
        return companies(scoring_accounts(self.segments), self.facts, self.at)

    def _placed(self, table: Table) -> Table:
        """`table` with the territory of each lead, the first that fits it (null where none does),
        and whether it is a champion."""
        territories = self.routing.territories if self.routing else ()
        champions = self.routing.champions if self.routing else None
        if not territories and not champions:
            return table.mutate(territory=ibis.null("string"), champion=ibis.literal(False))
        conditions = {f"in_{n}": t.when for n, t in enumerate(territories) if t.when}
        conditions |= {"apart": champions} if champions else {}
        wanted = frozenset[str]().union(*(when.columns() for when in conditions.values()))
        leads = belonging(self.facts, self.at)
        facts = lead_columns(wanted, leads, self._accounts(), self.at, self._past)
        holds = {name: when.holds(facts) for name, when in conditions.items()}
        placing = facts.select(*KEY, **holds).view()
        wide = _joined(table, placing)
        fits = [(self._fits(wide, n, t), t.name) for n, t in enumerate(territories)]
        placed = wide.mutate(
            territory=ibis.cases(*fits) if fits else ibis.null("string"),
            champion=ibis.literal(False),
        ).drop(*conditions)
        if not champions:
            return placed
        apart = of_persons(placing.filter(placing.apart), self.facts).mutate(apart=True)
        return _joined(placed, apart).mutate(champion=_.apart.fill_null(False)).drop("apart")

    def _fits(self, wide: Table, number: int, territory: Territory) -> BooleanValue:
        """Whether a lead is in a territory, of which `in_<number>` says if its condition holds."""
        models = [s.model.label for s in self.segments if s.model.name in territory.models]
        fits = [wide[f"in_{number}"]] if territory.when else []
        fits += [wide.model.isin(models)] if territory.models else []
        fits += [wide.area.isin(territory.areas)] if territory.areas else []
        return reduce(and_, fits)

    def _profiled(self, table: Table, optional: Set[Output]) -> Table:
        """`table` with the area of interest and the buyer's stage; null where nobody asks."""
        missing = {output.value: ibis.null("string") for output in sorted(OPTIONAL)}
        if not optional:
            return table.mutate(**missing)
        parts, _rest = shares(self.segments, self._judged.facts, self.at, self._past)
        own = [(segment.model, facts) for segment, facts in zip(self.segments, parts, strict=True)]
        found = {
            Output.AREA: [
                areas(m, f, self.at).filter(_.rank == 1).select(*KEY, "area")
                for m, f in own
                if m.interest
            ],
            Output.BUYER_STAGE: [
                stages(m, f, self.at).select(*KEY, "buyer_stage") for m, f in own if m.journey
            ],
        }
        for output, tables in found.items():
            if output in optional and tables:
                table = _joined(table, ibis.union(*tables))
                del missing[output]
        return table.mutate(**missing)

    def rejected(self, connection: str) -> int:
        """How many records are not leads: neither contact data nor any activity."""
        return self._rejected.get(connection, 0)

    @cached_property
    def _rejected(self) -> Mapping[str, int]:
        return {} if self._nobody else _counted(self._judged.rejected)

    def outside(self, connection: str) -> int:
        """How many leads no model is for."""
        return self._outside.get(connection, 0)

    @cached_property
    def _outside(self) -> Mapping[str, int]:
        outside = self._judged.outside
        return {} if self._nobody or outside is None else _counted(outside)

    def _measured(self) -> Mapping[str, Cleanliness]:
        """How clean all leads are, by connection; nothing where no model asks for hygiene."""
        model = hygiene_of(self.segments)
        if model is None or model.hygiene is None:
            return {}
        return cleanliness(model.hygiene, self._known, self.at, self._past)

    def cleanliness(self, connection: str) -> Cleanliness | None:
        """How clean all leads of a connection are; None: not asked, or it has none."""
        return self._clean.get(connection)

    def resting(self, connection: str) -> int:
        """How many records that hygiene lets pass it was not to decide about."""
        found, over = self._clean.get(connection), self.passed_over(connection)
        if found is None or not over:
            return over
        decided = self.decisions.filter(_.connection == connection, _.stage.isin(HELD_OUT))
        return over - (found.held.total() - int(decided.count().to_pyarrow().as_py()))

    def passed_over(self, connection: str) -> int:
        """How many records it was not to decide about."""
        every, mine = self._counts
        return every.get(connection, 0) - mine.get(connection, 0)

    @cached_property
    def _counts(self) -> tuple[Mapping[str, int], Mapping[str, int]]:
        """How many records there are, and how many of them are to be decided about."""
        every = _counted(as_of(self._known.leads, self.at))
        return every, {} if self._nobody else _counted(as_of(self.facts.leads, self.at))

    def misread(self, connection: str) -> Iterator[str]:
        """What to warn of: predictions that are no number from 0 to 1, by field."""
        for segment in self.segments:
            if segment.model.probability:
                facts = self._judged.shares[segment.model.label]
                said = probabilities(segment.model.probability, facts, self.at)
                wrong = said.filter(said.misread, said.connection == connection)
                ids = wrong.lead_id.to_pyarrow().to_pylist()
                if ids:
                    named = ", ".join(sorted(ids)[:NAMED])
                    more = f" and {len(ids) - NAMED} more" if len(ids) > NAMED else ""
                    yield (
                        f"{connection}: custom.{segment.model.probability} is no number from 0 to "
                        f"1, so no probability is kept beside the score: {named}{more}. Mend it in "
                        "the CRM, or map another field"
                    )

    def hot(self, connection: str, stages: Collection[str]) -> list[dict[str, Any]]:
        """The leads of some stages, with all that routing looks at in the facts; who is held out of
        the score has none."""
        rows = self.decisions.filter(_.connection == connection, _.stage.isin(sorted(stages)))
        unscored = rows.stage.isin([*HELD_OUT, *WITHHELD])
        leads = rows.select(
            "lead_id", "object_type", "stage", "owner_id", "account_id", "account_owner", "domain",
            "territory", "champion", score=unscored.ifelse(ibis.null("int64"), rows.score),
        )  # fmt: skip
        did = self._of(connection, self.facts).semi_join(leads, "lead_id")
        latest = did.group_by("lead_id").aggregate(active_at=_.occurred_at.max())
        found = leads.left_join(latest, "lead_id").drop("lead_id_right").to_pyarrow()
        return [dict(row) for row in found.to_pylist()]

    def first_calls(
        self, connection: str, since: Mapping[str, datetime], types: Collection[str]
    ) -> list[tuple[str, datetime]]:
        """The activities of some types that leads had since an instant of each, at whatever record
        of the person: lead and when."""
        began = pa.table({"lead_id": list(since), "since": list(since.values())}, _BEGAN)
        named = [
            self._of(connection, facts).filter(_.type.isin(sorted(types))).select(*_DID).cast(_DID)
            for facts in (
                (self._known, self.facts) if self.facts.persons is not None else (self._known,)
            )
        ]
        did = ibis.union(*named).join(ibis.memtable(began), "lead_id")
        rows = did.filter(_.occurred_at >= _.since).select(*_DID).order_by("occurred_at")
        return [(row["lead_id"], row["occurred_at"]) for row in rows.to_pyarrow().to_pylist()]

    def open_leads(self, connection: str, stages: Collection[str]) -> dict[str, int]:
        """How many open leads each owner has, of those that the CRM shows in some stages."""
        leads = as_of(self._known.leads, self.at).filter(
            _.connection == connection,
            _.converted_at.isnull(),
            _.present.get(Output.STAGE.value).isin(sorted(stages)),
        )
        when = self.routing.open_leads if self.routing else None
        if when is not None:
            wide = known_columns(when.columns(), self._known, self.at, self._past)
            counted = wide.filter(when.holds(wide))
            leads = leads.semi_join(counted, ["connection", ("id", "lead_id")])
        owners = leads.select(owner=_.present.get(Output.OWNER.value).coalesce(_.owner_id))
        rows = owners.group_by("owner").aggregate(count=_.count()).to_pyarrow().to_pylist()
        return {row["owner"]: row["count"] for row in rows if row["owner"] is not None}

    def _of(self, connection: str, facts: Facts) -> Table:
        """The activities of a connection up to now."""
        known = until(facts.activities, self.at)
        return known.filter(known.connection == connection)

    def decided(
        self, connection: str, assignments: Mapping[str, Assignment]
    ) -> Iterator[list[Decided]]:
        """Every decision of a connection with its record, in batches, by object and id."""
        rows = self.decisions.filter(_.connection == connection).order_by("object_type", "lead_id")
        for batch in rows.to_pyarrow_batches(chunk_size=BATCH):
            yield [self._decided(row, assignments.get(row["lead_id"])) for row in batch.to_pylist()]

    def _decided(self, row: Mapping[str, Any], assignment: Assignment | None) -> Decided:
        decision = Decision(
            connection=row["connection"],
            lead_id=row["lead_id"],
            object_type=row["object_type"],
            score=row["score"],
            tier=row["tier"],
            stage=row["stage"],
            reason=row["reason"],
            model=row["model"],
            scored_at=self.at,
            owner_id=assignment.owner_id if assignment else None,
            owner_reason=assignment.reason if assignment else "",
            area=row["area"],
            buyer_stage=row["buyer_stage"],
            probability=exact(row["probability"]),
            fit=row["fit"],
            behaviour=row["behaviour"],
        )
        return Decided(
            decision,
            {Output(k): v for k, v in row["present"] or ()},
            row["modified_at"],
            row["account_id"] or "",
        )


def _joined(table: Table, found: Table) -> Table:
    return table.left_join(found, KEY).drop("connection_right", "lead_id_right")


def _counted(records: Table) -> dict[str, int]:
    """How many records each connection has."""
    counted = records.connection.value_counts(name="count").to_pyarrow()
    return dict(zip(counted["connection"].to_pylist(), counted["count"].to_pylist(), strict=True))
