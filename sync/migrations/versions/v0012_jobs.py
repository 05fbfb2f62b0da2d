"""The job of the CRM that carries out an intent."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column. By which job anything was sent before is not known."""
    op.add_column("intents", sa.Column("job", sa.String()))
