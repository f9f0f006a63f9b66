"""The ledger."""

import sqlalchemy as sa
from alembic import op

from admin.store.migrations.append_only import refuse_changes

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ledger",
        sa.Column("advertiser_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("stream_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("stream_sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("notice", sa.Text(), nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("line_item_id", sa.BigInteger(), nullable=False),
        sa.Column("share", sa.Integer(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("exchange_id", sa.BigInteger(), nullable=False),
        sa.Column("creative_id", sa.BigInteger(), nullable=False),
        sa.Column("lease_id", sa.BigInteger(), nullable=False),
        sa.Column("issued_s", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("auction_currency", sa.Text(), nullable=False),
        sa.Column("bid_cpm", sa.BigInteger(), nullable=False),
        sa.Column("reserved_micros", sa.BigInteger(), nullable=False),
        sa.Column("head_price_source", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("settled_ms", sa.BigInteger(), nullable=False),
        sa.Column("price_cpm", sa.BigInteger(), nullable=False),
        sa.Column("charge_micros", sa.BigInteger(), nullable=False),
        sa.Column("impressions", sa.BigInteger(), nullable=False),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("over_micros", sa.BigInteger(), nullable=False),
        sa.Column("price_source", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("advertiser_id", "stream_ms", "stream_sequence", name=op.f("pk_ledger")),
    )
    op.create_index("ix_ledger_day", "ledger", ["day", "advertiser_id"], unique=False)
    op.create_index("ix_ledger_issued", "ledger", ["advertiser_id", "issued_s"], unique=False)
    refuse_changes("ledger")


def downgrade() -> None:
    op.drop_index("ix_ledger_issued", table_name="ledger")
    op.drop_index("ix_ledger_day", table_name="ledger")
    op.drop_table("ledger")
