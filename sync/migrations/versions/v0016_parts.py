"""What fit and behaviour came to by themselves, beside the score that was decided of them."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the columns. What the parts of earlier scores were is not known."""
    for part in ("fit", "behaviour"):
        op.add_column("decisions", sa.Column(part, sa.BigInteger()))
