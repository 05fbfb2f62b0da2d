"""The commands that ask what a model says: of a lead, of a date, and what a change would move."""

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from sync.command import (
    DEFAULT_CONFIG,
    AsJson,
    ConfigPath,
    Only,
    opened,
    outside_of,
    settings,
    share_of,
    vet,
)
from sync.ledger_rows import Team
from sync.terminal import csv_rows, say, show
from sync.yaml_source import ConfigError

Record = Annotated[str, typer.Argument(help="Record id of a lead or an account in its CRM.")]
AsOf = Annotated[
    datetime | None,
    typer.Option(
        formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"],
        help="As of this instant in UTC (a date: its midnight), by what was known then.",
    ),
]
REPLAYED = (
    "connection", "object_type", "lead_id", "score", "tier", "stage", "reason", "model",
    "probability",
)  # fmt: skip


def explain(
    ctx: typer.Context,
    record: Record,
    config: ConfigPath = DEFAULT_CONFIG,
    only: Only = None,
    as_of: AsOf = None,
    as_json: AsJson = False,
) -> None:
    """Every point of one lead or account: rule, evidence, date, decay, cap, adding up exactly."""
    from core.segments import scoring_accounts
    from sync import accounts, show_accounts
    from sync import show as text
    from sync.explain import explain as find
    from sync.neighbours import neighbours

    at = _instant(ctx, as_of)
    with (
        opened(ctx, config, only) as session,
        neighbours(session, [record], at) as around,
    ):
        leads = [
            (decision, explanation, accounts.surroundings(around, decision))
            for decision, explanation in find(around, [record])
        ]
        firms = accounts.explain(around, record)
        what = "lead or account" if scoring_accounts(session.segments) else "lead"
    if not leads and not firms:
        raise ConfigError(
            [f"no {what} {record} in the facts: check the id, or run `leadgauge sync`"]
        )
    if as_json:
        said = [{**text.explained(d, e), "account": a and asdict(a)} for d, e, a in leads]
        show([*said, *(show_accounts.data(firm) for firm in firms)])
        return
    for decision, explanation, account in leads:
        for table in text.explanation(decision, explanation):
            text.out().print(table)
        for table in show_accounts.surroundings(account) if account else ():
            text.out().print(table)
    for firm in firms:
        for table in show_accounts.explained(firm):
            text.out().print(table)


def dossier(
    ctx: typer.Context,
    lead: Annotated[str, typer.Argument(help="Record id of the lead in its CRM.")],
    config: ConfigPath = DEFAULT_CONFIG,
    only: Only = None,
    as_of: AsOf = None,
    file: Annotated[
        Path | None, typer.Option("--out", help="Write the page to this file instead.")
    ] = None,
) -> None:
    """One page of Markdown about a lead: who it is, where it stands and why, what it did."""
    from sync.dossier import dossiers

    with opened(ctx, config, only) as session:
        found = dossiers(session, [lead], _instant(ctx, as_of))
    if not found:
        raise ConfigError([f"no lead {lead} in the facts: check the id, or run `leadgauge sync`"])
    pages = "\n\n".join(found.values())
    if file is None:
        typer.echo(f"{pages}\n")
        return
    try:
        file.write_text(f"{pages}\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError([f"--out {file}: cannot be written: {error.strerror}"]) from None
    say(f"wrote {file}")


def accounts(
    ctx: typer.Context,
    config: ConfigPath = DEFAULT_CONFIG,
    only: Only = None,
    as_of: AsOf = None,
    as_json: AsJson = False,
    limit: Annotated[int, typer.Option(min=0, help="How many accounts to list.")] = 20,
) -> None:
    """All accounts by their score from 0 to 100; of equal ones the latest intent comes first."""
    from sync import accounts as ranking
    from sync import show_accounts as text
    from sync.show import out

    with opened(ctx, config, only) as session:
        found = ranking.ranked(session, _instant(ctx, as_of))
    if as_json:
        show([asdict(account) for account in found])
        return
    for table in text.ranked(found, limit):
        out().print(table)


def replay(
    ctx: typer.Context,
    leads: Annotated[
        list[str] | None, typer.Argument(help="Record ids of leads; none: all leads.")
    ] = None,
    config: ConfigPath = DEFAULT_CONFIG,
    only: Only = None,
    as_of: AsOf = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="A model file, or a version as `leadgauge models` shows it, instead of the "
            "configured one; of several, of its name."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON object for each lead, instead of CSV.")
    ] = False,
) -> None:
    """Score, tier and stage of the whole base as of a date, under any model, as CSV."""
    from sync import replay as replaying
    from sync.config import replacing
    from sync.decide import facts_of, past_of, with_gone
    from sync.model_file import named

    with opened(ctx, config, only) as session:
        chosen = session.segments
        if model is not None:
            found = named(model, session.ledger.models.kept())
            chosen = replacing(chosen, found.whole, model)
        at = _instant(ctx, as_of).replace(microsecond=0)
        for missing in session.facts.horizon.missing(at):
            say(f"warning: {missing}")
        whole = with_gone(facts_of(session.facts, at), leads or ())
        past = past_of(session.ledger, None, at, chosen, whole)
        decisions = replaying.replay(
            session.facts,
            chosen,
            at,
            session.connectors.keys(),
            leads or (),
            past,
            session.config.identity,
        )
        put = _json_line if as_json else csv_rows((*REPLAYED, "scored_at"))
        for decision in decisions:
            row = {name: getattr(decision, name) for name in REPLAYED}
            at_second = f"{decision.scored_at:%Y-%m-%dT%H:%M:%SZ}"
            put({**row, "score": decision.points, "scored_at": at_second})


def _json_line(row: Mapping[str, Any]) -> None:
    typer.echo(json.dumps(row, default="{:f}".format))


def _instant(ctx: typer.Context, as_of: datetime | None) -> datetime:
    """The instant that is asked for, or now; it is said of one to come what it cannot know."""
    now = outside_of(ctx).clock()
    at = as_of.replace(tzinfo=UTC) if as_of else now
    if at > now:
        say(f"{at:%Y-%m-%d %H:%M} UTC is to come: this is what would be without further events")
    return at


def preview(
    ctx: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            help="The changed model file, or a version as `leadgauge models` shows it; of several "
            "models, that of its name."
        ),
    ],
    config: ConfigPath = DEFAULT_CONFIG,
    only: Only = None,
    as_of: AsOf = None,
    as_json: AsJson = False,
    limit: Annotated[int, typer.Option(min=0, help="How many leads to list.")] = 20,
) -> None:
    """Every lead that a changed model would move, and by which rules. Writes nothing."""
    from sync import preview as previewing
    from sync import show_model as text
    from sync.config import replacing
    from sync.lint import linted
    from sync.model_file import named
    from sync.show import out

    with ExitStack() as stack:
        session = stack.enter_context(opened(ctx, config, only))
        given = named(model, session.ledger.models.kept())
        if Path(model).is_file():  # What was run or signed is compared, whatever is wrong in it.
            vet(linted(given, session.config, outside_of(ctx).connect))
        changed = replacing(session.segments, given.whole, model)
        found = stack.enter_context(previewing.opened(session, changed, _instant(ctx, as_of)))
        if as_json:
            show(text.preview_data(found))
            return
        for table in text.preview(found, limit):
            out().print(table)


def critical(
    ctx: typer.Context,
    config: ConfigPath = DEFAULT_CONFIG,
    share: Annotated[
        Decimal,
        typer.Option(
            parser=share_of, metavar="SHARE", help="The share of customers that earns a star."
        ),
    ] = "0.5",  # type: ignore[assignment]
    as_json: AsJson = False,
) -> None:
    """What customers did before they became customers, by rule; a star for what most did."""
    from core.critical import critical as count
    from core.persons import shared
    from core.segments import shares
    from sync import show_model as text
    from sync.decide import facts_of
    from sync.show import out

    with opened(ctx, config) as session:
        at = outside_of(ctx).clock().replace(microsecond=0)
        known = shared(session.config.identity, facts_of(session.facts, at), at)
        parts, _rest = shares(session.segments, known, at)
        outcomes = session.facts.table("outcomes")
        found = [
            {"model": segment.model.name, **row}
            for segment, facts in zip(session.segments, parts, strict=True)
            for row in count(segment.model, facts, outcomes, at, share).to_pyarrow().to_pylist()
        ]
    if not any(row["customers"] for row in found):
        say("no lead in the facts has a won outcome: there are no customers to learn from yet")
    if as_json:
        show(found)
    else:
        out().print(*text.critical(found))


def sign(
    ctx: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            help="The model file that the team agrees to, or a version as `leadgauge models` shows "
            "it."
        ),
    ],
    team: Annotated[Team, typer.Option("--as", help="The team that agrees.")],
    by: Annotated[str, typer.Option(help="Who agrees in its name.")] = "",
    config: ConfigPath = DEFAULT_CONFIG,
) -> None:
    """Record that marketing or sales agrees to a model, by its content; a change needs it anew."""
    from sync.ledger import Ledger
    from sync.lint import linted
    from sync.model_file import keep, named

    if not by.strip():
        raise ConfigError(["say who agrees: --by WHO"])
    configured, outside = settings(ctx, config), outside_of(ctx)
    now = outside.clock()
    with Ledger(configured.ledger) as ledger:
        found = named(model, ledger.models.kept())
        vet(linted(found, configured, outside.connect))
        chosen = found.whole
        ledger.models.sign(chosen, team, by=by.strip(), at=now)
        keep(found, ledger.models, account=outside.account, at=now)
        signed = ledger.models.signed(chosen.version)
    typer.echo(f"{chosen.label}: signed by {team} ({by.strip()})")
    missing = [other for other in Team if other not in signed]
    say(f"still to sign: {', '.join(missing)}" if missing else "both teams have signed")


def models(
    ctx: typer.Context,
    version: Annotated[
        str | None,
        typer.Argument(
            help="A version or how it begins, with its model's name or without: print its file."
        ),
    ] = None,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Every version of the models that ever was run or signed, who used it first, and who signed
    it; or the file of one."""
    from sync.ledger import Ledger
    from sync.model_file import version_of
    from sync.show import out, table

    with Ledger(settings(ctx, config).ledger) as ledger:
        kept = ledger.models.kept()
        signed = {one.version: ledger.models.signed(one.version).values() for one in kept}
    one = version_of(version, kept) if version is not None else None
    if as_json:
        data = [{**vars(v), "signed": [vars(s) for s in signed[v.version]]} for v in kept]
        show(data[kept.index(one)] if one else data)
        return
    if one:
        typer.echo(one.text, nl=False)
        if one.networks is not None:
            say("the file of networks that it names: `networks` of the same command with --json")
        return
    made = table("models, newest first", "model", "first used", "by", "signed by")
    for one in kept:
        by = ", ".join(map(str, signed[one.version]))
        made.add_row(one.label, f"{one.at:%Y-%m-%d %H:%M}", one.account or "unknown", by)
    out().print(made)
