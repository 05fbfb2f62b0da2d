"""Compare: a decision beside what its record holds, what we last wrote, and who else has a say.

Two things can keep a value that differs from being written: the CRM refused it and nothing has
changed since, or a human put the present one there, and edits of the field are respected.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from core.decision import Decision, Output
from core.diff import COMPANIONS, Policy, Values, is_foreign
from sync.decide import Decided
from sync.ledger import Ledger
from sync.ledger_rows import Held
from sync.plan import Compared, ConnectionPlan, wanted


class Comparer:
    """Compares the decisions of one connection, as of `at`; `now` is our own clock's instant.

    `spans`: for how long a human's value is left alone, by output; others are so for ever.
    """

    def __init__(
        self,
        ledger: Ledger,
        planned: ConnectionPlan,
        spans: Mapping[Output, timedelta],
        *,
        at: datetime,
        now: datetime,
    ) -> None:
        self._ledger = ledger
        self._name = planned.connection
        self._targets = planned.targets
        self._respected = [
            output
            for output, policy in planned.policies.items()
            if policy is Policy.RESPECT_EDITS and output not in COMPANIONS
        ]
        self._spans = spans
        self._at = at
        self._refused = {entry.record_id: entry for entry in ledger.quarantine(planned.connection)}
        self._fields = planned.fields
        self._now = now

    def settled(self, planned: ConnectionPlan) -> set[str]:
        """The records in quarantine for which, as it turned out, there is nothing to write."""
        settled = self._refused.keys() - set(planned.waiting)
        return settled.difference(item.change.id for item in planned.changes)

    def compare(self, items: Sequence[Decided]) -> list[Compared]:
        """Some decisions beside their records."""
        ids = [item.decision.lead_id for item in items]
        last = self._ledger.last_written(self._name, ids)
        held = self._ledger.held.of(self._name, ids)
        return [
            self._compared(item, last.get(key, {}), held.get(key, {}))
            for key, item in zip(ids, items, strict=True)
        ]

    def _compared(
        self, item: Decided, last_written: Values, known: Mapping[Output, Held]
    ) -> Compared:
        decision, present = item.decision, item.present
        if decision.owner_id is not None:
            # Routing gives an owner only where the present one is nobody's choice.
            last_written = {**last_written, Output.OWNER: present.get(Output.OWNER)}
        held = self._held(decision, present, last_written, known)
        return Compared(
            decision,
            present,
            last_written,
            self._still_refused(decision.lead_id, item.modified_at),
            item.parent,
            item.modified_at,
            held,
            {entry.output for entry in held if entry.lapsed(self._at)},
        )

    def _still_refused(self, id: str, modified_at: datetime) -> Values | None:
        """What the CRM will refuse again, as nothing that it may rest on has changed."""
        entry = self._refused.get(id)
        again = entry is None or entry.due(modified_at, self._fields, self._now)
        return None if entry is None or again else entry.values

    def _held(
        self,
        decision: Decision,
        present: Values,
        last_written: Values,
        known: Mapping[Output, Held],
    ) -> list[Held]:
        """The fields of a record that hold a human's value; a value that was known goes on."""
        edited = [o for o in self._respected if is_foreign(o, present.get(o), last_written)]
        if Output.OWNER not in last_written:
            # Every lead has an owner from somebody: only one changed after us is an edit.
            edited = [output for output in edited if output is not Output.OWNER]
        if not edited:
            return []
        values = wanted(decision, self._targets[decision.object_type])
        found = []
        for output in edited:
            value, before = _hash(present.get(output)), known.get(output)
            since = before.since if before and before.value == value else None
            if since is None and output in values and values[output] == present.get(output):
                continue
            found.append(self._hold(decision, output, value, since or self._at))
        return found

    def _hold(self, decision: Decision, output: Output, value: str, since: datetime) -> Held:
        span = self._spans.get(output)
        until = since + span if span else None
        key = (self._name, decision.object_type, decision.lead_id)
        return Held(*key, output, value, since, until)


def _hash(value: str | None) -> str:
    """What stands for a human's value, which the ledger does not repeat."""
    return "" if value is None else hashlib.sha256(value.encode()).hexdigest()[:16]
