"""Alembic's entry: runs the versions on the connection that `upgrading` hands it, inside its transaction."""

from __future__ import annotations

from alembic import context

from vitalwatch.database.tables import metadata


def run() -> None:
    """Run the versions that were asked for."""
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=metadata,
        render_as_batch=True,  # SQLite cannot alter most things: the table is made anew
        transactional_ddl=False,  # the transaction around is ours, for both databases
    )
    context.run_migrations()


if hasattr(context, "config"):  # Alembic is at work; importing alone does nothing
    run()
