"""A dialect for every exchange; columns that only repeat what the generic one says are left to it."""

from collections.abc import Callable
from typing import Any

import msgspec
import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# What the columns were where nobody had set them, which is also what the generic dialect says.
GENERIC = {
    "billing_event": "bill", "price_macro": "${AUCTION_PRICE}", "price_encryption": "none", "no_bid_style": "204",
}


def upgrade() -> None:
    op.add_column("exchanges", sa.Column("dialect", sa.Text(), nullable=False, server_default="generic"))
    op.create_index("ix_exchanges_dialect_id", "exchanges", ["dialect", "id"], unique=False)
    _rewrite(_left_to_the_dialect)


def downgrade() -> None:
    _rewrite(_said_by_the_exchange)
    op.drop_index("ix_exchanges_dialect_id", table_name="exchanges")
    op.drop_column("exchanges", "dialect")


def _left_to_the_dialect(document: dict[str, Any], _columns: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in GENERIC or value != GENERIC[name]}


def _said_by_the_exchange(document: dict[str, Any], columns: dict[str, Any]) -> dict[str, Any]:
    """Older versions know no dialects: what this exchange does is put into its own columns, where it differs."""
    document.pop("dialect", None)
    said = {name: value for name, value in document.items() if value is not None or name not in GENERIC}
    return said | {name: columns[name] for name in GENERIC if columns[name] != GENERIC[name]}


def _rewrite(change: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]) -> None:
    exchanges = sa.table("exchanges", sa.column("id"), *(sa.column(name) for name in GENERIC))
    documents = sa.table("exchanges_documents", sa.column("id"), sa.column("document", sa.LargeBinary()))
    in_force = {row.id: row._asdict() for row in op.get_bind().execute(sa.select(exchanges))}
    for row in op.get_bind().execute(sa.select(documents)).all():
        before = msgspec.json.decode(row.document)
        after = msgspec.json.encode(change(before, in_force[row.id]))
        op.get_bind().execute(sa.update(documents).where(documents.c.id == row.id).values(document=after))
