"""What of a CRM's records was asked for when they were read: by which mapping each table came.

Rows that were read before a field was mapped do not have it, and do not come again by themselves:
what is mapped otherwise is read whole once more, before anything is decided or written by it.
"""

from collections.abc import Mapping, Set

import ibis

from connectors.settings import ConnectionSettings
from core.facts import ACTIVITIES, LEADS, TABLES
from sync.facts_file import FactsFile

ASKED = {
    "asked": ibis.schema(
        {"connection": "!string", "table_name": "!string", "fields": "!array<string>"}
    )
}


def asked_by(settings: ConnectionSettings) -> dict[str, Set[str]]:
    """What a configuration asks of the records of each facts table beside the defaults, in words
    that are compared."""
    said = settings.mapping.model_dump(mode="json")
    words = {table.name: _words(said.get(table.name, {})) for table in TABLES}
    words[ACTIVITIES.name] |= _words(said["activity_types"])
    named = ((o, settings.write.get(o)) for o in settings.outputs())
    words[LEADS.name] |= {f"{output} in {w.field if w else 'its own field'}" for output, w in named}
    return {table: frozenset(found) for table, found in words.items()}


def _words(mapping: Mapping[str, object]) -> set[str]:
    return {f"{name}: {to}" for name, to in mapping.items()}


class Asked:
    """What was asked for when the facts of a file were read."""

    def __init__(self, file: FactsFile) -> None:
        self._file = file

    def otherwise(self, connection: str, now: Mapping[str, Set[str]]) -> list[str]:
        """The tables that were read with other fields; not one of which nothing is known."""
        rows = self._file.rows(
            "SELECT table_name, fields FROM asked WHERE connection = $c", c=connection
        )
        was = {row["table_name"]: set(row["fields"]) for row in rows}
        return [table for table, fields in now.items() if was.get(table, fields) != fields]

    def note(self, connection: str, now: Mapping[str, Set[str]]) -> None:
        """Keep what is asked for from now on; it belongs to the caller's transaction."""
        self._file.run("DELETE FROM asked WHERE connection = $c", c=connection)
        for table, fields in now.items():
            self._file.run(
                "INSERT INTO asked VALUES ($c, $t, $f)", c=connection, t=table, f=sorted(fields)
            )
