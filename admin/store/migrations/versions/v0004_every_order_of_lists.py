"""An index for every order that lists have, and the two fields that could not be filtered by."""

from collections.abc import Iterator

import msgspec
import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

COMMON = ("external_id", "name", "status", "version", "created_ms", "updated_ms")
OWN = {
    "exchanges": ("key", "seat", "default_currency", "first_price", "clearing", "billing_event", "price_encryption", "no_bid_style", "default_tmax_ms", "network_margin_ms", "openrtb_version", "price_macro"),
    "advertisers": ("currency", "timezone", "domain", "balance_micros", "profile_retention_days"),
    "campaigns": ("start_ms", "end_ms", "total_budget_micros", "total_budget_impressions"),
    "webhooks": (),
    "segments": ("webhook_id",),
    "creatives": ("format", "width", "height", "alt_text", "advertiser_domain", "language"),
    "deals": ("exchange_id", "deal_id"),
    "line_items": ("campaign_id", "start_ms", "end_ms", "goal", "bid_micros", "max_cpm_micros", "min_cpm_micros", "daily_budget_micros", "daily_budget_impressions", "total_budget_micros", "total_budget_impressions", "pacing", "target_cpa_micros", "target_roas_percent", "min_gap_s", "several_per_request", "spend_all"),
    "feeds": ("format", "refresh_s"),
    "conversions": ("event", "click_window_s", "view_window_s", "default_value_micros", "count"),
    "users": ("email",),
    "api_keys": ("prefix", "requests_per_minute", "expires_ms"),
}
OWNERLESS = ("exchanges", "advertisers", "users", "api_keys")

# Indexes of the versions before: (table, column).
REPLACED = (
    *((table, column) for table in OWN for column in ("name", "status", "created_ms", "updated_ms")),
    ("line_items", "bid_micros"),
    ("line_items", "campaign_id"),
    ("deals", "exchange_id"),
    ("deals", "deal_id"),
)
REPLACED_OWNED = ("name", "updated_ms")

# Objects whose new columns are filled at a time: memory stays small whatever the size of the database.
PART = 1_000


def upgrade() -> None:
    op.add_column("line_items", sa.Column("spend_all", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("exchanges", sa.Column("price_macro", sa.Text(), nullable=False, server_default=""))
    _fill("line_items", "spend_all", sa.Boolean(), False, present=False)
    _fill("exchanges", "price_macro", sa.Text(), "${AUCTION_PRICE}", present="")
    for table, column in REPLACED:
        op.drop_index(f"ix_{table}_{column}", table_name=table)
    for table in OWN:
        owner = [] if table in OWNERLESS else ["advertiser_id"]
        for column in REPLACED_OWNED if owner else ():
            op.drop_index(f"ix_{table}_owner_{column}", table_name=table)
        op.create_index(f"ix_{table}_owner_search", table, [*owner, "status", "search"], unique=False)
        for column in _ordered(table):
            op.create_index(f"ix_{table}_{column}_id", table, [column, "id"], unique=False)


def _ordered(table: str) -> tuple[str, ...]:
    owner = () if table in OWNERLESS else ("advertiser_id",)
    return (*owner, *COMMON, *OWN[table])


def _fill(table: str, field: str, kind: sa.types.TypeEngine[object], default: object, *, present: object) -> None:
    """The field of every document in its new column. A document without it has the default of core.model.

    Rows that have the right value already are left alone: PostgreSQL writes a row anew for each change.
    """
    column: sa.ColumnClause[object] = sa.column(field, kind)
    target = sa.table(table, sa.column("id"), column)
    statement = sa.update(target).where(target.c.id == sa.bindparam("row")).values({field: sa.bindparam("value")})
    for rows in _documents(table):
        values = [(number, msgspec.json.decode(document).get(field, default)) for number, document in rows]
        changes = [{"row": number, "value": value} for number, value in values if value != present]
        if changes:
            op.get_bind().execute(statement, changes)


def _documents(table: str) -> Iterator[list[tuple[int, bytes]]]:
    whole = sa.table(f"{table}_documents", sa.column("id", sa.BigInteger()), sa.column("document", sa.LargeBinary()))
    last = 0
    while True:
        statement = sa.select(whole.c.id, whole.c.document).where(whole.c.id > last).order_by(whole.c.id).limit(PART)
        rows = [(row.id, row.document) for row in op.get_bind().execute(statement)]
        if not rows:
            return
        yield rows
        last = rows[-1][0]


def downgrade() -> None:
    for table in OWN:
        for column in _ordered(table):
            op.drop_index(f"ix_{table}_{column}_id", table_name=table)
        op.drop_index(f"ix_{table}_owner_search", table_name=table)
        for column in () if table in OWNERLESS else REPLACED_OWNED:
            op.create_index(f"ix_{table}_owner_{column}", table, ["advertiser_id", column], unique=False)
    for table, column in REPLACED:
        op.create_index(f"ix_{table}_{column}", table, [column], unique=False)
    op.drop_column("exchanges", "price_macro")
    op.drop_column("line_items", "spend_all")
