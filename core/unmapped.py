"""What a model asks for and no connection fills: fields of its conditions, and those it names."""

from collections.abc import Iterable, Iterator, Mapping, Set
from difflib import get_close_matches

from core.accounts import TARGET
from core.conditions import AccountCondition, ActivityCondition, Condition
from core.findings import Finding, Placed, placed_conditions
from core.known import FREE, FROM_ACCOUNT
from core.mistakes import Place, dotted
from core.operators import NOW
from core.past import PREFIX
from core.rules import Model

Mapped = Mapping[str, Set[str]]
"""Facts table -> the fields of it that some connection fills."""

_ALWAYS = frozenset({NOW, TARGET, "target"})
"""The columns that no mapping has to fill."""


def unmapped(model: Model, mapped: Mapped) -> list[Finding]:
    """Fields that the model asks for and no connection fills."""
    found = list(unfilled(placed_conditions(model), mapped))
    for place, table, column in _named(model):
        fields = of_leads(mapped) if table == "leads" else mapped[table]
        if column not in fields:
            what = f"{dotted(place)} is {column} of {table}, which no connection maps"
            found.append(Finding("error", place, what, _instead(table, column, fields)))
    return found


def unfilled(placed: Iterable[Placed], mapped: Mapped) -> Iterator[Finding]:
    """Fields that conditions ask for and no connection fills."""
    for place, name, condition in placed:
        fields = filled(condition, mapped)
        for column in missing(condition, mapped):
            what = f"{name} asks for {column}, which no connection maps"
            advice = _instead(_table(condition, column), column, fields)
            yield Finding("error", place, what, advice)


def missing(condition: Condition, mapped: Mapped) -> list[str]:
    """The columns that a condition reads and no connection fills."""
    asked = condition.columns() - _ALWAYS - filled(condition, mapped)
    return sorted(column for column in asked if not column.startswith(PREFIX))


def filled(condition: Condition, mapped: Mapped) -> Set[str]:
    """The columns that are filled where one of a condition is looked for."""
    if isinstance(condition, ActivityCondition):
        return mapped["activities"]
    if isinstance(condition, AccountCondition):
        return mapped["accounts"]
    accounts = {f"account.{name}" for name in mapped["accounts"]}
    if "email" in mapped["leads"]:
        accounts.add(FREE)
    return of_leads(mapped) | accounts


def of_leads(mapped: Mapped) -> Set[str]:
    """The columns of leads that are filled, by themselves or from their accounts."""
    return mapped["leads"] | (mapped["accounts"] & set(FROM_ACCOUNT))


def _named(model: Model) -> Iterator[tuple[Place, str, str]]:
    """Fields that the model names outside of conditions: place, facts table, column."""
    if model.probability:
        yield ("probability",), "leads", f"custom.{model.probability}"
    if model.roles and model.roles.named:
        yield ("roles", "explicit"), "leads", model.roles.named
    if model.interest and model.interest.areas is True:
        yield ("interest", "areas"), "activities", "area"
    if model.accounts and model.accounts.networks:
        column = f"custom.{model.accounts.networks.address}"
        yield ("accounts", "networks", "address"), "activities", column
    hygiene = model.hygiene
    if hygiene and hygiene.stale:
        yield ("hygiene", "stale", "field"), "leads", f"custom.{hygiene.stale.field}"
    if hygiene and hygiene.complete:
        for number, name in enumerate(hygiene.complete.fields):
            yield ("hygiene", "complete", "fields", number), "leads", name


def _table(condition: Condition, column: str) -> str:
    """The facts table that a column of a condition belongs to."""
    if isinstance(condition, ActivityCondition):
        return "activities"
    of_account = isinstance(condition, AccountCondition) or column.startswith("account.")
    return "accounts" if of_account else "leads"


def _instead(table: str, column: str, fields: Set[str]) -> str:
    """What to do about a column that is not filled; further fields are near to their like alone."""
    field = column.removeprefix("account.")
    if field.startswith("origins."):
        to = "[{field: FIRST, origin: given}, {field: NEXT, origin: appended}]"
        return f"Map it to several sources: `{table}: {{{field.removeprefix('origins.')}: {to}}}`."
    head = column[: column.find("custom.") + len("custom.")] if "custom." in column else ""
    like = [name for name in fields if name.startswith(head) and bool(head) == ("custom." in name)]
    near = get_close_matches(column, sorted(like), 1)
    hint = f" Did you mean {near[0]}?" if near else ""
    how = f"`{table}: {{{field}: FIELD}}`, FIELD as the CRM calls it"
    return f"Map it under `mapping` of a connection ({how}), or do not ask for it.{hint}"
