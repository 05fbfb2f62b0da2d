"""Texts of records are values wherever they end up: in a spreadsheet, a query, an address."""

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from connectors import registry
from core.spreadsheet import plain
from sync.exits import Exit
from tests.live import Live, live

pytestmark = pytest.mark.filterwarnings("ignore:fetch_record_batch:DeprecationWarning")

NOON = datetime(2026, 1, 10, 12, tzinfo=UTC)
LETTERS = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
FORMULAS = st.from_regex(
    r"'*[=+\-@\t\r].{0,8}", fullmatch=True, alphabet=LETTERS
) | st.sampled_from(
    ['=HYPERLINK("//x.example","a")', "+1,2", "@SUM(A1)", '-2+3+cmd|"/c calc"!A0', '="a"\n=1']
)
ODD = (FORMULAS | st.text(LETTERS, min_size=1)).filter(lambda text: text == text.strip())
"""A CRM's ids and names as nobody expects them; around a value spaces mean nothing."""


def exported(folder: Path, name: str, rows: list[dict[str, Any]]) -> None:
    """Rows as a CSV file of a CRM."""
    with (folder / name).open("w", encoding="utf-8", newline="") as lines:
        writer = csv.DictWriter(lines, [*rows[0], "modified_at"])
        writer.writeheader()
        writer.writerows({**row, "modified_at": NOON.isoformat()} for row in rows)


def of_files(world: Live, ids: list[str], word: str) -> None:
    """Leads with such ids and accounts, of a CRM that exports files; a word of the same kind is the
    name of the tier, and of the rule that their reason tells of."""
    known = {"title": "CTO", "email_opt_out": "false"}
    rows = [
        {"id": key, "account_id": key, "email": f"={n}+1@x.example", **known}
        for n, key in enumerate(ids)
    ]
    exported(world.folder, "leads.csv", rows)
    world.connect = registry.open
    crm = {"kind": "files", "folder": str(world.folder), "leads": "leads.csv"}
    audience = {"name": "all", "when": {"title": "CTO"}}
    nurture = {"tracks": [{"name": "t", "steps": ["1 day"]}], "audiences": [audience]}
    world.config.write_text(yaml.safe_dump({"connections": {"crm": crm}, "nurture": nurture}))
    fit = [{"id": "cto", "points": -7, "when": {"title": "CTO"}}]
    model: dict[str, Any] = {"name": "m", "thresholds": {"mql": 1, "sql": 2}, "fit": fit}
    (world.folder / "model.yaml").write_text(yaml.safe_dump({**model, "tiers": {word: -9}}))


def within(ids: list[str], check: Callable[[Live], None], word: str = "A") -> None:
    """Check something in a world of such leads, after a sync."""
    with TemporaryDirectory() as folder, live(Path(folder)) as world:
        of_files(world, ids, word)
        world.sync()
        check(world)


@pytest.mark.slow
@settings(max_examples=4, deadline=None, phases=[Phase.generate])
@given(st.lists(ODD, min_size=20, max_size=40, unique=True), FORMULAS)
def test_no_cell_is_a_formula(ids: list[str], word: str) -> None:
    """Whatever a CRM calls its records, and a model its tiers: no text in what `audience` and
    `replay` print is a formula to a spreadsheet, each is read back as it was, and a negative score
    is still a number."""

    def check(world: Live) -> None:
        for command in (["audience", "all"], ["replay"]):
            outcome = world.run(*command)
            assert outcome.code == Exit.DONE, outcome.err
            rows = list(csv.DictReader(io.StringIO(outcome.out, newline="")))
            assert {plain(row["lead_id"]) for row in rows} == set(ids)
            assert {row.pop("score") for row in rows} == {"-7"}
            assert {plain(row["tier"]) for row in rows} == {word}
            assert not [c for row in rows for c in row.values() if c[:1] in set("=+-@\t\r")]

    within(ids, check, word)


SQL = st.sampled_from(["x' OR '1'='1", "x'; DROP TABLE runs; --", "%", "_", '"', "\\", ":id", "$1"])

VALUES = (ODD | SQL).filter(lambda text: not text.startswith("-"))
"""Ids that are no options of a command."""


@pytest.mark.slow
@settings(max_examples=3, deadline=None, phases=[Phase.generate])
@given(st.lists(VALUES, min_size=3, max_size=3, unique=True))
def test_an_id_on_the_command_line_is_a_value(ids: list[str]) -> None:
    """Given any text, `explain`, `retry` and `audit` tell of the record with that id alone, and
    say so where there is none; the ledger stays as it was."""
    *known, other = ids

    def check(world: Live) -> None:
        for key in known:
            (found,) = world.run("explain", key, "--json").json
            assert found["lead_id"] == key
            entries = world.run("audit", key, "--json")
            assert {entry["lead_id"] for entry in entries.json["entries"]} == {key}
        assert world.run("explain", other).code == Exit.USAGE
        assert world.run("audit", other, "--json").json["entries"] == []
        for key in (*known, other):
            assert f"{key} is not in quarantine" in world.run("retry", key).err
        assert world.run("audit").code == Exit.DONE
        with world.ledger() as ledger:
            assert len(ledger.runs(10)) == 1

    within(known, check)
