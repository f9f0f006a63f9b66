"""Who may sell and who may send, by exchange; reusable lists; who pays for an advertiser's ads.

Documents without the new members have their defaults.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
ADDED = (
    ("advertisers", "dsa_behalf", sa.Text(), ""),
    ("advertisers", "dsa_paid", sa.Text(), ""),
    ("exchanges", "secret_header", sa.Text(), ""),
    ("exchanges", "requests_per_second", sa.BigInteger(), "0"),
    ("exchanges", "ads_system", sa.Text(), ""),
    ("exchanges", "seller_check", sa.Text(), "off"),
    ("exchanges", "complete_chains", sa.Boolean(), sa.false()),
    ("exchanges", "humans_only", sa.Boolean(), sa.false()),
)
COUNTERS = sa.table("counters", sa.column("name", sa.Text), sa.column("value", sa.BigInteger))
LIST_COLUMNS = ("external_id", "name", "status", "version", "created_ms", "updated_ms", "kind", "advertiser_id")


def upgrade() -> None:
    for table, name, kind, default in ADDED:
        op.add_column(table, sa.Column(name, kind, nullable=False, server_default=default))
        op.create_index(f"ix_{table}_{name}_id", table, [name, "id"], unique=False)
    op.create_table(
        "lists",
        sa.Column("id", KEY, autoincrement=False, nullable=False),
        sa.Column("advertiser_id", sa.BigInteger(), nullable=True),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("external_id", "name", "notes", "status")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("version", "revision", "created_ms", "updated_ms")),
        sa.Column("search", sa.Text(), nullable=False, server_default=""),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lists")),
    )
    op.create_index(op.f("ix_lists_revision"), "lists", ["revision"], unique=False)
    op.create_index("ix_lists_owner_external_id", "lists", ["advertiser_id", "external_id"], unique=False)
    op.create_index("ix_lists_owner_search", "lists", ["advertiser_id", "status", "search"], unique=False)
    for column in LIST_COLUMNS:
        op.create_index(f"ix_lists_{column}_id", "lists", [column, "id"], unique=False)
    op.create_table(
        "lists_documents",
        sa.Column("id", KEY, autoincrement=False, nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lists_documents")),
    )
    op.execute(sa.insert(COUNTERS).values(name="lists", value=0))


def downgrade() -> None:
    """Versions before know no lists."""
    op.execute(sa.delete(COUNTERS).where(COUNTERS.c.name == "lists"))
    op.drop_table("lists_documents")
    op.drop_table("lists")
    for table, name, _kind, _default in reversed(ADDED):
        op.drop_index(f"ix_{table}_{name}_id", table_name=table)
        op.drop_column(table, name)
