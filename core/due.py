"""What the passing of time alone can change between two instants: whose decisions are due.

Each way in which time works on a decision is one function here: a record that is known only from
some instant on, an event that comes, one that is left out or loses points as it ages, a field
that is compared with the present, an acceptance that takes effect. Each finds the records for
which the two instants differ. More than necessary may be found, nothing may be missed: a model
that uses a word of the language which is not listed here is not `foreseen`, and is to be scored
whole. What a model does not use costs nothing.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import reduce
from operator import or_

import ibis
from ibis.expr.types import BooleanValue, Table, Value
from pydantic import BaseModel

from core.affected import CHANGED
from core.ageing import due as ageing_due
from core.cleaning import clean
from core.cleaning import due as stale_due
from core.conditions import ActivityCondition, Condition, Fields, LeadCondition
from core.decay import DAY, Gradual, Step
from core.earning import BehaviourRule
from core.events import column, seconds_old
from core.facts import ACCOUNTS, LEADS, TIME, as_of
from core.hygiene import Hygiene
from core.known import Facts, known_columns
from core.operators import NOW, Test
from core.past import Past, asks
from core.past import due as past_due
from core.rules import Model
from core.scoring import versions

_FORESEEN: Mapping[str, str] = {
    "Model": "name fit behaviour measures decays groups limits gates disqualify ignore reset "
    "weights ageing thresholds cool_down sql stages checklists probability icp sizes scale matrix "
    "tiers interest journey roles accounts hygiene consent",
    "FitRule": "id points when class_",
    "BestOf": "best_of",
    "BehaviourRule": "id points when count at silent within cap decay group proximity flag",
    "Measure": "id count share of silence duration within steps every points cap",
    "Per": "per",
    "Run": "nth within",
    "Ignored": "id when",
    "Reset": "id when",
    "AgeingRule": "id points when after every cap",
    "Keep": "mql sql",
    "Icp": "company persona",
    "Interest": "areas",
    "Content": "when evidence within",
    "Roles": "explicit infer",
    "Role": "when did confidence",
    "AccountScoring": "fit rollup committee targets anonymous networks top",
    "AccountRule": "id points when",
    "RollUp": "method top of",
    "Committee": "roles points",
    "Anonymous": "when",
    "Targets": "domains",
    "Networks": "address at_least known file",
    "Link": "network account confidence",
    "Consent": "behaviour scoring withdrawn gate",
    "PastFields": "stage mqls",
    "StageTest": "equals known",
    "Group": "cap per",
    "Weights": "fit behaviour",
    "Thresholds": "mql sql keep",
    "Sql": "mode",
    "Stages": "iql pql fast_lane",
    "Step": "after factor minus unless_engaged repeat",
    "Linear": "over",
    "HalfLife": "half_life",
    "Limits": "fit behaviour",
    "Limit": "cap floor",
    "BehaviourLimit": "cap floor nightly_floor until",
    "Gates": "criteria at_least worth",
    "Criterion": "id when",
    "Hygiene": "hold ignore names emails internal competitors stale complete usual",
    "Names": "junk real",
    "Emails": "disposable role trusted",
    "Stale": "field after",
    "Complete": "fields at_least",
    "Usual": "at_least at_most",
    "Scale": "top",
    "Matrix": "fit behaviour stage",
    "TextTest": "equals contains starts_with in_network known",
    "NumberTest": "equals at_least above at_most below known",
    "FlagTest": "equals known",
    "TimeTest": "since before at_least_ago at_most_ago within_next known",
    "ListTest": "contains known",
}
"""The words of the language whose dependence on time is known, by type. In a condition it is any
field: what counts is the test that is put to it."""

_NESTED = ("all_", "any_", "not_", "account", "custom", "origins", "past")
"""What holds further conditions within a condition."""


@dataclass(frozen=True)
class Span:
    """From one instant (exclusive) to a later one (inclusive); both aware, in whole seconds."""

    since: datetime
    at: datetime

    def holds(self, instant: Value) -> BooleanValue:
        """Whether an instant lies in it."""
        return (instant > _instant(self.since)) & (instant <= _instant(self.at))


def foreseen(*parts: BaseModel) -> bool:
    """Whether this module knows all that time does to these parts of a model."""
    return all(_known(part, word) for whole in parts for part, word in _said(whole))


def _known(part: BaseModel, word: str) -> bool:
    if isinstance(part, Fields):
        return word in _NESTED or isinstance(getattr(part, word), Test)
    return word in _FORESEEN.get(type(part).__name__, "").split()


def _said(part: BaseModel) -> Iterator[tuple[BaseModel, str]]:
    """Every part within a part, with every word that is said there."""
    for word in part.model_fields_set:
        yield part, word
        value = getattr(part, word)
        for inner in value.values() if isinstance(value, dict) else _listed(value):
            for one in _listed(inner):
                if isinstance(one, BaseModel):
                    yield from _said(one)


def _listed(value: object) -> Sequence[object]:
    return value if isinstance(value, tuple) else (value,)


def due(
    model: Model,
    facts: Facts,
    span: Span,
    placed: Sequence[LeadCondition] = (),
    past: Past | None = None,
    hygiene: Hygiene | None = None,
) -> Table:
    """The records that time gives another meaning, each once: columns of `core.affected.CHANGED`.

    `facts` are the stored ones in all versions, aliases and activities too. `placed` are further
    conditions on leads that decisions rest on, such as those of territories; `past` is what was
    decided before the end of the span; `hygiene` is what speaks for all leads, whichever model
    says it.
    """
    parts = [*_known_later(facts, span), _came(facts, span)]
    parts += _aged(model, facts, span)
    parts += _compared_events(model, facts, span)
    conditions = [*_lead_conditions(model), *placed]
    parts += _compared_leads(model, conditions, facts, span, past)
    if model.ageing:
        known = replace(facts, aliases=as_of(facts.aliases, span.at))
        if hygiene and any(rule.lasts for rule in model.ageing):
            # Who stands for a duplicate has its times in a stage.
            known = clean(hygiene, known, span.at, past).facts
        held = versions(model, known, span.at, past)
        ended = ageing_due(model.ageing, held, known.aliases, span.since, span.at, past)
        parts.append(_records(ended, LEADS.name, "lead_id"))
    if model.hygiene and model.hygiene.stale:
        aged = stale_due(model.hygiene.stale, facts, span.since, span.at)
        parts.append(_records(aged, LEADS.name, "lead_id"))
    if past:
        asked = asks(conditions)
        moved = past_due(past.stages, model.cool_down, span.since, span.at, asked=asked)
        parts += [_records(leads, LEADS.name, "lead_id") for leads in moved]
    if model.sql.mode == "vetted":
        parts.append(_accepted(facts, span))
    return ibis.union(*parts, distinct=True)


def _known_later(facts: Facts, span: Span) -> Iterator[Table]:
    """Records of which a version begins or ends: stamps may lie ahead of the clock."""
    bearers = (
        (facts.leads, LEADS.name, "id"),
        (facts.accounts, ACCOUNTS.name, "id"),
        (facts.activities, LEADS.name, "lead_id"),
        (facts.aliases, None, "id"),
        (facts.aliases, None, "survivor"),
    )
    for table, bearer, named in bearers:
        moved = table.filter(span.holds(table.valid_from) | span.holds(table.valid_to))
        yield _records(moved, bearer, named)


def _records(rows: Table, bearer: str | None, column: str) -> Table:
    """Whom rows count for; without a bearer, the rows name the table themselves."""
    named = rows.table_name if bearer is None else ibis.literal(bearer)
    return rows.select("connection", table_name=named, id=column).cast(CHANGED)


def _came(facts: Facts, span: Span) -> Table:
    """Leads of events that were still to come."""
    events = as_of(facts.activities, span.at)
    return _records(events.filter(span.holds(events.occurred_at)), LEADS.name, "lead_id")


def _aged(model: Model, facts: Facts, span: Span) -> Iterator[Table]:
    """Leads of events that a rule stops counting, or that are worth less to it."""
    ages: dict[_Age, list[ActivityCondition]] = defaultdict(list)
    for age, condition in _ages(model):
        ages[age].append(condition)
    if ages:
        events = as_of(facts.activities, span.at)
        wide = _wide(events, [when for asked in ages.values() for when in asked], span.at)
        reached = (
            age.reached(wide.occurred_at, span) & _any(when.holds(wide) for when in asked)
            for age, asked in ages.items()
        )
        yield _records(wide.filter(_any(reached)), LEADS.name, "lead_id")


@dataclass(frozen=True)
class _Age:
    """An age that changes an event: once it is older than `over`; or at every `turn` of its decay,
    or of its silence, until it is older than `over`."""

    over: timedelta
    turn: Gradual | Step | timedelta | None = None

    def reached(self, occurred_at: Value, span: Span) -> BooleanValue:
        """Whether the event's age changes it within the span."""
        oldest = span.since - self.over
        if self.turn is None:
            return (occurred_at >= _instant(oldest)) & (occurred_at < _instant(span.at - self.over))
        younger = occurred_at >= _instant(oldest + timedelta(seconds=1))
        before, after = (self._turns(occurred_at, moment) for moment in (span.since, span.at))
        return younger & (occurred_at <= _instant(span.since)) & (before != after)

    def _turns(self, occurred_at: Value, moment: datetime) -> Value:
        """How many turns an event has taken at an instant."""
        seconds = seconds_old(occurred_at, moment)
        if isinstance(self.turn, Gradual | Step):
            return self.turn.age(seconds)
        return seconds // int((self.turn or DAY).total_seconds())


def _ages(model: Model) -> Iterator[tuple[_Age, ActivityCondition]]:
    """The ages that change events, and which events they change."""
    for rule in model.behaviour:
        decay = model.decays[rule.decay] if rule.decay else None
        if rule.within:
            yield _Age(rule.within), rule.when
        if isinstance(decay, Gradual):
            yield _Age(_turns_of(model, rule, decay) * DAY, decay), rule.when
        elif decay and decay.repeat:
            last = _turns_of(model, rule, decay) * decay.after
            yield _Age(last + timedelta(seconds=1), decay), rule.when
        elif decay:
            yield _Age(decay.after), rule.when
        if rule.silent:
            yield _Age(EVER, rule.silent), rule.when
    for measure in model.measures:
        for condition in measure.conditions:
            if measure.within:
                yield _Age(measure.within), condition
            if measure.silence:
                yield _Age(EVER, DAY), condition
    for stage in model.journey.values():
        if stage.within:
            yield _Age(stage.within), stage.when


EVER = timedelta(days=365 * 200)
"""Older than any event: silence grows by a day for ever."""


def _turns_of(model: Model, rule: BehaviourRule, decay: Gradual | Step) -> int:
    """After how many turns nothing is left of an event."""
    return sum(1 for _ in decay.course(rule.points, model.grain))


def _compared_events(model: Model, facts: Facts, span: Span) -> Iterator[Table]:
    """Leads of events for which a condition that reads the present holds otherwise than before."""
    every = [rule.when for rule in model.behaviour]
    every += [rule.when for rule in model.ignore] + [rule.when for rule in model.reset]
    every += [stage.when for stage in model.journey.values()]
    every += [condition for measure in model.measures for condition in measure.conditions]
    if model.interest and model.interest.areas is not True:
        every += model.interest.areas.values()
    relative = [when for when in every if NOW in when.columns()]
    if relative:
        wide = _wide(as_of(facts.activities, span.at), relative, span.at)
        yield _records(_differing(wide, relative, span), LEADS.name, "lead_id")


def _lead_conditions(model: Model) -> list[LeadCondition]:
    """The conditions on leads that a decision rests on."""
    criteria = (*(model.gates.criteria if model.gates else ()), *model.disqualify, *model.sizes)
    asked = [rule.when for rule in model.fit_rules] + [rule.when for rule in model.ageing]
    agreed = (model.consent.behaviour, model.consent.scoring) if model.consent else ()
    return [*asked, *(rule.when for rule in criteria), *filter(None, agreed)]


def _compared_leads(
    model: Model,
    conditions: Iterable[LeadCondition],
    facts: Facts,
    span: Span,
    past: Past | None,
) -> Iterator[Table]:
    """Leads for which a condition that reads the present holds otherwise than before."""
    relative = [when for when in conditions if NOW in when.columns()]
    if relative:
        wanted = frozenset[str]().union(*(when.columns() for when in relative))
        # Aliases as of the end: those that begin in the span are due in any case.
        known = replace(facts, aliases=as_of(facts.aliases, span.at))
        wide = known_columns(wanted, known, span.at, past, model)
        yield _records(_differing(wide, relative, span), LEADS.name, "lead_id")


def _accepted(facts: Facts, span: Span) -> Table:
    """Leads whose acceptance by sales takes effect."""
    leads = as_of(facts.leads, span.at)
    return _records(leads.filter(span.holds(leads.accepted_at)), LEADS.name, "id")


def _differing(wide: Table, conditions: Sequence[Condition], span: Span) -> Table:
    """The rows for which some condition says something else at the end than at the beginning."""
    then = wide.mutate(**{NOW: _instant(span.since)})
    before = {f"before_{n}": when.holds(then) for n, when in enumerate(conditions)}
    now = then.mutate(**before).mutate(**{NOW: _instant(span.at)})
    pairs = zip(before, conditions, strict=True)
    return now.filter(_any(~now[name].identical_to(when.holds(now)) for name, when in pairs))


def _wide(events: Table, conditions: Iterable[ActivityCondition], at: datetime) -> Table:
    """Events with the columns that some conditions read."""
    timed = events.mutate(**{NOW: _instant(at)})
    names = frozenset[str]().union(*(when.columns() for when in conditions))
    columns = {name: column(timed, name) for name in sorted(names)}
    return timed.select("connection", "lead_id", **{"occurred_at": timed.occurred_at, **columns})


def _any(conditions: Iterable[BooleanValue]) -> BooleanValue:
    return reduce(or_, conditions)


def _instant(moment: datetime) -> Value:
    return ibis.literal(moment, type=TIME)
