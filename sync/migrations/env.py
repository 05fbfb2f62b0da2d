"""How Alembic runs the migrations: on the connection that the ledger hands over."""

from alembic import context

from sync.ledger_schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,
)
context.run_migrations()
