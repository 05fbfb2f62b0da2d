"""Why this owner and not that one: what everybody in a pool had when a lead was given."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from core.turns import UNIT, Standing, reached


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
                today=had.today + 1,
                open=None if had.open is None else had.open + 1,
            )
    return tuple(map(_with_reason, found.values()))


def _with_reason(standing: Standing) -> Standing:
    full = reached(standing.today, standing.daily) or reached(standing.open or 0, standing.total)
    return replace(standing, why_not="full") if full and not standing.why_not else standing
