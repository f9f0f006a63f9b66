"""The part of its value that a bid was shaded to, of each ledger row. Rows of before were bills of unshaded bids."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("ledger", sa.Column("shading", sa.Integer(), nullable=False, server_default="10000"))


def downgrade() -> None:
    op.drop_column("ledger", "shading")
