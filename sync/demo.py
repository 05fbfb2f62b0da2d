"""The demo: what leadgauge does, shown on both sandbox CRMs through the real client libraries."""

import tempfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from ibis import _
from rich.console import Console

from connectors.sandbox.run import Sandbox
from connectors.sandbox.scenario import ask, in_both
from core.decision import Output
from sync import show, templates
from sync.cycle import Cycle, run_cycle
from sync.dossier import dossiers
from sync.explain import explain
from sync.guards import Limits
from sync.neighbours import neighbours
from sync.sandbox import config_for
from sync.session import Clock, Outside, Session, open_session
from sync.stop import Stop

TOP = 8


def run(leads: int, seed: int, clock: Clock, stop: Stop, say: Callable[[str], None]) -> None:
    """Set up, sync three times and explain, in a folder that is thrown away."""
    say(f"starting a Salesforce and a HubSpot on loopback, {leads} leads each ...")
    with (
        Sandbox.start(seed=seed, leads=leads) as sandbox,
        tempfile.TemporaryDirectory() as name,
    ):
        folder = Path(name)
        (folder / "config.yaml").write_text(config_for(sandbox), encoding="utf-8")
        templates.write(folder, "weighted")
        config, outside = folder / "config.yaml", Outside(sandbox.environment(), clock)
        _ours, theirs = in_both(sandbox.salesforce_crm, sandbox.hubspot_crm, at=clock())
        out = show.out()
        with open_session(config, outside) as session:
            for connection, connector in session.connectors.items():
                missing = connector.missing_fields()
                problems = connector.create_fields(missing)
                say(f"{connection}: created {len(missing) - len(problems)} fields for the scores")
        say("first sync: everything is read, scored, routed and written ...")
        with open_session(config, outside) as session:
            first = _sync(session, stop)
            _report(out, first)
            _ranked(out, session)
            _written(out, first)
            _explained(out, session)
        say("second sync: nobody changed anything, so nothing is to be written ...")
        with open_session(config, outside) as session:
            _report(out, _sync(session, stop))
        say("somebody whom both CRMs know fills in a form in HubSpot; third sync ...")
        ask(sandbox.hubspot_crm, theirs, at=clock())
        with open_session(config, outside) as session:
            third = _sync(session, stop)
            _written(out, third)
            _joined(out, session, third)
        say("to play with it: leadgauge sandbox")


def _sync(session: Session, stop: Stop) -> Cycle:
    return run_cycle(
        session, kind="sync", stop=stop, progress=lambda *_: None, limits=Limits(change_share=0.5)
    )


def _report(out: Console, cycle: Cycle) -> None:
    for table in show.report(cycle.report):
        out.print(table)


def _ranked(out: Console, session: Session) -> None:
    """The best leads of each CRM, as a rep would see them there."""
    leads = session.facts.table("leads").filter(_.valid_to.isnull(), _.present.notnull())
    score = _.present.get(Output.SCORE.value).cast("decimal(18, 4)")
    for connection in session.connectors:
        made = show.table(
            f"\n{connection}: the best leads, as the CRM now holds them",
            "lead", "title", "score>", "tier", "stage", "reason",
        )  # fmt: skip
        best = leads.filter(_.connection == connection).order_by(score.desc(), _.id).limit(TOP)
        for row in best.to_pyarrow().to_pylist():
            held = dict(row["present"])
            columns = (Output.SCORE, Output.TIER, Output.STAGE, Output.REASON)
            values = (held.get(output, "-") for output in columns)
            made.add_row(row["id"], row["title"] or "-", *values)
        out.print(made)


def _written(out: Console, cycle: Cycle) -> None:
    """One record of each CRM with everything that was written to it."""
    for planned in cycle.plans:
        with_owner = (p for p in planned.changes if p.change.values.get(Output.OWNER))
        example = next(with_owner, next(iter(planned.changes)))
        change = example.change
        fields = planned.targets[change.object_type]
        made = show.table(
            f"\n{planned.connection}: written to {change.object_type} {change.id} "
            f"({example.owner_reason})",
            "field", "from", "to",
        )  # fmt: skip
        for output, value in change.values.items():
            made.add_row(fields[output].name, example.before.get(output) or "-", value or "-")
        out.print(made)


def _joined(out: Console, session: Session, cycle: Cycle) -> None:
    """The dossier of whom the cycle gave an owner in the first CRM: what the owner is to know."""
    out.print("\nits dossier, with what the same person did in the other CRM\n")
    for change in islice(cycle.plans[0].changes, 1):
        for page in dossiers(session, [change.change.id], session.clock()).values():
            out.print(page, markup=False, highlight=False, soft_wrap=True)


def _explained(out: Console, session: Session) -> None:
    """A lead of the first CRM whose score has decay in it, to the last point."""
    leads = session.facts.table("leads").filter(_.valid_to.isnull(), _.present.notnull())
    score = _.present.get(Output.SCORE.value).cast("decimal(18, 4)")
    halved = leads.filter(score != score.cast("int64")).order_by(score.desc(), _.id).limit(1)
    out.print("\none lead, explained to the last point")
    for row in halved.to_pyarrow().to_pylist():
        _explain(out, session, row["id"])


def _explain(out: Console, session: Session, lead_id: str) -> None:
    with neighbours(session, [lead_id], session.clock()) as around:
        decision, explanation = explain(around, [lead_id])[0]
    for table in show.explanation(decision, explanation):
        out.print(table)
