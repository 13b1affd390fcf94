"""Who opened which household of elsewhere, why, for how long, and what a head said of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from services.kernel.db import types

revision = "0002"
down_revision = "0001"

_UNREVIEWED = sa.text("reviewed_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "glass",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("user_name", sa.String(), nullable=False),
        sa.Column("staff", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("household", sa.String(), nullable=False),
        sa.Column("area", sa.String(), nullable=False),
        sa.Column("grid", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("since", types.Instant(), nullable=False),
        sa.Column("until", types.Instant(), nullable=False),
        sa.Column("ended_at", types.Instant(), nullable=True),
        sa.Column("ended_by", sa.String(), nullable=False),
        sa.Column("reviewed_at", types.Instant(), nullable=True),
        sa.Column("reviewed_by", sa.String(), nullable=False),
        sa.Column("justified", sa.Boolean(), nullable=True),
        sa.Column("note", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("user_name", "key"),
    )
    with op.batch_alter_table("glass", schema=None) as batch_op:
        batch_op.create_index(
            "ix_glass_unreviewed",
            ["since"],
            unique=False,
            sqlite_where=_UNREVIEWED,
            postgresql_where=_UNREVIEWED,
        )
        batch_op.create_index(batch_op.f("ix_glass_until"), ["until"], unique=False)
