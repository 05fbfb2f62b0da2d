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
    """Writes that changed a value (`effective`), and those that set what was there (`idle`)."""

    effective: Counter[Place] = field(default_factory=Counter)
    idle: Counter[Place] = field(default_factory=Counter)

    def watch(self, name: str, crm: Crm) -> None:
        """Count what happens to the records of a CRM from now on."""
        update = crm.update

        def counting(record: Record, values: Mapping[str, Any], **more: Any) -> None:
            ours = more.get("by") in (None, crm.integration_user)
            for key, value in values.items() if ours else ():
                changes = record.values.get(key) != value
                (self.effective if changes else self.idle)[name, record.number, key] += 1
            update(record, values, **more)

        crm.update = counting  # type: ignore[method-assign]
