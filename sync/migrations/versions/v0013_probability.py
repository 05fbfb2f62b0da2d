"""What was predicted of a lead, beside the score that was decided."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the column. What was predicted before is not known."""
    op.add_column("decisions", sa.Column("probability", sa.String()))
