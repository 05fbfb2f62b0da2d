"""Scoring beside the same model written by hand as DuckDB SQL, in one run.

    python -m tests.bench.scoring --leads 1000000 --activities 20000000 --rules 16 50 150

Prints, for each number of rules, seconds, processor time (steadier on a busy machine), the ratios,
and the peak memory of the process; fails unless both give every lead the same score. Each side
runs in a process of its own, on the same database file, `--repeat` times in turn; the best counts.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import duckdb
import ibis
import yaml
from ibis.expr.types import Table

from core.facts import ACCOUNTS, ACTIVITIES, LEADS
from core.known import Facts
from core.rules import Model, parse
from core.scoring import score

AT = datetime(2026, 6, 1, tzinfo=UTC)

DATA = """
CREATE TABLE leads AS SELECT {leads} FROM (
    SELECT 'crm' AS connection, printf('00Q%015d', i) AS id, 'Lead' AS object_type,
        TIMESTAMPTZ '2025-01-01 00:00:00+00' AS modified_at,
        TIMESTAMPTZ '2025-01-01 00:00:00+00' AS valid_from, NULL AS valid_to,
        CASE WHEN hash(i, 1) % 50 > 0 THEN 'p' || i || '@x.example' END AS email,
        CASE hash(i, 2) % 6 WHEN 0 THEN 'technology' WHEN 1 THEN 'healthcare'
            WHEN 2 THEN 'education' WHEN 3 THEN 'retail' WHEN 4 THEN 'energy' END AS industry,
        CASE hash(i, 3) % 5 WHEN 0 THEN 'executive' WHEN 1 THEN 'manager' WHEN 2 THEN 'director'
            WHEN 3 THEN 'staff' END AS seniority,
        CASE hash(i, 4) % 4 WHEN 0 THEN 'US' WHEN 1 THEN 'DE' WHEN 2 THEN 'JP' END AS country,
        CASE hash(i, 4) % 4 WHEN 0 THEN 'north_america' WHEN 1 THEN 'europe' WHEN 2 THEN 'asia' END
            AS region,
        CASE WHEN hash(i, 5) % 3 > 0 THEN printf('001%015d', hash(i, 6) % {n_accounts}) END
            AS account_id
    FROM range({n_leads}) AS numbers(i)
);
CREATE TABLE accounts AS SELECT {accounts} FROM (
    SELECT 'crm' AS connection, printf('001%015d', i) AS id, 'Account' AS object_type,
        TIMESTAMPTZ '2025-01-01 00:00:00+00' AS modified_at,
        TIMESTAMPTZ '2025-01-01 00:00:00+00' AS valid_from, NULL AS valid_to,
        CASE hash(i, 2) % 3 WHEN 0 THEN 'technology' WHEN 1 THEN 'energy' END AS industry,
        CASE hash(i, 4) % 2 WHEN 0 THEN 'CA' END AS country,
        CASE hash(i, 4) % 2 WHEN 0 THEN 'north_america' END AS region
    FROM range({n_accounts}) AS numbers(i)
);
CREATE TABLE activities AS SELECT {activities} FROM (
    SELECT 'crm' AS connection, printf('00T%015d', i) AS id, 'Task' AS object_type,
        printf('00Q%015d', (hash(i, 1) % {n_leads})::BIGINT) AS lead_id, kind AS type,
        to_timestamp(1780272000 - hash(i, 3) % 15552000) AS occurred_at,
        occurred_at AS modified_at, occurred_at AS valid_from,
        CASE kind WHEN 'page_view' THEN CASE hash(i, 4) % 20 WHEN 0 THEN '/pricing'
                WHEN 1 THEN '/blog/' || hash(i, 5) % 50 ELSE '/page/' || hash(i, 5) % 200 END
            WHEN 'download' THEN CASE hash(i, 4) % 2 WHEN 0 THEN 'Product datasheet'
                ELSE 'White paper ' || hash(i, 5) % 20 END END AS asset,
        CASE WHEN kind = 'download' AND hash(i, 6) % 3 = 0 THEN 'email' ELSE 'web' END AS channel
    FROM (SELECT i, CASE WHEN hash(i, 2) % 100 < 40 THEN 'page_view'
            WHEN hash(i, 2) % 100 < 70 THEN 'email_open'
            WHEN hash(i, 2) % 100 < 80 THEN 'email_click'
            WHEN hash(i, 2) % 100 < 85 THEN 'download'
            WHEN hash(i, 2) % 100 < 88 THEN 'webinar_attended' ELSE 'call' END AS kind
        FROM range({n_activities}) AS numbers(i))
);
CREATE TABLE aliases AS
    SELECT 'crm' AS connection, 'leads' AS table_name, printf('00Q%015d', {n_leads} - 1 - i) AS id,
        printf('00Q%015d', i) AS survivor
    FROM range({n_leads} // 1000) AS numbers(i);
DELETE FROM leads WHERE id IN (SELECT id FROM aliases);
"""
"""A made-up base: two fifths of the activities are page views, nearly a third e-mail opens."""


def model_of(rules: int) -> Model:
    """The default preset, filled up to a number of rules with points for single pages."""
    text = resources.files("core.presets").joinpath("weighted.yaml").read_text()
    data = yaml.safe_load(text)
    pages = [
        {
            "id": f"page-{n}",
            "points": 1,
            "count": "each",
            "cap": 3,
            "when": {"type": "page_view", "asset": f"/page/{n}"},
        }
        for n in range(rules - len(parse(data).fit_rules) - len(data["behaviour"]))
    ]
    return parse({**data, "behaviour": [*data["behaviour"], *pages]})


def build(path: Path, leads: int, activities: int) -> None:
    """Fill a DuckDB file with facts."""

    def columns(table: Any, given: set[str]) -> str:
        kinds = {"string": "VARCHAR", "int64": "BIGINT", "boolean": "BOOLEAN"}
        names = []
        for name, kind in table.schema.items():
            if name in given:
                names.append(name)
            else:
                text = "VARCHAR[]" if kind.is_array() else kinds.get(str(kind).strip("!"))
                text = text or ("MAP(VARCHAR, VARCHAR)" if kind.is_map() else None)
                text = text or ("DECIMAL(20, 2)" if kind.is_decimal() else "TIMESTAMPTZ")
                names.append(f"NULL::{text} AS {name}")
        return ", ".join(names)

    ids = {"connection", "id", "object_type", "modified_at"}
    firm = {"valid_from", "industry", "country", "region"}
    with duckdb.connect(str(path)) as engine:
        engine.execute(
            DATA.format(
                n_leads=leads,
                n_activities=activities,
                n_accounts=max(leads // 20, 1),
                leads=columns(LEADS, ids | firm | {"email", "seniority", "account_id"}),
                accounts=columns(ACCOUNTS, ids | firm),
                activities=columns(
                    ACTIVITIES,
                    ids | {"lead_id", "type", "occurred_at", "asset", "channel", "valid_from"},
                ),
            )
        )


HAND = """
WITH event AS (
    SELECT coalesce(alias.survivor, activity.lead_id) AS lead_id, type, asset, channel, occurred_at
    FROM activities AS activity
    LEFT JOIN aliases AS alias ON alias.table_name = 'leads' AND alias.id = activity.lead_id
        AND alias.connection = activity.connection
    WHERE occurred_at <= TIMESTAMPTZ '2026-06-01 00:00:00+00'
), counted AS (
    SELECT lead_id,
        count(*) FILTER (WHERE type = 'page_view' AND asset = '/pricing') AS pricing,
        count(*) FILTER (WHERE type = 'page_view' AND starts_with(asset, '/blog')) AS blog,
        count(*) FILTER (WHERE type = 'download' AND contains(asset, 'datasheet')) AS datasheet,
        count(*) FILTER (WHERE type = 'webinar_attended') AS webinar,
        list(occurred_at) FILTER (WHERE type = 'webinar_attended'
            AND occurred_at < TIMESTAMPTZ '2026-03-03 00:00:00+00') AS webinars,
        max(occurred_at) FILTER (WHERE type = 'email_open') AS opened,
        max(occurred_at) FILTER (WHERE type = 'email_click') AS clicked,
        max(occurred_at) FILTER (WHERE type = 'download' AND channel = 'email') AS downloaded,
        max(occurred_at) FILTER (WHERE type IN ('email_open', 'email_click', 'webinar_attended')
            OR type = 'download' AND (channel = 'email' OR contains(asset, 'datasheet'))
            OR type = 'page_view' AND (asset = '/pricing' OR starts_with(asset, '/blog'))
            ) AS engaged
    FROM event GROUP BY lead_id
), paged AS (
    SELECT lead_id, asset, count(*) AS views, max(occurred_at) AS engaged
    FROM event JOIN pages USING (asset) WHERE type = 'page_view' GROUP BY lead_id, asset
), page AS (
    SELECT lead_id, sum(least(views, 3)) AS points, max(engaged) AS engaged
    FROM paged GROUP BY lead_id
), behaviour AS (
    SELECT lead_id, 20 * (pricing > 0)::INT + 5 * blog + 15 * (datasheet > 0)::INT
        + coalesce(page.points, 0)
        + 10 * (webinar - CASE WHEN webinars IS NULL THEN 0 ELSE
            len([w for w in webinars
                if w >= date_trunc('day', greatest(counted.engaged, page.engaged))]) END)
        + CASE WHEN opened IS NULL THEN 0 WHEN opened < t THEN 1 ELSE 2 END
        + CASE WHEN clicked IS NULL THEN 0 WHEN clicked < t THEN 2.5 ELSE 5 END
        + CASE WHEN downloaded IS NULL THEN 0 WHEN downloaded < t THEN 5 ELSE 10 END AS points
    FROM counted LEFT JOIN page USING (lead_id), (SELECT TIMESTAMPTZ '2026-05-02 00:00:00+00' AS t)
), fit AS (
    SELECT lead.id AS lead_id, email, phone,
        CASE coalesce(lead.industry, account.industry) WHEN 'technology' THEN 20
            WHEN 'healthcare' THEN 10 WHEN 'education' THEN 5 ELSE 0 END
        + CASE WHEN seniority = 'executive' THEN 15
            WHEN seniority IN ('manager', 'director') THEN 10 ELSE 0 END
        + CASE CASE WHEN lead.country IS NULL AND lead.region IS NULL THEN account.region
            ELSE lead.region END WHEN 'north_america' THEN 10 WHEN 'europe' THEN 5 ELSE 0 END
        AS points
    FROM leads AS lead LEFT JOIN accounts AS account ON account.id = lead.account_id
        AND account.connection = lead.connection AND account.valid_to IS NULL
    WHERE lead.valid_to IS NULL
)
SELECT lead_id,
    ((fit.points + coalesce(behaviour.points, 0)) * 10000)::BIGINT AS score
FROM fit LEFT JOIN behaviour USING (lead_id)
WHERE email IS NOT NULL OR phone IS NOT NULL OR behaviour.points IS NOT NULL
"""
"""The same model as a person would write it: one pass of filtered aggregates for the rules of
the preset, and a join and a second grouping for the single pages."""


def by_hand(engine: duckdb.DuckDBPyConnection, model: Model) -> str:
    """The hand-written SQL."""
    pages = [(f"/page/{rule.id[5:]}",) for rule in model.behaviour if rule.id[:5] == "page-"]
    engine.execute("CREATE TEMP TABLE pages (asset VARCHAR)")
    if pages:
        engine.executemany("INSERT INTO pages VALUES (?)", pages)
    return HAND


def run(side: str, path: Path, rules: int, memory: str) -> None:
    """One measurement: seconds, processor time, memory in MB, a fingerprint of all scores."""
    backend = ibis.duckdb.connect(
        str(path), read_only=True, memory_limit=memory, temp_directory=f"{path}.{os.getpid()}"
    )
    backend.raw_sql("SET TimeZone = 'UTC'")
    model = model_of(rules)
    start, worked = time.perf_counter(), time.process_time()
    if side == "hand":
        sql = by_hand(backend.con, model)
        backend.raw_sql(f"CREATE TEMP TABLE result AS {sql}")
    else:
        scores = compiled(backend, model)
        backend.create_table("result", scores, temp=True)
    seconds, processor = time.perf_counter() - start, time.process_time() - worked
    found = backend.raw_sql(
        "SELECT count(*), sum(score), bit_xor(hash(lead_id, score)) FROM result"
    ).fetchone()
    memory_used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    result = {
        "seconds": seconds,
        "processor": processor,
        "memory": memory_used,
        "scores": list(map(str, found)),
    }
    print(json.dumps(result))  # noqa: T201


def compiled(backend: Any, model: Model) -> Table:
    """The compiled model's scores."""
    tables = (backend.table(name) for name in ("leads", "accounts", "activities", "aliases"))
    return score(model, Facts(*tables), AT).scores.select("lead_id", "score")


def measure(side: str, path: Path, rules: int, memory: str) -> dict[str, Any]:
    """Run one side in a process of its own."""
    command = [sys.executable, "-m", __spec__.name, "--run", side, "--file", str(path)]
    command += ["--rules", str(rules), "--memory", memory]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


def main() -> None:
    """Build the base, measure both sides, print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--leads", type=int, default=1_000_000)
    parser.add_argument("--activities", type=int, default=20_000_000)
    parser.add_argument("--rules", type=int, nargs="+", default=[14, 50, 150])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--memory", default="1500MB", help="what DuckDB may use")
    parser.add_argument("--file", type=Path, help="a base to use, made if it is not there")
    parser.add_argument("--run", choices=["hand", "ibis"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        run(args.run, args.file, args.rules[0], args.memory)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = args.file or Path(folder) / "facts.duckdb"
        if not path.exists():
            build(path, args.leads, args.activities)
        for rules in args.rules:
            report(path, rules, args.repeat, args.memory)


def report(path: Path, rules: int, repeat: int, memory: str) -> None:
    """Measure both sides in turn and print a line. AssertionError: their scores differ."""
    runs = [(s, measure(s, path, rules, memory)) for _ in range(repeat) for s in ("hand", "ibis")]
    assert len({tuple(result["scores"]) for _, result in runs}) == 1, "the scores differ"
    seconds, processor, memory_used = (
        {
            side: pick(result[key] for whose, result in runs if whose == side)
            for side in ("hand", "ibis")
        }
        for key, pick in (("seconds", min), ("processor", min), ("memory", max))
    )
    for side, name in (("hand", "by hand"), ("ibis", "compiled")):
        print(  # noqa: T201
            f"{rules:4} rules {name}: {seconds[side]:6.2f} s, "
            f"{processor[side]:6.2f} s of processor time, {memory_used[side]:5.0f} MB"
        )
    print(  # noqa: T201
        f"           ratio: {seconds['ibis'] / seconds['hand']:.2f}, "
        f"of processor time {processor['ibis'] / processor['hand']:.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
