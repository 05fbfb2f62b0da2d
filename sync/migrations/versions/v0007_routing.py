"""What routing remembers: turns, every lead that was given, who waits, and when calls are due."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)


def _run() -> sa.Column[str]:
    return sa.Column("run_id", sa.String(), sa.ForeignKey("runs.id"), nullable=False)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "turns",
        sa.Column("connection", sa.String(), primary_key=True),
        sa.Column("pool", sa.String(), primary_key=True),
        sa.Column("owner_id", sa.String(), primary_key=True),
        sa.Column("level", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "given",
        sa.Column("id", NUMBER, primary_key=True),
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("lead_id", sa.String(), nullable=False),
        sa.Column("owner_id", sa.String(), nullable=False),
        sa.Column("pool", sa.String()),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("account_id", sa.String()),
        sa.Column("at", TIME, nullable=False),
        _run(),
    )
    op.create_index("ix_given_lead", "given", ["connection", "lead_id"])
    op.create_index("ix_given_at", "given", ["connection", "at"])
    op.create_index("ix_given_run", "given", ["run_id"])
    op.create_table(
        "rounds",
        sa.Column("run_id", sa.String(), sa.ForeignKey("runs.id"), primary_key=True),
        sa.Column("connection", sa.String(), primary_key=True),
        sa.Column("pool", sa.String(), primary_key=True),
        sa.Column("standings", sa.JSON(), nullable=False),
    )
    op.create_table(
        "waiting",
        sa.Column("connection", sa.String(), primary_key=True),
        sa.Column("lead_id", sa.String(), primary_key=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("since", TIME, nullable=False),
        _run(),
    )
    op.create_table(
        "timers",
        sa.Column("connection", sa.String(), primary_key=True),
        sa.Column("lead_id", sa.String(), primary_key=True),
        sa.Column("started_at", TIME, primary_key=True),
        sa.Column("owner_id", sa.String(), nullable=False),
        sa.Column("qualified_at", TIME, nullable=False),
        sa.Column("due_at", TIME, nullable=False, index=True),
        sa.Column("called_at", TIME),
        _run(),
    )
