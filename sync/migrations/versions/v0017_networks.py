"""The networks of the file that a model names are kept beside the text of its own."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column. Those of the versions before were not kept."""
    op.add_column("models", sa.Column("networks", sa.Text()))
