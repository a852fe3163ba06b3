"""What rules remember of people, who is discharged, and notices on their way to receivers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0002", "0001"

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the three tables; alerts and their transitions were there before."""
    op.create_table(
        "judgements",
        sa.Column("person", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("person"),
    )
    op.create_table(
        "discharges",
        sa.Column("person", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("person"),
    )
    op.create_table(
        "notices",
        sa.Column("no", NUMBER, autoincrement=False, nullable=False),
        sa.Column("receiver", sa.String(length=64), nullable=False),
        sa.Column("person", sa.BigInteger(), nullable=False),
        sa.Column("pseudonym", sa.String(length=64), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("no"),
    )
    op.create_index("notices_of_receiver", "notices", ["receiver", "no"])
    op.create_index("ix_notices_person", "notices", ["person"])


def downgrade() -> None:
    """Drop them: rules begin anew, and notices that nobody accepted yet are lost."""
    for table in ("notices", "discharges", "judgements"):
        op.drop_table(table)
