"""The world of the files connector: a CRM that exports CSV files, and takes over an import file."""

import csv
from pathlib import Path
from typing import Any

from connectors.base import Connector
from connectors.files import imports
from connectors.files.connector import FilesConnector
from connectors.files.settings import FilesMapping, FilesSettings
from connectors.sandbox.crm import Crm, Kind, Record
from connectors.sandbox.neutral import FIELDS
from connectors.settings import FieldMapping
from core.decision import OPTIONAL, Output
from core.spreadsheet import plain
from tests.world import DEFAULT, Clock, World

PAGE = 3
IMPORT = "import.csv"
TABLES = {
    "leads": (Kind.LEAD, Kind.CONTACT),
    "accounts": (Kind.ACCOUNT,),
    "activities": (Kind.ACTIVITY,),
    "owners": (Kind.USER, Kind.QUEUE),
    "outcomes": (Kind.DEAL,),
}
NO_COLUMN = {Output.OWNER, *OPTIONAL}
COLUMNS = {
    "leads": ("created_at", *(f"leadgauge_{o}" for o in Output if o not in NO_COLUMN)),
    "accounts": ("created_at",),
    "activities": ("lead_id",),
    "owners": ("kind", "active"),
    "outcomes": ("created_at", "lead_id", "result"),
}
"""What an export holds beside the fields that a neutral record has under another name."""


def row(table: str, record: Record, person: int | None) -> dict[str, Any]:
    """A record, or one of its people, as a line of an export."""
    held = record.values
    won = "won" if held.get("won") else "lost"
    return {
        **{name: held.get(name) for name in COLUMNS[table]},
        **{common: held.get(name) for common, name in FIELDS[table].items()},
        "id": record.number,
        "created_at": record.created.isoformat(),
        "modified_at": record.modified.isoformat(),
        "lead_id": person,
        "kind": "queue" if record.kind is Kind.QUEUE else "person",
        "active": held.get("active", True),
        "result": won if held.get("closed") else "open",
    }


def export(crm: Crm, folder: Path) -> None:
    """Write the living records to one file for each table."""
    for table, kinds in TABLES.items():
        names = ("id", "modified_at", *COLUMNS[table], *FIELDS[table])
        by_person = table in ("activities", "outcomes")
        with (folder / f"{table}.csv").open("w", encoding="utf-8", newline="") as lines:
            writer = csv.DictWriter(lines, names, extrasaction="ignore")
            writer.writeheader()
            for record in crm.records(*kinds):
                people = record.values.get("people") if by_person else None
                writer.writerows(row(table, record, person) for person in people or [None])


def take_over(crm: Crm, file: Path) -> None:
    """What the CRM does with an import file."""
    for key, cells in imports.load(file, "id").items():
        record = next(r for r in crm.records(*TABLES["leads"]) if r.number == int(key))
        values = {
            "owner" if name == "owner_id" else name: None if cell == "#N/A" else plain(cell)
            for name, cell in cells.items()
        }
        crm.update(record, values)
    file.unlink()


class Exported(FilesConnector):
    """Finds the exports as new as they can be, and the import file taken over."""

    def __init__(self, crm: Crm, settings: FilesSettings) -> None:
        super().__init__("files", settings, clock=crm.clock, page_size=PAGE)
        self._crm = crm

    def _file(self, name: str) -> Path:
        file = self._settings.folder / IMPORT
        if file.exists():
            take_over(self._crm, file)
        export(self._crm, self._settings.folder)
        return super()._file(name)


def files_world(folder: Path) -> World:
    """A fresh CRM that is reached through a folder."""
    clock = Clock()
    crm = Crm(clock)

    def connect(*, mapping: FieldMapping = DEFAULT, valid: bool = True) -> Connector:
        assert valid, "nobody logs in"
        stamp: dict[str, str | None] = {"modified_at": "modified_at"}
        own = {**dict.fromkeys(TABLES, stamp), "leads": {**stamp, **mapping.leads}}
        files = {table: f"{table}.csv" for table in TABLES}
        given = {"kind": "files", "folder": folder, "import_file": IMPORT, **files}
        return Exported(
            crm, FilesSettings.model_validate({**given, "mapping": FilesMapping(**own)})
        )

    def address(record: Record) -> tuple[str, str]:
        table = next(table for table, kinds in TABLES.items() if record.kind in kinds)
        return table, str(record.number)

    def never(*_: Any) -> Any:
        raise NotImplementedError("nothing of the kind happens with files")

    return World(crm, clock, connect, address, never, never, never, [], PAGE, live=False)
