"""What leadgauge's user really did to the records of a CRM, field by field."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.sandbox.crm import Crm, Record

Place = tuple[str, int, str]
"""A connection, a record's number, and a field."""


@dataclass
class Written:
    """Writes that changed a value (`effective`), and those that set what was there (`idle`).

    `last` is what leadgauge's user set last; a person's edit of the field takes it off.
    """

    effective: Counter[Place] = field(default_factory=Counter)
    idle: Counter[Place] = field(default_factory=Counter)
    last: dict[Place, Any] = field(default_factory=dict)

    def watch(self, name: str, crm: Crm) -> None:
        """Count what happens to the records of a CRM from now on."""
        update = crm.update

        def counting(record: Record, values: Mapping[str, Any], **more: Any) -> None:
            by = more.get("by")
            for key, value in values.items():
                place = (name, record.number, key)
                if by not in (None, crm.integration_user):
                    self.last.pop(place, None)
                elif record.values.get(key) != value:
                    self.effective[place] += 1
                    self.last[place] = value
                else:
                    self.idle[place] += 1
            update(record, values, **more)

        crm.update = counting  # type: ignore[method-assign]

    def forget(self) -> None:
        """Count from nought again."""
        self.effective.clear()
        self.idle.clear()
