"""What an explanation asks of the facts again and again, worked out once.

The parts of an explanation are expressions of their own: the score, what is unknown, checklists,
channels, interest and more. Each begins with the same events and the same fields of the leads.
"""

from dataclasses import replace
from datetime import datetime

from core.completeness import fit_fields
from core.known import Facts, Keep, inherited, known_columns, settled_events
from core.past import Past
from core.rules import Model
from core.scoring import asked


def ready(model: Model, facts: Facts, at: datetime, past: Past | None, keep: Keep) -> Facts:
    """The facts as of `at`, with the events and the fields that the score and the other parts of
    an explanation by a model read."""
    facts = replace(facts, heirs=keep(inherited(facts, at)))
    events = settled_events(facts, at)
    wide = known_columns(_columns(model), facts, at, past, model)
    return replace(facts, events=keep(events), wide=keep(wide))


def _columns(model: Model) -> frozenset[str]:
    listed = [rule.when.columns() for rules in model.checklists.values() for rule in rules]
    ideal = model.icp.columns() if model.icp else frozenset()
    roles = model.roles.columns if model.roles else frozenset()
    return asked(model).union(fit_fields(model), ideal, roles, *listed)
