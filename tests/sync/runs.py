"""Runs over a facts store, each held to what deciding about everybody gives."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

from ibis.expr.types import Table

from connectors.base import Capabilities, Change, Connector, Page, Status, WriteResult
from core.decision import OPTIONAL, Output
from core.past import Past
from core.roster import Roster
from core.rules import Model
from core.segments import Segment, Segments
from sync.config import Config
from sync.decide import Decided, Decider, past_of
from sync.facts_store import FactsStore
from sync.kin import People
from sync.ledger import Ledger
from sync.plan import ConnectionPlan
from sync.roster import colleagues, find
from sync.route import Round, assign, record, start_timers
from sync.selection import chosen, select
from sync.session import Session
from sync.write import written_table
from tests.sync.test_facts_store import T0

CAPABILITIES = Capabilities(
    objects=("Lead", "Contact"), write_batch=200, read_back_batch=200, lookback=timedelta(days=1)
)
FILES = {"kind": "files", "folder": ".", "leads": "leads.csv"}

Lead = tuple[str, str]
Standing = tuple[Any, ...]


@dataclass
class Runs:
    """Runs over the connections of a configuration, one after the other; `stands` is what they came
    to so far. With `writes` a run that is complete writes the owners that it gives. The segments
    `ahead` come before the model."""

    config: Config
    model: Model
    store: FactsStore
    ledger: Ledger
    writes: bool = False
    ahead: Segments = ()
    now: datetime = T0
    count: int = 0
    stands: dict[Lead, Standing] = field(default_factory=dict)

    @property
    def segments(self) -> Segments:
        """The model, for whom those ahead leave."""
        return (*self.ahead, Segment(self.model))

    def put(self, page: Page, name: str = "crm") -> None:
        """Store a page of a connection as of now."""
        self.store.store(name, page, at=self.now)

    def run(self, *, only: str | None = None, complete: bool = True) -> int | None:
        """Decide about what can have changed, in all connections or one; about how many leads.
        None: all. Not complete: it is killed before the last connection was written."""
        self.count += 1
        names = [only] if only else list(self.config.connections)
        connectors = cast("dict[str, Connector]", dict.fromkeys(names))
        config, run_id = self.config, f"run-{self.count}"
        session = Session(
            config, self.segments, self.store, self.ledger, connectors, lambda: self.now
        )
        self.ledger.start(run_id, "test", model=self.model.label, at=self.now)
        routing = config.routing
        rosters = {
            name: find(routing, self.store, name, CAPABILITIES).roster if routing else None
            for name in names
        }
        past = past_of(self.ledger, routing, self.now, self.segments)
        selections = [
            select(
                session, ConnectionPlan(name, CAPABILITIES, {}, {}), rosters[name], self.now, past,
                run_id=run_id, full=False,
            )
            for name in names
        ]  # fmt: skip
        with chosen(self.store, selections, self.now, self.segments, config.identity) as leads:
            mine, rounds, beside = self._decided(rosters, leads, past)
            asked = None if leads is None else set(_named(leads))
        every, _rounds, _beside = self._decided(rosters, None, past)
        expected = {lead: _standing(one) for lead, one in every.items()}
        found = {lead: _standing(one) for lead, one in mine.items()}
        for lead in expected:
            self.stands[lead] = found.get(lead, self.stands.get(lead, ()))
        assert {lead: self.stands[lead] for lead in expected} == expected
        for lead in self.stands.keys() - expected.keys():
            assert only or asked is None or lead in asked, f"{lead} lost its score unnoticed"
            del self.stands[lead]
        for name in names:
            made = [one.decision for lead, one in mine.items() if lead[0] == name]
            self.ledger.decide(run_id, made, kin=beside[name])
        for selection in selections if complete else selections[:-1]:
            self._finish(run_id, selection.connection, rounds[selection.connection])
            self.store.touched.advance(selection.connection, selection.mark, ())
        return None if leads is None else len(mine)

    def _decided(
        self, rosters: Mapping[str, Roster | None], leads: Table | None, past: Past | None
    ) -> tuple[dict[Lead, Decided], dict[str, Round], dict[str, Any]]:
        """What is decided about each lead, who is given what, and who is one person."""
        config = self.config
        with Decider(
            self.segments, config.routing, self.store, self.now, past, leads=leads,
            optional=OPTIONAL, identity=config.identity,
        ) as decider:  # fmt: skip
            people = People(decider, config)
            known = colleagues(config.routing, self.store) if config.routing else {}
            rounds = assign(decider, rosters, self.ledger, people, known)
            decided = [
                one
                for name in config.connections
                for batch in decider.decided(
                    name, rounds[name].assignments if name in rounds else {}
                )
                for one in batch
            ]
            beside = {name: people.beside(name) for name in config.connections}
        return {(o.decision.connection, o.decision.lead_id): o for o in decided}, rounds, beside

    def _finish(self, run_id: str, name: str, made: Round) -> None:
        record(made, run_id, name, self.ledger, at=self.now, now=self.now)
        start_timers(made, run_id, name, self.ledger, self.now)
        if not self.writes:
            return
        given = [a for a in made.assignments.values() if a.owner_id is not None]
        results = [
            WriteResult(Change("Lead", a.lead_id, {Output.OWNER: a.owner_id}), Status.WRITTEN)
            for a in given
        ]
        self.store.settle(name, written_table(results))
        self.ledger.settle(run_id, name, results, at=self.now)


def _standing(one: Decided) -> Standing:
    """What a decision comes to, and who then has the lead."""
    d = one.decision
    owner = d.owner_id or one.present.get(Output.OWNER)
    return d.score, d.tier, d.stage, d.reason, d.model, owner, d.area, d.buyer_stage


def _named(leads: Table) -> list[Lead]:
    """The leads of a table that names some."""
    return [(row["connection"], row["lead_id"]) for row in leads.to_pyarrow().to_pylist()]
