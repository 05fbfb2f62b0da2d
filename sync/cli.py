"""The command line: data on stdout, talk on stderr, documented exit codes, no tracebacks.

Each command is a few lines: it opens a session, calls what does the work, and shows the result.
"""

import gc
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.exceptions import TyperException

from connectors.errors import BudgetSpent, ConnectorError, MappingError
from sync import (
    amend_commands,
    answer_command,
    audit_command,
    calls_command,
    crash,
    cycle_commands,
    identity_command,
    model_commands,
    nurture_command,
    override_command,
    privacy_commands,
    routing_command,
    sources_command,
    thresholds_command,
)
from sync.access import DeniedError
from sync.command import (
    DEFAULT_CONFIG,
    AsJson,
    ConfigPath,
    ends,
    opened,
    outside_of,
    settings,
    stop_on_signals,
    told,
)
from sync.errors import StoreError
from sync.exits import Exit, exit_of
from sync.guards import GuardStopError
from sync.stop import Reload, StoppedError
from sync.terminal import say, show, utc_now
from sync.yaml_source import ConfigError

if TYPE_CHECKING:
    from sync.session import Outside

app = typer.Typer(
    name="leadgauge",
    help="Scores, qualifies and routes the leads of your CRMs by rules you can read.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class Document(StrEnum):
    """The two configuration files."""

    CONFIG = "config"
    MODEL = "model"


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Where to write the two files.")] = Path(),
    preset: Annotated[str, typer.Option(help="The model to start from.")] = "weighted",
) -> None:
    """Write a commented config.yaml and a model.yaml; existing files are left alone."""
    from sync import templates

    for path, written in templates.write(folder, preset).items():
        unused = f", the preset {preset} was not used" if path.name == templates.MODEL else ""
        say(f"wrote {path}" if written else f"{path} exists and was left alone{unused}")
    say("next: set the secrets in the environment, then `leadgauge check`")


@app.command()
def check(
    ctx: typer.Context,
    config: ConfigPath = DEFAULT_CONFIG,
    model: Annotated[
        Path | None,
        typer.Option(help="A model file, instead of the configured one; of several, of its name."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Prove configuration, model and mapping against the live CRM, before a run fails."""
    from sync.check import prove

    problems = prove(config, model, outside_of(ctx), stop_on_signals())
    if as_json:
        show([vars(problem) for problem in problems])
    for problem in problems:
        say(told(problem))
    severities = {problem.severity for problem in problems}
    if "credentials" in severities:
        ends(Exit.CREDENTIALS)
    if "error" in severities:
        ends(Exit.USAGE)
    say("check: nothing stands in the way of a run")


@app.command()
def setup(
    ctx: typer.Context,
    config: ConfigPath = DEFAULT_CONFIG,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Create without asking.")] = False,
) -> None:
    """Create the CRM fields that scores are written to; what exists is left alone."""
    failed = False
    with opened(ctx, config) as session:
        for name, connector in session.connectors.items():
            missing = connector.missing_fields()
            for field in missing:
                typer.echo(f"{name}: {field.object_type}.{field.name} ({field.kind})")
            if not missing:
                say(f"{name}: every field is there")
                continue
            if not yes and not typer.confirm(f"Create {len(missing)} fields?", err=True):
                continue
            problems = connector.create_fields(missing)
            for problem in problems:
                failed = True
                say(f"{name}: {problem.where}: {problem.what}. {problem.advice}".rstrip(". "))
            say(f"{name}: created {len(missing) - len(problems)} fields")
    if failed:
        ends(Exit.CREDENTIALS)


app.command()(cycle_commands.plan)
app.command()(cycle_commands.sync)
app.command()(cycle_commands.backfill)


@app.command()
def daemon(
    ctx: typer.Context,
    config: ConfigPath = DEFAULT_CONFIG,
    json_log: Annotated[
        bool, typer.Option("--json-log", help="Talk in JSON lines, for a log store.")
    ] = False,
) -> None:
    """Run the scheduled jobs until SIGTERM; the batch in hand is finished. SIGHUP reads the
    configuration again, and keeps the old one where the new one has a mistake."""
    from sync import daemon as running
    from sync import talk
    from sync.session import read_setup

    outside = outside_of(ctx)
    settings(ctx, config)
    stop = stop_on_signals()
    reload = Reload(stop)
    reload.on_signal()
    talking = talk.as_json(say, outside.clock) if json_log else talk.as_text(say)
    running.run(lambda: read_setup(config, outside), outside, stop, reload, talking)
    talking("stopped as asked")


@app.command()
def status(
    ctx: typer.Context, config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False
) -> None:
    """Jobs, runs, calls, age of scores, who signed the models, hand-offs, leads that wait for an
    owner, quarantine, held fields; also during a sync."""
    from sync import show as text
    from sync.health import capacity, health
    from sync.hygiene import rates
    from sync.ledger import Ledger
    from sync.sign_off import readable

    configured, now = settings(ctx, config), outside_of(ctx).clock()
    with Ledger(configured.ledger) as ledger:
        models = readable(configured, ledger)
        if as_json:
            jobs = [*health(ledger, configured.schedule, now), capacity(ledger)]
            show(
                {
                    "jobs": [vars(found) for found in jobs],
                    "models": [asdict(one) for one in models],
                    "scored": ledger.past.scored(),
                    "handoffs": [vars(given) for given in ledger.past.handoffs(text.SHOWN)],
                    "notices": [vars(notice) for notice in ledger.notices.waiting()],
                    "runs": [vars(run) for run in ledger.runs(20)],
                    "quarantine": [vars(entry) for entry in ledger.quarantine()],
                    "usage": [vars(u) for u in ledger.usage.today(now)],
                    "held": [vars(h) for h in ledger.held.now(now)],
                    "waiting": [vars(one) for one in ledger.routing.waiting()],
                    "hygiene": [vars(rate) for rate in rates(ledger)],
                    "audit": str(ledger.audit.head()),
                }
            )
            return
        for table in text.status(ledger, configured.schedule, models, now):
            text.out().print(table)


app.command()(model_commands.explain)
app.command()(model_commands.dossier)
app.command()(model_commands.accounts)
app.command()(identity_command.identity)
app.command()(model_commands.replay)
app.command()(model_commands.preview)
app.command()(model_commands.critical)
app.command()(thresholds_command.thresholds)
app.command()(model_commands.sign)
app.command()(model_commands.models)
app.command()(override_command.override)
app.command()(answer_command.answer)
app.command()(calls_command.calls)
app.command()(nurture_command.nurture)
app.command()(nurture_command.audience)
app.command()(amend_commands.retry)
app.command()(amend_commands.undo)
app.command()(audit_command.audit)
app.command()(routing_command.audit_routing)
app.command()(sources_command.sources)
app.command()(privacy_commands.subject)
app.command()(privacy_commands.erase)
app.command()(privacy_commands.export)


@app.command()
def schema(
    document: Annotated[Document, typer.Argument(help="Which of the two files.")],
) -> None:
    """The JSON Schema of a configuration file, for editors."""
    from core.rules import Model
    from sync.config import Config

    show((Config if document is Document.CONFIG else Model).model_json_schema(by_alias=True))


@app.command()
def sandbox(
    salesforce_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the Salesforce stand-in.")
    ] = 8901,
    hubspot_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the HubSpot stand-in.")
    ] = 8902,
    leads: Annotated[int, typer.Option(min=50, help="Leads in each CRM.")] = 3000,
    seed: Annotated[int, typer.Option(help="Seed of the sample data, and of faults.")] = 7,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            help="Switch a fault on: salesforce:NAME or hubspot:NAME; `list` alone prints them. "
            "May be given more than once."
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Let faults strike at random, at this share of the calls that they are about, "
            "for as long as the sandbox runs.",
        ),
    ] = None,
    minutes: Annotated[float, typer.Option(min=0, help="Stop by itself after so long.")] = 60,
) -> None:
    """Start both sandbox CRMs on loopback, with sample data, for anyone to play with."""
    from sync.sandbox import known_faults, serve

    if fault == ["list"]:
        for known in known_faults():
            typer.echo(known)
        return
    ports = (salesforce_port, hubspot_port)
    serve(ports, (leads, seed), fault or [], rate, minutes, stop_on_signals(), say)


@app.command()
def demo(
    leads: Annotated[int, typer.Option(min=50, help="Leads in each CRM.")] = 3000,
    seed: Annotated[int, typer.Option(help="Seed of the sample data.")] = 7,
) -> None:
    """A full sync of both sandbox CRMs, a second that writes nothing, leads explained to the last
    point, and somebody whom both CRMs know."""
    from sync.demo import run

    run(leads, seed, utc_now, stop_on_signals(), say)


def main() -> None:
    """Run a command; what a user can mend ends in a message and an exit code, no traceback.

    Every file that is made on the way, logs of the stores included, is its owner's alone.
    """
    os.umask(0o077)
    # Compiling a model makes a million small objects that all live: with Python's 700 between two
    # collections, about a sixth of the time went into looking through them again.
    gc.set_threshold(250_000)
    code = run(sys.argv[1:])
    gc.freeze()  # Nor are they looked through once more on the way out.
    sys.exit(code)


def run(arguments: Sequence[str], outside: "Outside | None" = None) -> int:
    """Run a command line, on this machine unless told otherwise, and return its exit code."""
    try:
        code = app(list(arguments), standalone_mode=False, obj=outside)
        return int(code or 0)
    except ConfigError as error:
        for problem in error.problems:
            say(problem)
        return Exit.USAGE
    except BudgetSpent as error:
        say(f"stopped: {error}")
        return exit_of(error)
    except (ConnectorError, DeniedError, StoreError) as error:
        say(f"error: {error}")
        if isinstance(error, MappingError):
            say("`leadgauge check` tells everything that stands in the way of a run")
        return exit_of(error)
    except GuardStopError as error:
        for finding in error.findings:
            say(f"stopped: {finding}")
        return Exit.GUARD
    except (StoppedError, typer.Abort) as error:
        say(str(error) or "interrupted")
        return Exit.INTERRUPTED
    except TyperException as error:
        say(f"{error.format_message()}\nTry: leadgauge --help")
        return Exit.USAGE
    except Exception as error:  # noqa: BLE001 - the last resort, and what it says is no secret
        say(crash.keep(error))
        return Exit.UNEXPECTED
