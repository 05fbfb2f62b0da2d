"""Cleaning: the facts that are left to be scored, and what was found on all others.

A finding is a lead and a check, and so its reason. What a person has released is not looked at;
what is held out comes back by itself once its record is mended.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import reduce
from operator import add

import ibis
import pyarrow as pa
from ibis import _
from ibis.expr.types import BooleanValue, Table

from core import junk
from core.contributions import NUMBERS
from core.decision import UNIT
from core.duplicates import duplicates, standing_for
from core.facts import TIME, as_of
from core.folding import folded
from core.hygiene import Check, Complete, Hygiene, Stale
from core.known import Facts, Keep, known_columns, unkept
from core.matching import domain, host
from core.past import Past
from core.points import units
from core.provenance import value_of
from core.rules import Model
from core.segments import Segments
from core.stages import Stage

KEY = ["connection", "lead_id"]
FOUND = ibis.schema({"connection": "string", "lead_id": "string", "check": "string"})
FINDINGS = ibis.schema({**FOUND, "survivor": "string"})
"""What names a finding; of a duplicate, with the record that stands for it."""
FIRM = frozenset({"company", "website", "account.name", "account.domain"})
"""What says for whom a lead works."""
HELD = ibis.schema({**FOUND, "stage": "string", "reason": "string"})


@dataclass(frozen=True)
class Cleaned:
    """What is left to be scored, and what is not.

    What a duplicate did is among `facts` as done by the record that stands for it. `held` has the
    columns of HELD: the leads that are held out, each with the first check that holds it.
    """

    facts: Facts
    held: Table


def hygiene_of(segments: Segments) -> Model | None:
    """The first model that asks for hygiene: it does so for all leads."""
    return next((s.model for s in segments if s.model.hygiene is not None), None)


def clean(
    hygiene: Hygiene, facts: Facts, at: datetime, past: Past | None = None, keep: Keep = unkept
) -> Cleaned:
    """Hold out what the facts as of `at` show to be unusable, and who stands twice."""
    people = _unreleased(as_of(facts.leads, at), past)
    found = _findings(hygiene, hygiene.holding, people, facts, at)
    held = keep(_unusable(first_holding(hygiene, found)))
    twins = duplicates(_without(people, held))
    if Check.DUPLICATE not in hygiene.holding:
        twins = twins.limit(0)
    twins = keep(twins)
    doubles = twins.select(
        *KEY,
        check=ibis.literal(Check.DUPLICATE.value),
        stage=ibis.literal(Stage.DUPLICATE.value),
        reason=ibis.literal("duplicate of ") + twins.survivor + f": {Check.DUPLICATE.reason}",
    )
    every = held.union(doubles.cast(HELD)).view()
    aliases = standing_for(facts.aliases, twins)
    return Cleaned(replace(facts, leads=_without(facts.leads, every), aliases=aliases), every)


def findings(hygiene: Hygiene, facts: Facts, at: datetime, past: Past | None = None) -> Table:
    """Everything that is found, whether it holds a lead out or not: the columns of FINDINGS.

    A lead that is held out for another reason is no duplicate, and has none.
    """
    people = _unreleased(as_of(facts.leads, at), past)
    found = _findings(hygiene, hygiene.made, people, facts, at).view()
    every = found.mutate(survivor=ibis.null("string"))
    if Check.DUPLICATE not in hygiene.made:
        return every
    held = found.filter(_.check.isin([check.value for check in hygiene.holding]))
    doubles = duplicates(_without(people, held)).mutate(check=ibis.literal(Check.DUPLICATE.value))
    return every.union(doubles.select(*FINDINGS).cast(FINDINGS))


def _without(leads: Table, found: Table) -> Table:
    return leads.anti_join(found, ["connection", ("id", "lead_id")])


def due(stale: Stale, facts: Facts, since: datetime, at: datetime) -> Table:
    """The leads whose verification became too old after `since`, at or before `at`: connection,
    lead_id."""
    people = as_of(facts.leads, at)
    began, ended = (_stale(stale, people, moment) for moment in (since, at))
    return people.filter(ended & ~began).select("connection", lead_id="id")


def _unreleased(people: Table, past: Past | None) -> Table:
    """Without those whose score or stage a person has set, or whom one has found usable; points
    that are added leave it to the checks."""
    if past is None or past.overrides is None:
        return people
    released = past.overrides.filter(_.points.isnull())
    return people.anti_join(released, ["connection", ("id", "lead_id")])


def _findings(
    hygiene: Hygiene, checks: Collection[Check], people: Table, facts: Facts, at: datetime
) -> Table:
    """What is found by those of some checks that look at one lead at a time."""
    own = {check: holds for check, holds in _own(hygiene, people, at) if check in checks}
    named = _by_domain(hygiene, checks, people)
    if hygiene.internal or hygiene.competitors:
        named = named.union(_by_company(hygiene, checks, people, facts, at), distinct=True)
    parts = [_marked(people, own), named]
    if hygiene.complete and Check.INCOMPLETE in checks:
        parts.append(_incomplete(hygiene.complete, people, facts, at))
    if Check.CONFLICT in checks:
        parts.append(_conflicting(people))
    return ibis.union(*parts)


def _own(hygiene: Hygiene, people: Table, at: datetime) -> Iterator[tuple[Check, BooleanValue]]:
    """The checks that are a condition on a lead's own columns. Unknown finds nothing."""
    email, lists = people.email, hygiene.emails
    trusted = email.isin(lists.trusted) | domain(email).isin(lists.trusted)
    name = junk.full_name(people)
    yield Check.JUNK_NAME, junk.junk_name(name, hygiene.names.junk, hygiene.names.real)
    yield Check.INVALID_EMAIL, ~people.email_valid & ~trusted
    yield Check.JUNK_EMAIL, junk.junk_email(email) & ~trusted
    yield Check.ROLE_EMAIL, junk.role_email(email, lists.role) & ~trusted
    yield Check.BOUNCED, people.bounced_at.notnull()
    yield Check.INVALID_PHONE, ~people.phone_valid
    if hygiene.stale:
        yield Check.STALE, _stale(hygiene.stale, people, at)


def _stale(stale: Stale, people: Table, at: datetime) -> BooleanValue:
    verified = people.custom.get(stale.field).try_cast(TIME)
    return (verified <= ibis.literal(at - stale.after, type=TIME)).fill_null(False)


def _marked(people: Table, own: Mapping[Check, BooleanValue]) -> Table:
    """A row for each lead and check whose condition holds for it."""
    none = ibis.literal([], NUMBERS)
    numbers = {check: number for number, check in enumerate(Check)}
    found = [
        ibis.cases((holds, ibis.literal([numbers[check]], NUMBERS)), else_=none)
        for check, holds in own.items()
    ]
    marks = ibis.array([none, *found]).flatten().unnest()
    rows = people.select("connection", lead_id="id", number=marks)
    name = ibis.cases(*((rows.number == n, check.value) for check, n in numbers.items()))
    return rows.select(*KEY, check=name).cast(FOUND)


def _by_domain(hygiene: Hygiene, checks: Collection[Check], people: Table) -> Table:
    """What is found by the domain of an address that the model does not trust."""
    trusted = hygiene.emails.trusted
    mail = people.select("connection", "email", lead_id="id", said=domain(people.email))
    mail = mail.filter(_.email.notin(trusted), _.said.notin(trusted))
    disposable = (*junk.DISPOSABLE, *hygiene.emails.disposable)
    lists = {Check.DISPOSABLE_EMAIL: disposable, **_companies(hygiene)}
    return _listed(mail.select(*KEY, "said"), lists, checks)


def _by_company(
    hygiene: Hygiene, checks: Collection[Check], people: Table, facts: Facts, at: datetime
) -> Table:
    """Who works for us, or for a competitor, whatever the address is: by name and web domain of the
    company, as the lead and its account have them."""
    firms = known_columns(FIRM, facts, at).semi_join(people, ["connection", ("lead_id", "id")])
    names = [folded(firms[name]) for name in ("company", "account.name")]
    said = (*names, host(firms.website), firms["account.domain"])
    told = ibis.union(*(firms.select(*KEY, said=text) for text in said))
    return _listed(told, _companies(hygiene), checks)


def _companies(hygiene: Hygiene) -> dict[Check, tuple[str, ...]]:
    return {Check.INTERNAL: hygiene.internal, Check.COMPETITOR: hygiene.competitors}


def _listed(
    told: Table, lists: Mapping[Check, Collection[str]], checks: Collection[Check]
) -> Table:
    """The leads of which something `said` is listed; a domain lies within its parents too.

    The lists are put to the distinct words: cost follows those, not the leads.
    """
    told = told.filter(_.said != "")
    words = told.select("said").distinct()
    levels = [words.mutate(within=words.said)]
    for _level in range(2):
        levels.append(levels[-1].mutate(within=_.within.re_replace(r"^[^.\s]+\.", "")))
    rows = [
        {"within": name, "check": check.value}
        for check, names in lists.items()
        if check in checks
        for name in names
    ]
    schema = pa.schema({"within": pa.string(), "check": pa.string()})
    listed = ibis.memtable(pa.Table.from_pylist(rows, schema))
    found = ibis.union(*levels).join(listed, "within").select("said", "check").distinct()
    return told.join(found, "said").select(*FOUND).distinct().cast(FOUND)


def _incomplete(complete: Complete, people: Table, facts: Facts, at: datetime) -> Table:
    """The leads of which less is known than the least share of their key fields."""
    wide = known_columns({*complete.fields}, facts, at).semi_join(
        people, ["connection", ("lead_id", "id")]
    )
    known = reduce(add, (wide[name].notnull().cast("int64") for name in complete.fields))
    few = wide.filter(known * UNIT < units(complete.at_least) * len(complete.fields))
    return few.select(*KEY, check=ibis.literal(Check.INCOMPLETE.value)).cast(FOUND)


def _conflicting(people: Table) -> Table:
    """The leads of which two sources of one field say different things."""
    told = people.filter(people.sources.notnull())
    fields = told.select("connection", "sources", lead_id="id", field=told.sources.keys().unnest())
    said = fields.select(*KEY, "field", line=fields.sources.get(fields.field).split("\n").unnest())
    values = said.filter(_.line != "").mutate(value=value_of(_.line))
    several = values.group_by(*KEY, "field").having(_.value.nunique() > 1).aggregate()
    return several.select(*KEY, check=ibis.literal(Check.CONFLICT.value)).distinct().cast(FOUND)


def _unusable(found: Table) -> Table:
    """What leads are held out by, as the columns of HELD."""
    why = ibis.cases(*((found.check == str(check), check.reason) for check in Check))
    reason = ibis.literal("unusable (") + found.check + "): " + why
    stage = ibis.literal(Stage.UNUSABLE.value)
    return found.mutate(stage=stage, reason=reason).select(*HELD).cast(HELD)


def first_holding(hygiene: Hygiene, found: Table) -> Table:
    """Of what is found on each lead, the first that holds it out: the columns of FOUND."""
    checks = ibis.memtable({"number": range(len(Check)), "check": [str(c) for c in Check]})
    holding = checks.filter(checks.check.isin([str(check) for check in hygiene.holding]))
    first = found.join(holding, "check").group_by(KEY).aggregate(number=_.number.min())
    return first.join(checks, "number").select(*FOUND).cast(FOUND)
