"""Every point of leads as of an instant, and what else a rep asks about them."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any

from ibis import _
from ibis.expr.types import Table

from core.cleaning import findings, hygiene_of
from core.completeness import Completeness, completeness, fit_fields
from core.decision import Decision
from core.explain import Explanation, Known
from core.explain import explain as explain_lead
from core.facts import LEADS, as_of
from core.hygiene import Check, Found
from core.icp import Match
from core.known import FROM_ACCOUNT, Facts
from core.persons import shown_by
from core.prediction import exact, probabilities
from core.profile import channels, parts, profile
from core.provenance import changed_answers, sourced
from core.routing import KEPT
from core.rules import Model
from core.scoring import checklists, icp_fit, unknown
from core.stages import UNSCORED
from core.verdict import KEY
from sync.identity import known
from sync.neighbours import Neighbours
from sync.yaml_source import ConfigError

Key = tuple[str, str]
ByLead = Mapping[Key, list[dict[str, Any]]]


def explain(around: Neighbours, leads: Collection[str]) -> list[tuple[Decision, Explanation]]:
    """Every point of some leads of a neighbourhood, in each connection that has them, in the order
    of connection and id; nothing is routed.

    Raises ConfigError where no model is for any of them.
    """
    session, at, judged = around.session, around.at, around.judged
    models = {segment.model.label: segment.model for segment in session.segments}
    named, connections = set(leads), set(session.connectors)
    listed = [
        row
        for row in sorted(around.verdicts, key=itemgetter(*KEY))
        if row["lead_id"] in named and row["connection"] in connections
    ]
    contributions = _by_lead(judged.contributions)
    kinds = {(p["connection"], p["id"]): p["object_type"] for p in around.people}
    told = {
        label: _Told(models[label], around, leads)
        for label in sorted({row["model"] for row in listed})
    }
    found = []
    for row in listed:
        key = (row["connection"], row["lead_id"])
        decided = [d.decision for d in session.ledger.decisions(*key)]
        earlier = [decision for decision in decided if decision.scored_at <= at]
        reason = _owned(around, key, earlier[-1].owner_reason if earlier else "")
        decision = Decision(
            **{**row, "probability": exact(row["probability"])},
            object_type=kinds[key],
            scored_at=at,
            owner_reason=reason,
        )
        model, history = models[decision.model], session.ledger.past.history(*key, at)
        history = replace(
            history,
            answer=session.ledger.answers.of(*key, at),
            surge=session.ledger.surges.of(*key, at),
        )
        explained = told[decision.model].explained(key, row["score"], contributions, earlier)
        if decision.stage in UNSCORED:
            explained = replace(explained, next_stage=None, missing=None)
        found.append((decision, replace(explained, history=history.cooled(model.cool_down, at))))
    if not found and judged.outside is not None:
        outside = judged.outside.filter(_.lead_id.isin(sorted(leads)))
        if outside.count().to_pyarrow().as_py():
            listing = ", ".join(sorted(leads))
            raise ConfigError(
                [f"lead {listing}: no model is for it (`model` in the configuration)"]
            )
    return found


def _owned(around: Neighbours, key: Key, reason: str) -> str:
    """Why a lead has its owner; of one that was given it before, also why that was."""
    if reason != KEPT:
        return reason
    given = [g for g in around.session.ledger.routing.given(key[1]) if g.connection == key[0]]
    before = [g.reason for g in given if g.at <= around.at]
    return f"{KEPT}: {before[-1]}" if before else KEPT


class _Told:
    """What the facts say of some leads to one model, looked up lead by lead."""

    def __init__(self, model: Model, around: Neighbours, leads: Collection[str]) -> None:
        self._model = model
        at, past = around.at, around.past
        facts = around.judged.shares[model.label]
        self._missing = _by_lead(unknown(model, facts, at, past))
        self._checked = _by_lead(checklists(model, facts, at, past)) if model.checklists else {}
        field = model.probability
        self._predicted = _by_lead(probabilities(field, facts, at)) if field else {}
        counts = any(not rule.silent for rule in model.behaviour)
        self._channels = _by_lead(channels(model, facts, at)) if counts else {}
        self._profiles = {n: _by_lead(table) for n, table in parts(model, facts, at).items()}
        self._complete = _by_lead(completeness(model, facts, at)) if fit_fields(model) else {}
        self._ideal = _by_lead(icp_fit(model, facts, at, past)) if model.icp else {}
        self._shown_by, self._persons = _together(around, facts)
        self._found = _found(around)
        self._accounts = {(p["connection"], p["id"]): p["account_id"] for p in around.people}
        self._firms = {(firm["connection"], firm["id"]): firm for firm in around.firms}
        ids = set(leads)
        self._versions = _grouped(
            {"lead_id": row["id"], **row}
            for row in sorted(around.versions, key=itemgetter("valid_from"))
            if row["id"] in ids and row["valid_from"] <= at
        )
        seen = around.session.facts.table("seen").filter(_.table_name == LEADS.name)
        self._seen = _by_lead(seen.filter(_.id.isin(sorted(leads))).rename(lead_id="id"))

    def explained(
        self, key: Key, score: int, contributions: ByLead, earlier: Sequence[Decision]
    ) -> Explanation:
        """Everything about one lead; `earlier` is what was decided about it before."""
        shown = {name: part.get(key, []) for name, part in self._profiles.items()}
        misread = any(row["misread"] for row in self._predicted.get(key, ()))
        return explain_lead(
            self._model,
            score,
            contributions.get(key, ()),
            [row["rule"] for row in self._missing.get(key, ())],
            self._checked.get(key, ()),
            misread=f"custom.{self._model.probability}" if misread else None,
            profile=profile(shown) if shown else None,
            known=self._known(key, earlier),
            channels=self._channels.get(key, ()),
            shown_by=self._shown_by.get(key),
            origins=self._origins(key),
        )

    def _origins(self, key: Key) -> dict[str, str]:
        """Where the values of a lead's fields come from, and what it takes from its account."""
        lead, firm = self._versions[key][-1], self._firm(key)
        own = dict(lead["origins"] or ())
        theirs = dict(firm["origins"] or ()) if firm else {}
        taken = {n: o for n, o in theirs.items() if n in FROM_ACCOUNT and lead[n] is None}
        return {**{f"account.{n}": o for n, o in theirs.items()}, **taken, **own}

    def _firm(self, key: Key) -> Mapping[str, Any] | None:
        return self._firms.get((key[0], self._accounts[key] or ""))

    def _known(self, key: Key, earlier: Sequence[Decision]) -> Known:
        versions = self._versions[key]
        seen = next((row["since"] for row in self._seen.get(key, ())), None)
        firm = self._firm(key)
        of_account = sourced(firm["sources"], "account.") if firm else ()
        complete, ideal = self._complete.get(key), self._ideal.get(key)
        doubles = (
            id_
            for (connection, id_), found in self._found.items()
            if connection == key[0] and any(one.survivor == key[1] for one in found)
        )
        return Known(
            Completeness(complete[0]["known"], complete[0]["asked"]) if complete else None,
            Match(ideal[0]["company"]) if ideal else None,
            Match(ideal[0]["persona"]) if ideal else None,
            (*sourced(versions[-1]["sources"]), *of_account),
            changed_answers(versions, [(d.scored_at, d.stage) for d in earlier], seen),
            self._persons.get(key, ()),
            tuple(self._found.get(key, ())),
            tuple(sorted(doubles)),
        )


def _found(around: Neighbours) -> Mapping[Key, list[Found]]:
    """What hygiene found on leads, in the order of the checks; nothing where none asks for it."""
    found: defaultdict[Key, list[Found]] = defaultdict(list)
    model = hygiene_of(around.session.segments)
    if model and model.hygiene:
        table = findings(model.hygiene, around.facts, around.at, around.past)
        rows = table.to_pyarrow().to_pylist()
        for row in sorted(rows, key=lambda row: list(Check).index(row["check"])):
            key = row["connection"], row["lead_id"]
            found[key].append(model.hygiene.found(Check(row["check"]), row["survivor"]))
    return found


def _together(
    around: Neighbours, facts: Facts
) -> tuple[Mapping[Key, Mapping[str, str | None]], Mapping[Key, tuple[str, ...]]]:
    """What other connections know of some leads: which one shows an activity, by lead and id; and
    the other records of the same person."""
    shown: defaultdict[Key, dict[str, str | None]] = defaultdict(dict)
    identity = around.session.config.identity
    if identity is None or facts.persons is None:
        return shown, {}
    did = facts.activities.select(*KEY, "id", by=shown_by(facts.activities.object_type))
    # What the CRM itself shows comes last, and counts.
    for row in did.order_by(_.by.isnull()).to_pyarrow().to_pylist():
        shown[row["connection"], row["lead_id"]][row["id"]] = row["by"]
    leads = as_of(around.facts.leads, around.at)
    others = {
        (mine.connection, mine.lead_id): tuple(
            f"{other}, by {', '.join(person.by)}" for other in person.records if other != mine
        )
        for person in known(identity, leads, facts.persons)
        for mine in person.records
    }
    return shown, others


def _by_lead(table: Table) -> ByLead:
    """The rows of each lead, by connection and id, in the order of the table."""
    return _grouped(table.to_pyarrow().to_pylist())


def _grouped(rows: Iterable[dict[str, Any]]) -> ByLead:
    found: defaultdict[Key, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        found[row["connection"], row["lead_id"]].append(row)
    return found
