"""When a person had another medicine or device: their own normal begins anew there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0003", "0002"

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "changes",
        sa.Column("no", NUMBER, autoincrement=False, nullable=False),
        sa.Column("person", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("profile", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("no"),
    )
    op.create_index("changes_of_person", "changes", ["person", "no"])


def downgrade() -> None:
    """Drop it: what is known of people then goes back behind their changes when it is made anew from readings."""
    op.drop_table("changes")
