"""Sums beside the ledger's rows, so that what rebuilds counters reads as much after a year as after a day."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

SUMS = ("charge_micros", "impressions")
POOL = ("advertiser_id", "campaign_id", "line_item_id", "share")
DAY = (*POOL, "day", "exchange_id", "currency")

FILL = """
INSERT INTO {table} ({columns}, charge_micros, impressions)
SELECT {columns}, SUM(charge_micros), SUM(impressions) FROM ledger GROUP BY {columns}
"""

MARK = """
INSERT INTO ledger_marks (advertiser_id, stream_ms, stream_sequence)
SELECT advertiser_id, stream_ms, MAX(stream_sequence) FROM ledger AS l
WHERE stream_ms = (SELECT MAX(stream_ms) FROM ledger AS o WHERE o.advertiser_id = l.advertiser_id)
GROUP BY advertiser_id, stream_ms
"""


def upgrade() -> None:
    op.create_table(
        "ledger_days",
        *_key(DAY),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in SUMS),
        sa.PrimaryKeyConstraint(*DAY, name=op.f("pk_ledger_days")),
    )
    op.create_index("ix_ledger_days_owner_day", "ledger_days", ["advertiser_id", "day"], unique=False)
    op.create_index("ix_ledger_days_day", "ledger_days", ["day"], unique=False)
    op.create_table(
        "ledger_pools",
        *_key(POOL),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in SUMS),
        sa.PrimaryKeyConstraint(*POOL, name=op.f("pk_ledger_pools")),
    )
    op.create_table(
        "ledger_marks",
        sa.Column("advertiser_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("stream_ms", sa.BigInteger(), nullable=False),
        sa.Column("stream_sequence", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("advertiser_id", name=op.f("pk_ledger_marks")),
    )
    op.execute(FILL.format(table="ledger_days", columns=", ".join(DAY)))
    op.execute(FILL.format(table="ledger_pools", columns=", ".join(POOL)))
    op.execute(MARK)


def _key(names: tuple[str, ...]) -> list[sa.Column[object]]:
    kinds = {"share": sa.Integer(), "day": sa.Integer(), "currency": sa.Text()}
    return [
        sa.Column(name, kinds.get(name, sa.BigInteger()), autoincrement=False, nullable=False) for name in names
    ]


def downgrade() -> None:
    op.drop_table("ledger_marks")
    op.drop_table("ledger_pools")
    op.drop_index("ix_ledger_days_day", table_name="ledger_days")
    op.drop_index("ix_ledger_days_owner_day", table_name="ledger_days")
    op.drop_table("ledger_days")
