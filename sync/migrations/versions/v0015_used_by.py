"""Which account of the machine ran or signed a version of a model first."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column. Of the versions before it is not known."""
    op.add_column("models", sa.Column("account", sa.String()))
