"""For how long a bid counts against caps without a notice, by exchange. Documents without the member have the default."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("exchanges", sa.Column("time_to_notice_ms", sa.BigInteger(), nullable=False, server_default="5000"))
    op.create_index("ix_exchanges_time_to_notice_ms_id", "exchanges", ["time_to_notice_ms", "id"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_exchanges_time_to_notice_ms_id", table_name="exchanges")
    op.drop_column("exchanges", "time_to_notice_ms")
