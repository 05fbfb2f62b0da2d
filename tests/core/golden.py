"""Facts for the scoring tests: rows of the common model in an engine, a DuckDB of their own."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from importlib import resources
from typing import Any, ClassVar

import pyarrow as pa
import yaml
from ibis.expr.types import Table

from core.facts import ACCOUNTS, ACTIVITIES, ALIASES, LEADS, FactsTable
from core.model import Account, Activity, Lead, Row
from core.rules import Model, parse
from core.scoring import Facts, Scored, score
from tests.core.engines import DuckDB, Engine

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


class World:
    """Facts in an engine, and what a model says of them."""

    connect: ClassVar[Callable[[], Engine]] = DuckDB
    """Where a new world lives; the fixture `engine` says otherwise."""

    def __init__(
        self,
        leads: Iterable[Lead],
        activities: Iterable[Activity] = (),
        accounts: Iterable[Account] = (),
        aliases: Iterable[tuple[str, str, str]] = (),
    ) -> None:
        self._engine = World.connect()
        keys = ("connection", "table_name", "id", "survivor")
        merged = [dict(zip(keys, ("crm", *alias), strict=True)) for alias in aliases]
        self.facts = Facts(
            leads=self._table(LEADS, leads),
            accounts=self._table(ACCOUNTS, accounts),
            activities=self._table(ACTIVITIES, activities),
            aliases=self._engine.table(
                "aliases", pa.Table.from_pylist(merged, ALIASES.to_pyarrow())
            ),
        )

    def _table(self, table: FactsTable, rows: Iterable[Row]) -> Table:
        extra = {"connection": "crm"}
        dates = {"valid_from": LONG_AGO, "valid_to": None} if table.versioned else {}
        content = [{**extra, **row.model_dump(), **dates} for row in rows]
        for row in content:
            row["custom"] = list(row["custom"].items()) if row["custom"] else None
            if row.get("present"):
                row["present"] = list(row["present"].items())
        arrow = pa.Table.from_pylist(content, table.schema.to_pyarrow())
        return self._engine.table(table.name, arrow)

    def scored(self, model: Model, at: datetime = T0) -> Scored:
        """The expressions of `model` over these facts."""
        return score(model, self.facts, at)

    def rows(self, expression: Table) -> list[dict[str, Any]]:
        """An expression's rows."""
        return self._engine.rows(expression)

    def scores(self, model: Model, at: datetime = T0) -> dict[str, int]:
        """Score of every lead in units, by lead."""
        return {r["lead_id"]: r["score"] for r in self.rows(self.scored(model, at).scores)}

    def contributions(self, model: Model, at: datetime = T0) -> Mapping[tuple[str, str], Any]:
        """Contributions by (lead, rule)."""
        found = self.rows(self.scored(model, at).contributions)
        return {(r["lead_id"], r["rule"]): r for r in found}


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
