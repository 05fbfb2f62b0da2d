"""The first schema: runs, decisions, writes, quarantine, assignments, lease and heartbeat."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXTS = sa.JSON()


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(), nullable=nullable)


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, TIME, nullable=nullable)


def _of_run() -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["run_id"], ["runs.id"])


def _of_record() -> tuple[sa.Column[str], sa.Column[str], sa.Column[str], sa.PrimaryKeyConstraint]:
    names = ("connection", "object_type", "record_id")
    connection, object_type, record_id = (_text(name) for name in names)
    return connection, object_type, record_id, sa.PrimaryKeyConstraint(*names)


def upgrade() -> None:
    """Create everything."""
    _create_runs_and_decisions()
    _create_writes()
    _create_coordination()


def _create_runs_and_decisions() -> None:
    op.create_table(
        "runs",
        _text("id"),
        _text("kind"),
        _text("model"),
        _time("started_at"),
        _time("finished_at", nullable=True),
        _text("status"),
        sa.Column("counts", TEXTS, nullable=False),
        sa.Column("calls", TEXTS, nullable=False),
        sa.Column("error", sa.Text()),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_runs_started_at", "runs", ["started_at"])
    op.create_table(
        "decisions",
        sa.Column("id", NUMBER, primary_key=True),
        _text("connection"),
        _text("lead_id"),
        _text("object_type"),
        _text("run_id"),
        _time("at"),
        sa.Column("score", sa.BigInteger(), nullable=False),
        _text("tier", nullable=True),
        _text("stage", nullable=True),
        _text("owner_id", nullable=True),
        sa.Column("owner_reason", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        _text("model"),
        sa.Column("latest", sa.Boolean(), nullable=False),
        _of_run(),
    )
    op.create_index("ix_decisions_lead", "decisions", ["connection", "lead_id"])
    op.create_index(
        "uq_decisions_latest",
        "decisions",
        ["connection", "lead_id"],
        unique=True,
        sqlite_where=sa.text("latest"),
        postgresql_where=sa.text("latest"),
    )


def _create_writes() -> None:
    op.create_table(
        "written",
        *_of_record(),
        sa.Column("values", TEXTS, nullable=False),
        _text("run_id", nullable=True),
        _time("at"),
        _of_run(),
    )
    op.create_table(
        "intents",
        sa.Column("id", NUMBER, primary_key=True),
        _text("connection"),
        _text("object_type"),
        _text("record_id"),
        _text("run_id"),
        sa.Column("values", TEXTS, nullable=False),
        _time("at"),
        _text("state"),
        _time("settled_at", nullable=True),
        _of_run(),
    )
    op.create_index("ix_intents_record", "intents", ["connection", "object_type", "record_id"])
    op.create_index("ix_intents_state", "intents", ["connection", "state"])
    op.create_table(
        "quarantine",
        *_of_record(),
        sa.Column("values", TEXTS, nullable=False),
        _text("code"),
        sa.Column("reason", sa.Text(), nullable=False),
        _time("first_seen"),
        _time("last_seen"),
        sa.Column("tries", sa.Integer(), nullable=False),
        _text("run_id", nullable=True),
        _of_run(),
    )


def _create_coordination() -> None:
    op.create_table(
        "assignments",
        _text("connection"),
        _text("lead_id"),
        _text("owner_id"),
        sa.Column("reason", sa.Text(), nullable=False),
        _text("run_id"),
        _time("at"),
        sa.PrimaryKeyConstraint("connection", "lead_id"),
        _of_run(),
    )
    op.create_index("ix_assignments_owner_id", "assignments", ["owner_id"])
    op.create_table(
        "leases",
        _text("name"),
        _text("holder"),
        _time("expires_at"),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table("heartbeats", _text("name"), _time("at"), sa.PrimaryKeyConstraint("name"))
