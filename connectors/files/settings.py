"""What config.yaml says of a CRM that is read from its exports."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from connectors.mapping import field_map
from connectors.settings import ConnectionSettings, FieldMapping
from core.decision import Output
from core.facts import TABLES

FORMATS = (".csv", ".parquet")


class FilesMapping(FieldMapping):
    """Common field -> column of an export, where the column is not named as the field is."""

    owners: dict[str, str | None] = Field({}, description="Columns of owners.")
    outcomes: dict[str, str | None] = Field({}, description="Columns of outcomes.")


class FilesSettings(ConnectionSettings):
    """A folder with exports of a CRM, and the file in it that the CRM is to import."""

    kind: Literal["files"]
    folder: Path = Field(description="The folder that holds the exports.")
    leads: str = Field(description="File of the leads in it, .csv (UTF-8) or .parquet.")
    accounts: str | None = Field(None, description="File of the accounts.")
    activities: str | None = Field(None, description="File of the activities.")
    owners: str | None = Field(None, description="File of the owners.")
    outcomes: str | None = Field(None, description="File of the opportunities or deals.")
    mapping: FilesMapping = Field(FilesMapping(), description="Which column means what.")
    import_file: str = Field(
        "leadgauge-import.csv", description="File in the folder that scored leads are written to."
    )
    cleared: str = Field(
        "#N/A",
        description="What stands in the import file for a field to empty: #N/A with Salesforce "
        "Data Loader; an empty text with HubSpot, which then keeps the old value.",
    )

    @field_validator("leads", "accounts", "activities", "owners", "outcomes")
    @classmethod
    def _readable(cls, file: str | None) -> str | None:
        if file is not None and Path(file).suffix.lower() not in FORMATS:
            raise ValueError(f"must be a {' or '.join(FORMATS)} file")
        return file

    @model_validator(mode="after")
    def _all_stamped(self) -> Self:
        if self.mapping.unstamped:
            raise ValueError(
                "mapping.unstamped is not for files: map no modified_at, and every export is "
                "compared whole"
            )
        return self

    @model_validator(mode="after")
    def _known_fields(self) -> Self:
        for table in TABLES:
            field_map(table.model, {}, getattr(self.mapping, table.name))
        return self

    def file(self, table: str) -> Path | None:
        """The export of a facts table; None where none is given."""
        name: str | None = getattr(self, table)
        return None if name is None else self.folder / name

    def column(self, output: Output) -> str:
        """The column that an output is written to, and read from where the export has it."""
        written = self.write.get(output)
        if written is not None:
            return written.field
        if output is Output.OWNER:
            mapped = self.mapping.leads.get("owner_id")
            return mapped if isinstance(mapped, str) else "owner_id"
        return f"leadgauge_{output}"
