"""The ledger's tables, the same in SQLite and PostgreSQL.

Rows name records by their ids alone: no secret, and nothing about a person. The migrations in
`sync/migrations` build these tables; a test holds both to the same columns.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    text,
)


class UtcTime(TypeDecorator[datetime]):
    """An instant: aware going in, aware UTC coming out, in any database."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC. Raises ValueError for a time without a zone."""
        del dialect
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time in the ledger must have a time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """SQLite gives the time back without its zone, PostgreSQL in the session's."""
        del dialect
        if value is None:
            return None
        stamp: datetime = value
        return stamp.replace(tzinfo=UTC) if stamp.tzinfo is None else stamp.astimezone(UTC)


class Exact(TypeDecorator[Decimal]):
    """A number that stays exact in any database: as text, without zeros behind it."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:
        """To plain decimals."""
        del dialect
        return None if value is None else f"{value.normalize():f}"

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        """From plain decimals."""
        del dialect
        return None if value is None else Decimal(value)


METADATA = MetaData()


def _record() -> list[Column[Any]]:
    """The columns that name a record of a CRM; together they are the key."""
    return [
        Column("connection", String, primary_key=True),
        Column("object_type", String, primary_key=True),
        Column("record_id", String, primary_key=True),
    ]


def _run(*, nullable: bool = False) -> Column[Any]:
    return Column("run_id", String, ForeignKey("runs.id"), nullable=nullable)


RUNS = Table(
    "runs",
    METADATA,
    Column("id", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("model", String, nullable=False),
    Column("started_at", UtcTime, nullable=False, index=True),
    Column("finished_at", UtcTime),
    Column("status", String, nullable=False),
    Column("counts", JSON, nullable=False),
    Column("calls", JSON, nullable=False),
    Column("error", Text),
)

DECISIONS = Table(
    "decisions",
    METADATA,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("connection", String, nullable=False),
    Column("lead_id", String, nullable=False),
    Column("object_type", String, nullable=False),
    _run(),
    Column("at", UtcTime, nullable=False),
    Column("score", BigInteger, nullable=False),
    Column("tier", String),
    Column("stage", String),
    Column("owner_id", String),
    Column("owner_reason", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("model", String, nullable=False),
    Column("latest", Boolean, nullable=False),
    # What was predicted, from 0 to 1. Null: nothing, or decided before it was kept.
    Column("probability", Exact),
    # What these parts came to before weighting. Null: decided before they were kept.
    Column("fit", BigInteger),
    Column("behaviour", BigInteger),
)
Index("ix_decisions_lead", DECISIONS.c.connection, DECISIONS.c.lead_id)
Index(
    "uq_decisions_latest",
    DECISIONS.c.connection,
    DECISIONS.c.lead_id,
    unique=True,
    sqlite_where=text("latest"),
    postgresql_where=text("latest"),
)

WRITTEN = Table(
    "written",
    METADATA,
    *_record(),
    Column("values", JSON, nullable=False),
    _run(nullable=True),
    Column("at", UtcTime, nullable=False),
)

INTENTS = Table(
    "intents",
    METADATA,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("connection", String, nullable=False),
    Column("object_type", String, nullable=False),
    Column("record_id", String, nullable=False),
    _run(),
    Column("values", JSON, nullable=False),
    Column("before", JSON(none_as_null=True)),
    Column("at", UtcTime, nullable=False),
    Column("state", String, nullable=False),
    Column("settled_at", UtcTime),
    # The job of the CRM that carries it out, where one does.
    Column("job", String),
)
Index("ix_intents_record", INTENTS.c.connection, INTENTS.c.object_type, INTENTS.c.record_id)
Index("ix_intents_state", INTENTS.c.connection, INTENTS.c.state)
Index("ix_intents_run", INTENTS.c.run_id)

QUARANTINE = Table(
    "quarantine",
    METADATA,
    *_record(),
    Column("values", JSON, nullable=False),
    Column("code", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("first_seen", UtcTime, nullable=False),
    Column("last_seen", UtcTime, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("next_try", UtcTime),
    Column("fields", String),
    Column("modified_at", UtcTime),
    _run(nullable=True),
)

HELD = Table(
    "held",
    METADATA,
    *_record(),
    Column("output", String, primary_key=True),
    Column("value", String, nullable=False),
    Column("since", UtcTime, nullable=False),
    Column("until", UtcTime),
)

ASSIGNMENTS = Table(
    "assignments",
    METADATA,
    Column("connection", String, primary_key=True),
    Column("lead_id", String, primary_key=True),
    Column("owner_id", String, nullable=False, index=True),
    Column("reason", Text, nullable=False),
    _run(),
    Column("at", UtcTime, nullable=False),
)

TURNS = Table(
    "turns",
    METADATA,
    Column("connection", String, primary_key=True),
    Column("pool", String, primary_key=True),
    Column("owner_id", String, primary_key=True),
    Column("level", BigInteger, nullable=False),
)

GIVEN = Table(
    "given",
    METADATA,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("connection", String, nullable=False),
    Column("lead_id", String, nullable=False),
    Column("owner_id", String, nullable=False),
    Column("pool", String),
    Column("reason", Text, nullable=False),
    Column("account_id", String),
    Column("at", UtcTime, nullable=False),
    _run(),
    # The record of the same person whose owner it was given: it is not counted again.
    Column("follows", String),
)
Index("ix_given_lead", GIVEN.c.connection, GIVEN.c.lead_id)
Index("ix_given_at", GIVEN.c.connection, GIVEN.c.at)
Index("ix_given_run", GIVEN.c.run_id)

ROUNDS = Table(
    "rounds",
    METADATA,
    Column("run_id", String, ForeignKey("runs.id"), primary_key=True),
    Column("connection", String, primary_key=True),
    Column("pool", String, primary_key=True),
    Column("standings", JSON, nullable=False),
)

WAITING = Table(
    "waiting",
    METADATA,
    Column("connection", String, primary_key=True),
    Column("lead_id", String, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("rank", Integer, nullable=False),
    Column("since", UtcTime, nullable=False),
    _run(),
)

TIMERS = Table(
    "timers",
    METADATA,
    Column("connection", String, primary_key=True),
    Column("lead_id", String, primary_key=True),
    Column("started_at", UtcTime, primary_key=True),
    Column("owner_id", String, nullable=False),
    Column("qualified_at", UtcTime, nullable=False),
    Column("due_at", UtcTime, nullable=False, index=True),
    Column("called_at", UtcTime),
    _run(),
)

RATES = Table(
    "rates",
    METADATA,
    Column("connection", String, primary_key=True),
    Column("rate", String, primary_key=True),
    Column("lots", JSON, nullable=False),
)

QUOTAS = Table(
    "quotas",
    METADATA,
    Column("connection", String, primary_key=True),
    Column("used", BigInteger, nullable=False),
    Column("limit", BigInteger, nullable=False),
    Column("at", UtcTime, nullable=False),
)

LEASES = Table(
    "leases",
    METADATA,
    Column("name", String, primary_key=True),
    Column("holder", String, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
)

HEARTBEATS = Table(
    "heartbeats",
    METADATA,
    Column("name", String, primary_key=True),
    Column("at", UtcTime, nullable=False),
)

STATES = Table(
    "states",
    METADATA,
    Column("name", String, primary_key=True),
    Column("state", String, nullable=False),
    Column("at", UtcTime, nullable=False),
)

SIGN_OFFS = Table(
    "sign_offs",
    METADATA,
    Column("version", String, primary_key=True),
    Column("team", String, primary_key=True),
    Column("model", String, nullable=False),
    Column("at", UtcTime, nullable=False),
    # Null: signed before persons were asked for.
    Column("by", String),
)

MODELS = Table(
    "models",
    METADATA,
    Column("version", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    # Null: kept before accounts were.
    Column("account", String),
    # As CSV. Null: it names no file of them, or was kept before they were.
    Column("networks", Text),
)

STAGES = Table(
    "stages",
    METADATA,
    # The lead comes first: it is what every question but that for all leads asks by.
    Column("lead_id", String, primary_key=True),
    Column("connection", String, primary_key=True),
    Column("at", UtcTime, primary_key=True),
    Column("stage", String),
    Column("cycle", Integer, nullable=False),
    Column("qualified_at", UtcTime),
    Column("left_at", UtcTime),
    _run(),
)

HANDOFFS = Table(
    "handoffs",
    METADATA,
    Column("connection", String, primary_key=True),
    Column("lead_id", String, primary_key=True),
    Column("cycle", Integer, primary_key=True),
    Column("stage", String, nullable=False),
    Column("at", UtcTime, nullable=False, index=True),
    _run(),
    # The record of the same person that is told of in its stead.
    Column("follows", String),
)

NOTICES = Table(
    "notices",
    METADATA,
    Column("connection", String, primary_key=True),
    Column("lead_id", String, primary_key=True),
    Column("kind", String, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("way", String, primary_key=True),
    Column("what", String, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("state", String, nullable=False, index=True),
    Column("tries", Integer, nullable=False),
    Column("next_try", UtcTime),
    Column("error", Text),
    Column("settled_at", UtcTime),
    _run(),
)

SURGES = Table(
    "surges",
    METADATA,
    Column("connection", String, primary_key=True),
    Column("lead_id", String, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("rise", BigInteger, nullable=False),
    Column("at", UtcTime, nullable=False),
    _run(),
)

ANSWERS = Table(
    "answers",
    METADATA,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("connection", String, nullable=False),
    Column("lead_id", String, nullable=False),
    Column("cycle", Integer, nullable=False),
    Column("accepted", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("by", String, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("stage", String),
    Column("score", BigInteger, nullable=False),
)
Index("ix_answers_lead", ANSWERS.c.connection, ANSWERS.c.lead_id)

OVERRIDES = Table(
    "overrides",
    METADATA,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("connection", String, nullable=False),
    Column("lead_id", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("value", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("by", String, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("until", UtcTime, nullable=False),
    Column("removed_at", UtcTime),
    Column("removed_by", String),
)
Index("ix_overrides_lead", OVERRIDES.c.connection, OVERRIDES.c.lead_id)

SCORED = Table(
    "scored",
    METADATA,
    Column("connection", String, primary_key=True),
    Column("at", UtcTime, nullable=False),
    _run(),
)

AUDIT = Table(
    "audit",
    METADATA,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("act", String, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("detail", JSON, nullable=False),
    # No foreign key: an entry stays as it is whatever becomes of what it tells of.
    Column("run_id", String),
    Column("connection", String),
    Column("lead_id", String),
    Column("hash", String, nullable=False),
    Column("digest", String, nullable=False),
    Column("nonce", String),
)
Index("ix_audit_lead", AUDIT.c.lead_id)
Index("ix_audit_run", AUDIT.c.run_id)

AUDIT_HEAD = Table(
    "audit_head",
    METADATA,
    Column("entries", BigInteger, nullable=False),
    Column("hash", String, nullable=False),
)
