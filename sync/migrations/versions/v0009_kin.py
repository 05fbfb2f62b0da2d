"""Of several records of a person one is told of and counted: which one the others follow."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns. Whatever was given or handed off before stands for itself."""
    for table in ("given", "handoffs"):
        op.add_column(table, sa.Column("follows", sa.String()))
