"""Who agreed to the configured models, and who is still asked to."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from connectors.base import Problem
from core.segments import Segments
from sync.config import Config, SignOff, read_models
from sync.ledger import Ledger
from sync.ledger_models import SignOff as Signature
from sync.ledger_rows import Team
from sync.yaml_source import ConfigError


@dataclass(frozen=True)
class Agreement:
    """Who agreed to a model as it now is, by its label and file, and the teams still asked to."""

    model: str
    file: Path
    signed: Sequence[Signature]
    missing: Sequence[Team]

    @property
    def command(self) -> str:
        """What the next team to sign runs; nothing where all have."""
        team = next(iter(self.missing), None)
        return f"leadgauge sign {self.file.name} --as {team} --by WHO" if team else ""


def agreements(config: Config, segments: Segments, ledger: Ledger) -> list[Agreement]:
    """How each configured model stands."""
    found, asked = [], () if config.model_signoff is SignOff.NONE else tuple(Team)
    for file, segment in zip(config.model, segments, strict=True):
        signed = ledger.models.signed(segment.model.version)
        missing = [team for team in asked if team not in signed]
        found.append(Agreement(segment.model.label, file.model, [*signed.values()], missing))
    return found


def readable(config: Config, ledger: Ledger) -> list[Agreement]:
    """How the configured models stand, where their files can be read: `check` says what is wrong
    with them."""
    try:
        return agreements(config, read_models(config), ledger)
    except ConfigError:
        return []


def unsigned(config: Config, segments: Segments, ledger: Ledger) -> Iterator[Problem]:
    """The models that lack a sign-off which the configuration asks for: errors where it is
    required."""
    severity = "error" if config.model_signoff is SignOff.REQUIRED else "warning"
    for one in agreements(config, segments, ledger):
        if one.missing:
            what = f"model {one.model} has no sign-off by {' and '.join(one.missing)}"
            advice = (
                f"Look at it with `leadgauge preview`, then sign it with `{one.command}` "
                "(model_signoff in the configuration asks for it)"
            )
            yield Problem(severity, str(one.file), what, advice)
