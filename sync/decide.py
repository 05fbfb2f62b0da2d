"""Decide: score, qualify and route everything the facts hold, as of one instant."""

from collections.abc import Collection, Iterator, Mapping, Set
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self

import ibis
from ibis import _
from ibis.expr.types import Table

from core.affected import AFFECTED, only
from core.cleaning import hygiene_of
from core.decision import OPTIONAL, Decision, Output
from core.diff import Values
from core.duplicates import with_duplicates
from core.facts import ACCOUNTS, LEADS, as_of
from core.past import PREFIX, Past
from core.profile import areas, stages
from core.routing import Assignment, Candidate, Roster, route
from core.scoring import Facts, belonging, companies, lead_columns, union
from core.segments import Segments, scoring_accounts, shares
from core.stages import HELD_OUT
from core.verdict import KEY, judge
from sync.config import Routing
from sync.facts_store import FactsStore
from sync.hygiene import Cleanliness, cleanliness
from sync.ledger import Ledger

BATCH = 10_000
"""Leads that are in memory at a time."""


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
    placing = [territory.when for territory in (routing.territories if routing else ())]
    placing += [segment.when for segment in segments if segment.when is not None]
    asks = any(name.startswith(PREFIX) for when in placing for name in when.columns())
    asks = asks or any(segment.model.recalls for segment in segments)
    past = ledger.past.before(at, leads, stages=asks)
    return past if asks or past.overrides is not None else None


def about(facts: Facts, leads: Collection[str], accounts: Collection[str] = ()) -> Facts:
    """The facts that the scores of some leads and accounts rest on, merged records included.

    All accounts are among them: whether a domain is that of one alone hangs on every other.
    """
    named = {LEADS.name: set(leads), ACCOUNTS.name: set(accounts)}
    for table, ids in named.items():
        merged = facts.aliases.filter(_.table_name == table, _.survivor.isin(sorted(ids)))
        ids.update(merged.id.to_pyarrow().to_pylist())
    people, firms = (sorted(ids) for ids in named.values())
    return Facts(
        facts.leads.filter(_.id.isin(sorted(leads))),
        facts.accounts,
        facts.activities.filter(
            _.lead_id.isin(people) | ((_.lead_id == "") & _.account_id.isin(firms))
        ),
        facts.aliases.filter((_.table_name == ACCOUNTS.name) | _.survivor.isin(sorted(leads))),
    )


def twins(facts: Facts, leads: Collection[str], at: datetime) -> set[str]:
    """The ids of leads, and of those that share an address with one of them as of `at`."""
    named = facts.leads.filter(_.id.isin(sorted(leads)))
    asked = named.select("connection", lead_id="id").distinct().cast(AFFECTED)
    return set(with_duplicates(asked, facts, at).lead_id.to_pyarrow().to_pylist())


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

    Given some `leads` (as `core.affected` names them), it decides about no others.
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
    ) -> None:
        self.segments = segments
        self.at = at
        self._past = past
        self._known = facts_of(store, at)
        self._kept = ExitStack()
        self._facts = self._known if leads is None else self._apart(only(self._known, leads))
        self._judged = judge(segments, self._facts, at, past)
        self._clean = self._measured()
        self.contributions = self._judged.contributions
        decisions = self._profiled(self._decisions(routing), optional)
        self.decisions = self._kept.enter_context(decisions.cache())
        self._rejected = _counted(self._judged.rejected)
        outside = self._judged.outside
        self._outside = _counted(outside) if outside is not None else {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Give the memory back; the decisions are not read afterwards."""
        self._kept.close()

    def _apart(self, facts: Facts) -> Facts:
        """The facts of a few leads in tables of their own: scoring reads them more than once."""
        leads, activities = (
            self._kept.enter_context(table.cache()) for table in (facts.leads, facts.activities)
        )
        return replace(facts, leads=leads, activities=activities)

    def _decisions(self, routing: Routing | None) -> Table:
        """One row for each lead: what was decided, and what routing and the diff ask for."""
        leads = belonging(self._facts, self.at)
        accounts = companies(scoring_accounts(self.segments), self._facts, self.at)
        owners = accounts.select("connection", account_id="id", account_owner="owner_id")
        records = leads.select(
            "connection", "object_type", "modified_at", "account_id", "present",
            lead_id="id",
            # What we wrote last is in `present` at once, in `owner_id` after the next pull.
            owner_id=_.present.get(Output.OWNER.value).coalesce(_.owner_id),
        )  # fmt: skip
        table = records.inner_join(self._judged.verdicts, KEY)
        table = table.left_join(owners, ["connection", "account_id"])
        table = table.drop(*(name for name in table.columns if name.endswith("_right")))
        if routing is None or not routing.territories:
            return table.mutate(territory=ibis.null("string"))
        return table.left_join(
            _territories(routing, leads, accounts, self.at, self._past), KEY, rname="{name}_right"
        ).drop("connection_right", "lead_id_right")

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
                table = _joined(table, union(tables))
                del missing[output]
        return table.mutate(**missing)

    def rejected(self, connection: str) -> int:
        """How many records are not leads: neither contact data nor any activity."""
        return self._rejected.get(connection, 0)

    def outside(self, connection: str) -> int:
        """How many leads no model is for."""
        return self._outside.get(connection, 0)

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
        every, mine = (
            as_of(facts.leads, self.at).filter(_.connection == connection).count()
            for facts in (self._known, self._facts)
        )
        return int(every.to_pyarrow().as_py()) - int(mine.to_pyarrow().as_py())

    def candidates(
        self, connection: str, stages: frozenset[str], ledger: Ledger
    ) -> list[Candidate]:
        """The leads of the stages that get owners, with all that routing looks at."""
        rows = self.decisions.filter(_.connection == connection, _.stage.isin(sorted(stages)))
        hot = rows.select(
            "lead_id", "object_type", "score", "stage", "owner_id", "account_owner", "territory"
        )
        listed = hot.to_pyarrow().to_pylist()
        assigned = ledger.assigned(connection)
        written = ledger.last_written(connection, [row["lead_id"] for row in listed])
        return [
            Candidate(
                lead_id=row["lead_id"],
                object_type=row["object_type"],
                score=row["score"],
                stage=row["stage"],
                present_owner=row["owner_id"],
                written_owner=written.get(row["lead_id"], {}).get(Output.OWNER),
                assigned_owner=assigned.get(row["lead_id"]),
                account_owner=row["account_owner"],
                territory=row["territory"],
            )
            for row in listed
        ]

    def decided(
        self, connection: str, assignments: Mapping[str, Assignment]
    ) -> Iterator[list[Decided]]:
        """Every decision of a connection with its record, in batches, in order of id."""
        rows = self.decisions.filter(_.connection == connection).order_by("lead_id")
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


def _territories(
    routing: Routing, leads: Table, accounts: Table, at: datetime, past: Past | None
) -> Table:
    """For each lead the name of the first territory whose condition holds."""
    wanted = frozenset[str]().union(*(t.when.columns() for t in routing.territories))
    facts = lead_columns(wanted, leads, accounts, at, past)
    name = ibis.cases(*((t.when.holds(facts), t.name) for t in routing.territories))
    return facts.select("connection", "lead_id", territory=name)


def assign(
    decider: Decider, connection: str, roster: Roster | None, ledger: Ledger
) -> dict[str, Assignment]:
    """Who gets the hot leads of a connection, by lead id."""
    if roster is None:
        return {}
    candidates = decider.candidates(connection, roster.stages, ledger)
    routed = route(candidates, roster, ledger.assigned_counts(connection))
    return {assignment.lead_id: assignment for assignment in routed}
