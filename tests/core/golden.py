"""Facts for the scoring tests: rows of the common model in a DuckDB of their own."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from importlib import resources
from typing import Any, TypeVar

import duckdb
import ibis
import pyarrow as pa
import yaml
from ibis.expr.operations import InMemoryTable, Node
from ibis.expr.types import Table

from core.explain import reasons
from core.facts import ACCOUNTS, ACTIVITIES, ALIASES, LEADS, FactsTable
from core.known import Facts
from core.model import Account, Activity, Lead, Row
from core.past import Past
from core.qualification import qualify
from core.rules import Model, parse
from core.scoring import Scored, score
from core.segments import Segment, Segments
from core.verdict import Judged, judge

T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)
"""When the golden leads did everything they did."""

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def weighted(**changes: Any) -> Model:
    """The default preset, some of its keys replaced."""
    text = resources.files("core.presets").joinpath("weighted.yaml").read_text()
    return parse({**yaml.safe_load(text), **changes})


def lead(id: str, **fields: Any) -> Lead:
    """A Salesforce lead with an e-mail address, unless told otherwise."""
    base = {"object_type": "Lead", "modified_at": T0, "email": f"{id}@x.example"}
    return Lead(id=id, **{**base, **fields})


def account(id: str, **fields: Any) -> Account:
    """An account."""
    return Account(id=id, object_type="Account", modified_at=T0, **fields)


def activity(id: str, lead_id: str, type: str, at: datetime = T0, **fields: Any) -> Activity:
    """Something the lead did."""
    return Activity(
        id=id,
        object_type=fields.pop("object_type", "Task"),
        lead_id=lead_id,
        type=type,
        occurred_at=at,
        modified_at=at,
        **fields,
    )


T = TypeVar("T")
Asked = TypeVar("Asked")

FACTS = Facts(
    leads=ibis.table(LEADS.schema, "leads"),
    accounts=ibis.table(ACCOUNTS.schema, "accounts"),
    activities=ibis.table(ACTIVITIES.schema, "activities"),
    aliases=ibis.table(ALIASES, "aliases"),
)
"""The facts of no world in particular: an expression over them can be put to each."""


Elsewhere = tuple[str, Row]
"""A row of another connection than `crm`."""


class World:
    """Facts in a DuckDB in memory, and what a model says of them.

    To build and to compile an expression takes far longer than to run it on a few rows. Worlds
    differ in their rows alone, so it is done once for all worlds that are asked the same.
    """

    def __init__(
        self,
        leads: Iterable[Lead | Elsewhere],
        activities: Iterable[Activity | Elsewhere] = (),
        accounts: Iterable[Account | Elsewhere] = (),
        aliases: Iterable[tuple[str, str, str]] = (),
    ) -> None:
        self.facts = FACTS
        self.connection = duckdb.connect()
        self.connection.execute("SET TimeZone = 'UTC'")
        for table, rows in ((LEADS, leads), (ACCOUNTS, accounts), (ACTIVITIES, activities)):
            self.connection.register(table.name, _content(table, rows))
        keys = ("connection", "table_name", "id", "survivor")
        merged = [dict(zip(keys, ("crm", *alias), strict=True)) for alias in aliases]
        self.connection.register("aliases", pa.Table.from_pylist(merged, ALIASES.to_pyarrow()))

    def asked(
        self, build: Callable[[Asked, Facts, datetime], T], model: Asked, at: datetime = T0
    ) -> T:
        """What a function of `core` makes of a model, a section or several, and these facts."""
        made: T = _built(build, _Said(repr(model), model), at)
        return made

    def scored(self, model: Model, at: datetime = T0) -> Scored:
        """The expressions of `model` over these facts."""
        return self.asked(score, model, at)

    def judged(self, *segments: Segment, at: datetime = T0, past: Past | None = None) -> Judged:
        """What some models make of every lead, each of its own."""
        # Of a past its rows are all it says: no other than the same one is taken for it.
        said = _Said(f"{segments!r} {id(past)}", (segments, past))
        made: Judged = _built(_judged, said, at)
        return made

    def rows(self, expression: Table) -> list[dict[str, Any]]:
        """An expression's rows."""
        operation = expression.op()
        for table in operation.find(InMemoryTable):
            self.connection.register(table.name, table.data.to_pyarrow(table.schema))
        found = self.connection.sql(_query(operation)).to_arrow_table()
        return list(found.cast(expression.schema().to_pyarrow()).to_pylist())

    def verdicts(self, model: Model, at: datetime = T0) -> list[dict[str, Any]]:
        """The verdict on every lead."""
        return self.rows(self.asked(_qualified, model, at))

    def reasons(self, model: Model, at: datetime = T0) -> dict[str, str]:
        """The reason of every lead's score, by lead."""
        rows = self.rows(self.asked(_explained, model, at))
        return {row["lead_id"]: row["reason"] for row in rows}

    def scores(self, model: Model, at: datetime = T0) -> dict[str, int]:
        """Score of every lead in units, by lead."""
        return {r["lead_id"]: r["score"] for r in self.rows(self.scored(model, at).scores)}

    def contributions(self, model: Model, at: datetime = T0) -> Mapping[tuple[str, str], Any]:
        """Contributions by (lead, rule)."""
        found = self.rows(self.scored(model, at).contributions)
        return {(r["lead_id"], r["rule"]): r for r in found}


@dataclass(frozen=True)
class _Said:
    """A model as what can be looked up: equal where it says the same."""

    said: str
    model: Any = field(compare=False)


@lru_cache(maxsize=64)
def _built(build: Callable[[Any, Facts, datetime], T], said: _Said, at: datetime) -> T:
    return build(said.model, FACTS, at)


def _judged(said: tuple[Segments, Past | None], facts: Facts, at: datetime) -> Judged:
    segments, past = said
    return judge(segments, facts, at, past)


def _qualified(model: Model, facts: Facts, at: datetime) -> Table:
    return qualify(model, score(model, facts, at).scores, facts, at)


def _explained(model: Model, facts: Facts, at: datetime) -> Table:
    return reasons(score(model, facts, at))


@lru_cache(maxsize=64)
def _query(operation: Node) -> str:
    return str(ibis.duckdb.compile(operation.to_expr()))


def _content(table: FactsTable, rows: Iterable[Row | Elsewhere]) -> pa.Table:
    dates = {"valid_from": LONG_AGO, "valid_to": None} if table.versioned else {}
    placed = [row if isinstance(row, tuple) else ("crm", row) for row in rows]
    content = [{"connection": name, **row.model_dump(), **dates} for name, row in placed]
    for row in content:
        row["custom"] = list(row["custom"].items()) if row["custom"] else None
        if row.get("present"):
            row["present"] = list(row["present"].items())
    return pa.Table.from_pylist(content, table.schema.to_pyarrow())


CTO = {"title": "CTO", "seniority": "executive", "industry": "technology", "country": "US"}
GOLDEN_LEADS = (
    lead("cto", region="north_america", **CTO),
    lead("manager", seniority="manager", industry="healthcare", country="DE", region="europe"),
)
GOLDEN_ACTIVITIES = (
    activity("a1", "cto", "page_view", asset="/pricing"),
    activity("a2", "cto", "download", asset="Product datasheet"),
    activity("a3", "cto", "webinar_attended", object_type="CampaignMember"),
    activity("a4", "cto", "email_open"),
    activity("a5", "cto", "email_click"),
    activity("a6", "cto", "download", asset="White paper", channel="email"),
    *(activity(f"b{n}", "manager", "page_view", asset=f"/blog/{n}") for n in range(5)),
)
"""Golden leads 1 and 2 of the worked example (S155, S156)."""


def golden() -> World:
    """The golden leads and what they did."""
    return World(GOLDEN_LEADS, GOLDEN_ACTIVITIES)
