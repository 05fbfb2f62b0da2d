"""How far a refresh is: of each stream what was looked at, and what is still to be read again.

Kept in the facts file, so that a refresh that is interrupted goes on where it was.
"""

from dataclasses import asdict, dataclass
from datetime import datetime

import ibis

from connectors.base import Cursor
from core.facts import TIME
from sync.facts_file import FactsFile

LOOKS = {
    "looks": ibis.schema(
        {
            "connection": "!string",
            "stream": "!string",
            "fields": "!array<string>",
            "began": TIME.copy(nullable=False),
            "counted": "int64",
            "looked_at": "!int64",
            "moved": "!int64",
            "unlike": "!array<string>",
            "stamp": TIME,
            "id": "!string",
            "until": TIME,
        }
    )
}


@dataclass(frozen=True)
class Look:
    """The look at some `fields` of a stream, by the CRM's clock `began` when it did.

    Of `counted` records (None: not known) so many were `looked_at` up to the cursor. `moved` of
    them were taken over, and those that are `unlike` what the facts hold are still to be.
    """

    stream: str
    fields: tuple[str, ...]
    began: datetime
    counted: int | None = None
    looked_at: int = 0
    moved: int = 0
    unlike: tuple[str, ...] = ()
    cursor: Cursor | None = None

    @property
    def seen(self) -> bool:
        """Whether all of the stream was looked at."""
        return self.cursor is not None and self.cursor.ended

    @property
    def left(self) -> int | None:
        """How many records are still to be looked at; None: not known."""
        return None if self.counted is None else max(0, self.counted - self.looked_at)


class Looks:
    """The looks of a facts file: one for each stream of a refresh that was begun and not ended."""

    def __init__(self, file: FactsFile) -> None:
        self._file = file

    def of(self, connection: str) -> dict[str, Look]:
        """The looks of a connection, by stream."""
        rows = self._file.rows(
            "SELECT * EXCLUDE (connection) FROM looks WHERE connection = $c", c=connection
        )
        found = {}
        for row in rows:
            cursor = Cursor(row.pop("stamp"), row.pop("id"), row.pop("until"))
            row |= {name: tuple(row[name]) for name in ("fields", "unlike")}
            found[row["stream"]] = Look(**row, cursor=cursor)
        return found

    def keep(self, connection: str, look: Look) -> None:
        """Keep how far a look is, in place of what was kept of it before."""
        values = asdict(look) | {"fields": list(look.fields), "unlike": list(look.unlike)}
        values |= asdict(look.cursor or Cursor())
        del values["cursor"]
        names = ", ".join(values)
        given = ", ".join(f"${name}" for name in values)
        with self._file.transaction():
            self._file.run(
                "DELETE FROM looks WHERE connection = $c AND stream = $s",
                c=connection,
                s=look.stream,
            )
            self._file.run(
                f"INSERT INTO looks (connection, {names}) VALUES ($c, {given})",
                c=connection,
                **values,
            )

    def forget(self, connection: str) -> None:
        """End a connection's refresh: the next one begins anew."""
        with self._file.transaction():
            self._file.run("DELETE FROM looks WHERE connection = $c", c=connection)
