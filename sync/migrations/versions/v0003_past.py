"""The past that decisions rest on: stages, hand-offs, overrides, and as of when scores are.

Stages and hand-offs are rebuilt from the decisions there are, so that nobody is handed off twice.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_STAGES = """
WITH changed AS (
    SELECT connection, lead_id, at, stage, run_id, id,
        stage IN ('MQL', 'PQL', 'SQL', 'SQL pending') AND stage IS NOT NULL AS good,
        lag(stage) OVER (PARTITION BY connection, lead_id ORDER BY id) AS prior
    FROM decisions
), moved AS (
    SELECT *, coalesce(prior IN ('MQL', 'PQL', 'SQL', 'SQL pending'), false) AS was_good
    FROM changed WHERE stage IS DISTINCT FROM prior
), newest AS (
    SELECT *, row_number() OVER (PARTITION BY connection, lead_id, at ORDER BY id DESC) AS place
    FROM moved
)
INSERT INTO stages (connection, lead_id, at, stage, cycle, qualified_at, left_at, run_id)
SELECT connection, lead_id, at, stage,
    sum(CASE WHEN good AND NOT was_good THEN 1 ELSE 0 END) OVER so_far,
    max(CASE WHEN good AND NOT was_good THEN at END) OVER so_far,
    max(CASE WHEN was_good AND NOT good THEN at END) OVER so_far,
    run_id
FROM newest WHERE place = 1
WINDOW so_far AS (PARTITION BY connection, lead_id ORDER BY id)
"""

_HANDOFFS = """
INSERT INTO handoffs (connection, lead_id, cycle, stage, at, run_id)
SELECT connection, lead_id, cycle, stage, at, run_id FROM (
    SELECT *, row_number() OVER (PARTITION BY connection, lead_id, cycle ORDER BY at) AS place
    FROM stages WHERE stage = 'SQL'
) AS crossings WHERE place = 1
"""


def upgrade() -> None:
    """Create the tables, and fill in what the decisions say."""
    _create_stages()
    _create_overrides()
    op.execute(_STAGES)
    op.execute(_HANDOFFS)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(), nullable=nullable)


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _create_stages() -> None:
    op.create_table(
        "stages",
        _text("lead_id"),
        _text("connection"),
        _time("at"),
        _text("stage", nullable=True),
        sa.Column("cycle", sa.Integer(), nullable=False),
        _time("qualified_at", nullable=True),
        _time("left_at", nullable=True),
        _text("run_id"),
        sa.PrimaryKeyConstraint("lead_id", "connection", "at"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"]),
    )
    op.create_table(
        "handoffs",
        _text("connection"),
        _text("lead_id"),
        sa.Column("cycle", sa.Integer(), nullable=False),
        _text("stage"),
        _time("at"),
        _text("run_id"),
        sa.PrimaryKeyConstraint("connection", "lead_id", "cycle"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"]),
    )
    op.create_index("ix_handoffs_at", "handoffs", ["at"])
    op.create_table(
        "scored",
        _text("connection"),
        _time("at"),
        _text("run_id"),
        sa.PrimaryKeyConstraint("connection"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"]),
    )


def _create_overrides() -> None:
    op.create_table(
        "overrides",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        _text("connection"),
        _text("lead_id"),
        _text("kind"),
        _text("value"),
        sa.Column("reason", sa.Text(), nullable=False),
        _text("by"),
        _time("at"),
        _time("until"),
        _time("removed_at", nullable=True),
        _text("removed_by", nullable=True),
    )
    op.create_index("ix_overrides_lead", "overrides", ["connection", "lead_id"])
