"""Searching by folded texts, and wrong passwords counted by address instead of by user."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

CATALOGUE_TABLES = (
    "advertisers",
    "campaigns",
    "line_items",
    "creatives",
    "segments",
    "deals",
    "exchanges",
    "feeds",
    "conversions",
    "webhooks",
    "users",
    "api_keys",
)


def upgrade() -> None:
    for table in CATALOGUE_TABLES:
        op.add_column(table, sa.Column("search", sa.Text(), nullable=False, server_default=""))
        _fold(table)
    op.drop_column("user_secrets", "failed_logins")
    op.drop_column("user_secrets", "locked_until_ms")
    op.create_table(
        "login_failures",
        sa.Column("address_digest", sa.LargeBinary(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("locked_until_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("address_digest", name=op.f("pk_login_failures")),
    )
    op.create_index(op.f("ix_login_failures_last_ms"), "login_failures", ["last_ms"], unique=False)


def _fold(table: str) -> None:
    """Fills the new column; as admin.store.kinds.columns_of did at this version."""
    names = sa.table(table, *(sa.column(name) for name in ("id", "name", "external_id", "search")))
    connection = op.get_bind()
    rows = connection.execute(sa.select(names.c.id, names.c.name, names.c.external_id)).all()
    texts = [{"row": row.id, "text": f"{row.name}\n{row.external_id}".casefold()} for row in rows]
    if texts:
        filling = sa.update(names).where(names.c.id == sa.bindparam("row")).values(search=sa.bindparam("text"))
        connection.execute(filling, texts)


def downgrade() -> None:
    op.drop_index(op.f("ix_login_failures_last_ms"), table_name="login_failures")
    op.drop_table("login_failures")
    op.add_column("user_secrets", sa.Column("failed_logins", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("user_secrets", sa.Column("locked_until_ms", sa.BigInteger(), nullable=False, server_default="0"))
    for table in CATALOGUE_TABLES:
        op.drop_column(table, "search")
