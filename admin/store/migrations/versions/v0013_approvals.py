"""What exchanges have decided of creatives.

Exchanges that were there before go on as they did: one whose dialect asks for approval before the first bid leaves that
out until its column `review` is set to null.
"""

import msgspec
import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

REVIEWING = ("xandr",)


def upgrade() -> None:
    op.create_table(
        "approvals",
        sa.Column("creative_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("exchange_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("advertiser_id", sa.BigInteger(), nullable=False),
        sa.Column("creative_version", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("submitted_ms", sa.BigInteger()),
        sa.Column("changed_ms", sa.BigInteger(), nullable=False),
        sa.Column("due_ms", sa.BigInteger()),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("creative_id", "exchange_id", name=op.f("pk_approvals")),
    )
    op.create_index("ix_approvals_due", "approvals", ["due_ms"], unique=False)
    op.create_index("ix_approvals_exchange_reference", "approvals", ["exchange_id", "reference"], unique=False)
    op.create_index(op.f("ix_approvals_revision"), "approvals", ["revision"], unique=False)
    _keep_bidding()


def _keep_bidding() -> None:
    connection = op.get_bind()
    exchanges = sa.table("exchanges", sa.column("id"), sa.column("dialect"))
    documents = sa.table("exchanges_documents", sa.column("id"), sa.column("document", sa.LargeBinary()))
    statement = sa.select(documents).join(exchanges, exchanges.c.id == documents.c.id)
    for row in connection.execute(statement.where(exchanges.c.dialect.in_(REVIEWING))).all():
        document = msgspec.json.decode(row.document) | {"review": "none"}
        changed = sa.update(documents).where(documents.c.id == row.id).values(document=msgspec.json.encode(document))
        connection.execute(changed)


def downgrade() -> None:
    op.drop_table("approvals")
