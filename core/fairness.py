"""Why this owner and not that one: what everybody in a pool had when a lead was given."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from core.turns import UNIT, Standing, ahead, reached


def at_turn(before: Sequence[Standing], given: Iterable[str]) -> tuple[Standing, ...]:
    """What the owners of a pool had when their turn came.

    `before` is what they had before the run, `given` are the owners of the leads that the run gave
    since, in order.
    """
    found = {standing.owner_id: standing for standing in before}
    for owner in given:
        had = found.get(owner)
        if had is not None:
            found[owner] = replace(
                had,
                level=had.level + UNIT // had.weight,
                in_day=had.in_day + 1,
                open=None if had.open is None else had.open + 1,
            )
    return _with_reasons([_full(standing) for standing in found.values()])


def _full(had: Standing) -> Standing:
    full = reached(had.in_day, had.daily) or reached(had.open or 0, had.total)
    return replace(had, why_not="full") if full and not had.why_not else had


def _with_reasons(standings: Sequence[Standing]) -> tuple[Standing, ...]:
    """Say of whom it was not the turn though nothing else kept leads away."""
    in_line = [had for had in standings if not had.why_not]
    weight = sum(had.weight for had in in_line)
    levels = sum(had.level * had.weight for had in in_line)
    return tuple(
        replace(had, why_not="ahead of the share")
        if not had.why_not and ahead(had.level, levels, weight)
        else had
        for had in standings
    )
