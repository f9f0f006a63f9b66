"""What an unreadable price charges, by exchange. Its documents without the member have the default: the bid."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("exchanges", sa.Column("unreadable_price", sa.Text(), nullable=False, server_default="bid"))
    op.create_index("ix_exchanges_unreadable_price_id", "exchanges", ["unreadable_price", "id"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_exchanges_unreadable_price_id", table_name="exchanges")
    op.drop_column("exchanges", "unreadable_price")
