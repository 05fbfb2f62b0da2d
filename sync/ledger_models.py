"""What the ledger keeps of models: what each version said, and who agreed to it."""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, select

from core.rules import Model
from sync import ledger_audit
from sync.ledger_audit import Act, Entry
from sync.ledger_engine import upsert
from sync.ledger_schema import MODELS, SIGN_OFFS


@dataclass(frozen=True)
class SignOff:
    """A person's agreement to a model in the name of a team. `by` is None where it was signed
    before persons were asked for."""

    team: str
    by: str | None
    at: datetime

    def __str__(self) -> str:
        return f"{self.team} ({self.by or 'unknown'}, {self.at:%Y-%m-%d %H:%M})"


@dataclass(frozen=True)
class Version:
    """A version of a model: its name, its file's text, the networks of the file that it names, and
    when and under which account of the machine it was first run or signed; None: there are none,
    or that is not known."""

    version: str
    name: str
    text: str
    at: datetime
    account: str | None
    networks: str | None

    @property
    def label(self) -> str:
        """Name and version, as written to the CRM."""
        return f"{self.name} {self.version}"


class ModelsLedger:
    """Versions of models and sign-offs, by content: a version is a hash of what the model says."""

    def __init__(self, engine: Engine, readers: Engine) -> None:
        self._engine = engine
        self._readers = readers

    def sign(self, model: Model, team: str, *, by: str, at: datetime) -> None:
        """Record that a person agrees to a model for a team; the first one of a team counts."""
        row = {"version": model.version, "team": team, "model": model.name, "at": at, "by": by}
        with self._engine.begin() as db:
            upsert(db, SIGN_OFFS, [row], keep=("at", "by"))
            signed = {"model": model.label, "team": team, "by": by}
            ledger_audit.append(db, [Entry(Act.SIGNED, at, signed)])

    def signed(self, version: str) -> dict[str, SignOff]:
        """Who agreed to this version of a model, by team."""
        c = SIGN_OFFS.c
        query = select(c.team, c.by, c.at).where(c.version == version).order_by(c.team)
        with self._readers.begin() as db:
            return {row[0]: SignOff(*row) for row in db.execute(query)}

    def keep(
        self, model: Model, text: str, networks: str | None, *, account: str, at: datetime
    ) -> None:
        """Keep the text of a model's file, the networks of the file that it names, and who used
        it; the first of a version counts."""
        files = {"text": text, "networks": networks}
        said = {"name": model.name, **files, "at": at, "account": account}
        with self._engine.begin() as db:
            upsert(db, MODELS, [{"version": model.version, **said}], keep=tuple(said))

    def versions(self) -> Set[str]:
        """The versions that were kept."""
        with self._readers.begin() as db:
            return {*db.execute(select(MODELS.c.version)).scalars()}

    def kept(self) -> Sequence[Version]:
        """Every version that was kept, the latest first."""
        query = select(MODELS).order_by(MODELS.c.at.desc(), MODELS.c.version)
        with self._readers.begin() as db:
            return [Version(**row) for row in db.execute(query).mappings()]
