"""What a field held before a write, when a refused one is tried again, and what humans hold."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, and create the table of held fields."""
    op.add_column("intents", sa.Column("before", sa.JSON(), nullable=True))
    op.create_index("ix_intents_run", "intents", ["run_id"])
    op.add_column("quarantine", sa.Column("next_try", sa.DateTime(timezone=True), nullable=True))
    op.add_column("quarantine", sa.Column("fields", sa.String(), nullable=True))
    op.create_table(
        "held",
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("object_type", sa.String(), nullable=False),
        sa.Column("record_id", sa.String(), nullable=False),
        sa.Column("output", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("connection", "object_type", "record_id", "output"),
    )
