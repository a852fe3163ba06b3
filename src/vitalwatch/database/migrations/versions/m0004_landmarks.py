"""States of people well before their newest row, where late readings lie, and how many alerts each rule raised."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0004", "0003"


def upgrade() -> None:
    """Make two tables and an index; alerts that were counted before have no rule."""
    op.create_index(
        "readings_late",
        "readings",
        ["person", "time"],
        sqlite_where=sa.text("late IS 1"),
        postgresql_where=sa.text("late IS true"),
    )
    op.create_table(
        "landmarks",
        sa.Column("person", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("newest", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("run", sa.String(length=64), nullable=False),
        sa.Column("through", sa.BigInteger(), nullable=False),
        sa.Column("judged", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("person", "newest"),
    )
    op.create_table(
        "raised",
        sa.Column("priority", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("rule", sa.String(length=64), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("priority", "kind", "rule"),
    )


def downgrade() -> None:
    """Drop them: late readings begin from readings alone again, and alerts raised meanwhile are counted no more."""
    op.drop_index("readings_late", "readings")
    for table in ("raised", "landmarks"):
        op.drop_table(table)
