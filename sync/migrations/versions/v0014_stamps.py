"""The stamp of a refused record, so that a change of it is told without our own clock."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column. Of what is in quarantine it is not known: that is tried once more."""
    op.add_column("quarantine", sa.Column("modified_at", sa.DateTime(timezone=True), nullable=True))
