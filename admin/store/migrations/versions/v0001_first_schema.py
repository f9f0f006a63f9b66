"""The first schema: catalogue, change log, people and keys."""

import sqlalchemy as sa
from alembic import op

from admin.store.migrations.append_only import refuse_changes

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

COUNTERS = (
    "catalogue",
    "exchanges",
    "advertisers",
    "campaigns",
    "webhooks",
    "segments",
    "creatives",
    "deals",
    "line-items",
    "feeds",
    "conversions",
    "users",
    "api-keys",
)


def upgrade() -> None:
    op.create_table(
        "advertisers",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("balance_micros", sa.BigInteger(), nullable=True),
        sa.Column("profile_retention_days", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_advertisers")),
    )
    op.create_index(op.f("ix_advertisers_created_ms"), "advertisers", ["created_ms"], unique=False)
    op.create_index(op.f("ix_advertisers_name"), "advertisers", ["name"], unique=False)
    op.create_index("ix_advertisers_owner_external_id", "advertisers", ["external_id"], unique=False)
    op.create_index(op.f("ix_advertisers_revision"), "advertisers", ["revision"], unique=False)
    op.create_index(op.f("ix_advertisers_status"), "advertisers", ["status"], unique=False)
    op.create_index(op.f("ix_advertisers_updated_ms"), "advertisers", ["updated_ms"], unique=False)
    op.create_table(
        "advertisers_documents",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_advertisers_documents")),
    )
    op.create_table(
        "api_key_secrets",
        sa.Column(
            "api_key_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("last_used_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("api_key_id", name=op.f("pk_api_key_secrets")),
        sa.UniqueConstraint("digest", name=op.f("uq_api_key_secrets_digest")),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("requests_per_minute", sa.BigInteger(), nullable=True),
        sa.Column("expires_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
    )
    op.create_index(op.f("ix_api_keys_created_ms"), "api_keys", ["created_ms"], unique=False)
    op.create_index(op.f("ix_api_keys_name"), "api_keys", ["name"], unique=False)
    op.create_index("ix_api_keys_owner_external_id", "api_keys", ["external_id"], unique=False)
    op.create_index(op.f("ix_api_keys_revision"), "api_keys", ["revision"], unique=False)
    op.create_index(op.f("ix_api_keys_status"), "api_keys", ["status"], unique=False)
    op.create_index(op.f("ix_api_keys_updated_ms"), "api_keys", ["updated_ms"], unique=False)
    op.create_table(
        "api_keys_documents",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys_documents")),
    )
    op.create_table(
        "campaigns",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("advertiser_id", sa.BigInteger(), nullable=True),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("start_ms", sa.BigInteger(), nullable=True),
        sa.Column("end_ms", sa.BigInteger(), nullable=True),
        sa.Column("total_budget_micros", sa.BigInteger(), nullable=True),
        sa.Column("total_budget_impressions", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaigns")),
    )
    op.create_index(op.f("ix_campaigns_created_ms"), "campaigns", ["created_ms"], unique=False)
    op.create_index(op.f("ix_campaigns_name"), "campaigns", ["name"], unique=False)
    op.create_index("ix_campaigns_owner_external_id", "campaigns", ["advertiser_id", "external_id"], unique=False)
    op.create_index("ix_campaigns_owner_name", "campaigns", ["advertiser_id", "name"], unique=False)
    op.create_index("ix_campaigns_owner_updated_ms", "campaigns", ["advertiser_id", "updated_ms"], unique=False)
    op.create_index(op.f("ix_campaigns_revision"), "campaigns", ["revision"], unique=False)
    op.create_index(op.f("ix_campaigns_status"), "campaigns", ["status"], unique=False)
    op.create_index(op.f("ix_campaigns_updated_ms"), "campaigns", ["updated_ms"], unique=False)
    op.create_table(
        "campaigns_documents",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaigns_documents")),
    )
    op.create_table(
        "change_log",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("transaction_id", sa.Text(), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.BigInteger(), nullable=False),
        sa.Column("actor_name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("object_id", sa.BigInteger(), nullable=False),
        sa.Column("advertiser_id", sa.BigInteger(), nullable=True),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("old_value", sa.Text(), nullable=True),
        sa.Column("new_value", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_change_log")),
    )
    op.create_index(op.f("ix_change_log_advertiser_id"), "change_log", ["advertiser_id"], unique=False)
    op.create_index(op.f("ix_change_log_at_ms"), "change_log", ["at_ms"], unique=False)
    op.create_index("ix_change_log_object", "change_log", ["kind", "object_id"], unique=False)
    op.create_index(op.f("ix_change_log_transaction_id"), "change_log", ["transaction_id"], unique=False)
    op.create_table(
        "conversions",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("advertiser_id", sa.BigInteger(), nullable=True),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("click_window_s", sa.BigInteger(), nullable=True),
        sa.Column("view_window_s", sa.BigInteger(), nullable=True),
        sa.Column("default_value_micros", sa.BigInteger(), nullable=True),
        sa.Column("count", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conversions")),
    )
    op.create_index(op.f("ix_conversions_created_ms"), "conversions", ["created_ms"], unique=False)
    op.create_index(op.f("ix_conversions_name"), "conversions", ["name"], unique=False)
    op.create_index("ix_conversions_owner_external_id", "conversions", ["advertiser_id", "external_id"], unique=False)
    op.create_index("ix_conversions_owner_name", "conversions", ["advertiser_id", "name"], unique=False)
    op.create_index("ix_conversions_owner_updated_ms", "conversions", ["advertiser_id", "updated_ms"], unique=False)
    op.create_index(op.f("ix_conversions_revision"), "conversions", ["revision"], unique=False)
    op.create_index(op.f("ix_conversions_status"), "conversions", ["status"], unique=False)
    op.create_index(op.f("ix_conversions_updated_ms"), "conversions", ["updated_ms"], unique=False)
    op.create_table(
        "conversions_documents",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conversions_documents")),
    )
    op.create_table(
        "counters",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_counters")),
    )
    op.create_table(
        "creatives",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("advertiser_id", sa.BigInteger(), nullable=True),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("width", sa.BigInteger(), nullable=True),
        sa.Column("height", sa.BigInteger(), nullable=True),
        sa.Column("alt_text", sa.Text(), nullable=False),
        sa.Column("landing_url", sa.Text(), nullable=False),
        sa.Column("advertiser_domain", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("sample_url", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_creatives")),
    )
    op.create_index(op.f("ix_creatives_created_ms"), "creatives", ["created_ms"], unique=False)
    op.create_index(op.f("ix_creatives_name"), "creatives", ["name"], unique=False)
    op.create_index("ix_creatives_owner_external_id", "creatives", ["advertiser_id", "external_id"], unique=False)
    op.create_index("ix_creatives_owner_name", "creatives", ["advertiser_id", "name"], unique=False)
    op.create_index("ix_creatives_owner_updated_ms", "creatives", ["advertiser_id", "updated_ms"], unique=False)
    op.create_index(op.f("ix_creatives_revision"), "creatives", ["revision"], unique=False)
    op.create_index(op.f("ix_creatives_status"), "creatives", ["status"], unique=False)
    op.create_index(op.f("ix_creatives_updated_ms"), "creatives", ["updated_ms"], unique=False)
    op.create_table(
        "creatives_documents",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_creatives_documents")),
    )
    op.create_table(
        "deals",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("advertiser_id", sa.BigInteger(), nullable=True),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("exchange_id", sa.BigInteger(), nullable=False),
        sa.Column("deal_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deals")),
    )
    op.create_index(op.f("ix_deals_created_ms"), "deals", ["created_ms"], unique=False)
    op.create_index(op.f("ix_deals_deal_id"), "deals", ["deal_id"], unique=False)
    op.create_index(op.f("ix_deals_exchange_id"), "deals", ["exchange_id"], unique=False)
    op.create_index(op.f("ix_deals_name"), "deals", ["name"], unique=False)
    op.create_index("ix_deals_owner_external_id", "deals", ["advertiser_id", "external_id"], unique=False)
    op.create_index("ix_deals_owner_name", "deals", ["advertiser_id", "name"], unique=False)
    op.create_index("ix_deals_owner_updated_ms", "deals", ["advertiser_id", "updated_ms"], unique=False)
    op.create_index(op.f("ix_deals_revision"), "deals", ["revision"], unique=False)
    op.create_index(op.f("ix_deals_status"), "deals", ["status"], unique=False)
    op.create_index(op.f("ix_deals_updated_ms"), "deals", ["updated_ms"], unique=False)
    op.create_table(
        "deals_documents",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deals_documents")),
    )
    op.create_table(
        "exchanges",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("seat", sa.Text(), nullable=False),
        sa.Column("default_currency", sa.Text(), nullable=False),
        sa.Column("first_price", sa.Boolean(), nullable=True),
        sa.Column("clearing", sa.Text(), nullable=False),
        sa.Column("billing_event", sa.Text(), nullable=False),
        sa.Column("price_encryption", sa.Text(), nullable=False),
        sa.Column("no_bid_style", sa.Text(), nullable=False),
        sa.Column("default_tmax_ms", sa.BigInteger(), nullable=True),
        sa.Column("network_margin_ms", sa.BigInteger(), nullable=True),
        sa.Column("openrtb_version", sa.Text(), nullable=False),
        sa.Column("sync_url", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exchanges")),
        sa.UniqueConstraint("key", name=op.f("uq_exchanges_key")),
    )
    op.create_index(op.f("ix_exchanges_created_ms"), "exchanges", ["created_ms"], unique=False)
    op.create_index(op.f("ix_exchanges_name"), "exchanges", ["name"], unique=False)
    op.create_index("ix_exchanges_owner_external_id", "exchanges", ["external_id"], unique=False)
    op.create_index(op.f("ix_exchanges_revision"), "exchanges", ["revision"], unique=False)
    op.create_index(op.f("ix_exchanges_status"), "exchanges", ["status"], unique=False)
    op.create_index(op.f("ix_exchanges_updated_ms"), "exchanges", ["updated_ms"], unique=False)
    op.create_table(
        "exchanges_documents",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exchanges_documents")),
    )
    op.create_table(
        "feeds",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("advertiser_id", sa.BigInteger(), nullable=True),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("refresh_s", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feeds")),
    )
    op.create_index(op.f("ix_feeds_created_ms"), "feeds", ["created_ms"], unique=False)
    op.create_index(op.f("ix_feeds_name"), "feeds", ["name"], unique=False)
    op.create_index("ix_feeds_owner_external_id", "feeds", ["advertiser_id", "external_id"], unique=False)
    op.create_index("ix_feeds_owner_name", "feeds", ["advertiser_id", "name"], unique=False)
    op.create_index("ix_feeds_owner_updated_ms", "feeds", ["advertiser_id", "updated_ms"], unique=False)
    op.create_index(op.f("ix_feeds_revision"), "feeds", ["revision"], unique=False)
    op.create_index(op.f("ix_feeds_status"), "feeds", ["status"], unique=False)
    op.create_index(op.f("ix_feeds_updated_ms"), "feeds", ["updated_ms"], unique=False)
    op.create_table(
        "feeds_documents",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feeds_documents")),
    )
    op.create_table(
        "fx_rates",
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("rate_micros", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("currency", name=op.f("pk_fx_rates")),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_digest", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("principal", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index(op.f("ix_idempotency_keys_created_ms"), "idempotency_keys", ["created_ms"], unique=False)
    op.create_table(
        "line_items",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("advertiser_id", sa.BigInteger(), nullable=True),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("start_ms", sa.BigInteger(), nullable=True),
        sa.Column("end_ms", sa.BigInteger(), nullable=True),
        sa.Column("goal", sa.Text(), nullable=False),
        sa.Column("bid_micros", sa.BigInteger(), nullable=True),
        sa.Column("max_cpm_micros", sa.BigInteger(), nullable=True),
        sa.Column("min_cpm_micros", sa.BigInteger(), nullable=True),
        sa.Column("daily_budget_micros", sa.BigInteger(), nullable=True),
        sa.Column("daily_budget_impressions", sa.BigInteger(), nullable=True),
        sa.Column("total_budget_micros", sa.BigInteger(), nullable=True),
        sa.Column("total_budget_impressions", sa.BigInteger(), nullable=True),
        sa.Column("pacing", sa.Text(), nullable=False),
        sa.Column("target_cpa_micros", sa.BigInteger(), nullable=True),
        sa.Column("target_roas_percent", sa.BigInteger(), nullable=True),
        sa.Column("min_gap_s", sa.BigInteger(), nullable=True),
        sa.Column("several_per_request", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_line_items")),
    )
    op.create_index(op.f("ix_line_items_bid_micros"), "line_items", ["bid_micros"], unique=False)
    op.create_index(op.f("ix_line_items_campaign_id"), "line_items", ["campaign_id"], unique=False)
    op.create_index(op.f("ix_line_items_created_ms"), "line_items", ["created_ms"], unique=False)
    op.create_index(op.f("ix_line_items_name"), "line_items", ["name"], unique=False)
    op.create_index("ix_line_items_owner_external_id", "line_items", ["advertiser_id", "external_id"], unique=False)
    op.create_index("ix_line_items_owner_name", "line_items", ["advertiser_id", "name"], unique=False)
    op.create_index("ix_line_items_owner_updated_ms", "line_items", ["advertiser_id", "updated_ms"], unique=False)
    op.create_index(op.f("ix_line_items_revision"), "line_items", ["revision"], unique=False)
    op.create_index(op.f("ix_line_items_status"), "line_items", ["status"], unique=False)
    op.create_index(op.f("ix_line_items_updated_ms"), "line_items", ["updated_ms"], unique=False)
    op.create_table(
        "line_items_documents",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_line_items_documents")),
    )
    op.create_table(
        "object_references",
        sa.Column("source_kind", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("source_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("target_kind", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("target_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint(
            "source_kind", "source_id", "target_kind", "target_id", name=op.f("pk_object_references")
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_object_references_target",
        "object_references",
        ["target_kind", "target_id", "source_kind", "source_id"],
        unique=False,
    )
    op.create_table(
        "segments",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("advertiser_id", sa.BigInteger(), nullable=True),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("webhook_id", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_segments")),
    )
    op.create_index(op.f("ix_segments_created_ms"), "segments", ["created_ms"], unique=False)
    op.create_index(op.f("ix_segments_name"), "segments", ["name"], unique=False)
    op.create_index("ix_segments_owner_external_id", "segments", ["advertiser_id", "external_id"], unique=False)
    op.create_index("ix_segments_owner_name", "segments", ["advertiser_id", "name"], unique=False)
    op.create_index("ix_segments_owner_updated_ms", "segments", ["advertiser_id", "updated_ms"], unique=False)
    op.create_index(op.f("ix_segments_revision"), "segments", ["revision"], unique=False)
    op.create_index(op.f("ix_segments_status"), "segments", ["status"], unique=False)
    op.create_index(op.f("ix_segments_updated_ms"), "segments", ["updated_ms"], unique=False)
    op.create_table(
        "segments_documents",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_segments_documents")),
    )
    op.create_table(
        "sessions",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("csrf_token", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_sessions")),
    )
    op.create_index(op.f("ix_sessions_expires_ms"), "sessions", ["expires_ms"], unique=False)
    op.create_index(op.f("ix_sessions_user_id"), "sessions", ["user_id"], unique=False)
    op.create_table(
        "setup_links",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("used_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_setup_links")),
    )
    op.create_table(
        "user_secrets",
        sa.Column("user_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("failed_logins", sa.Integer(), nullable=False),
        sa.Column("locked_until_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_login_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_user_secrets")),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("email", name=op.f("uq_users_email")),
    )
    op.create_index(op.f("ix_users_created_ms"), "users", ["created_ms"], unique=False)
    op.create_index(op.f("ix_users_name"), "users", ["name"], unique=False)
    op.create_index("ix_users_owner_external_id", "users", ["external_id"], unique=False)
    op.create_index(op.f("ix_users_revision"), "users", ["revision"], unique=False)
    op.create_index(op.f("ix_users_status"), "users", ["status"], unique=False)
    op.create_index(op.f("ix_users_updated_ms"), "users", ["updated_ms"], unique=False)
    op.create_table(
        "users_documents",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users_documents")),
    )
    op.create_table(
        "webhooks",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("advertiser_id", sa.BigInteger(), nullable=True),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks")),
    )
    op.create_index(op.f("ix_webhooks_created_ms"), "webhooks", ["created_ms"], unique=False)
    op.create_index(op.f("ix_webhooks_name"), "webhooks", ["name"], unique=False)
    op.create_index("ix_webhooks_owner_external_id", "webhooks", ["advertiser_id", "external_id"], unique=False)
    op.create_index("ix_webhooks_owner_name", "webhooks", ["advertiser_id", "name"], unique=False)
    op.create_index("ix_webhooks_owner_updated_ms", "webhooks", ["advertiser_id", "updated_ms"], unique=False)
    op.create_index(op.f("ix_webhooks_revision"), "webhooks", ["revision"], unique=False)
    op.create_index(op.f("ix_webhooks_status"), "webhooks", ["status"], unique=False)
    op.create_index(op.f("ix_webhooks_updated_ms"), "webhooks", ["updated_ms"], unique=False)
    op.create_table(
        "webhooks_documents",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks_documents")),
    )
    op.bulk_insert(
        sa.table("counters", sa.column("name", sa.Text), sa.column("value", sa.BigInteger)),
        [{"name": name, "value": 0} for name in COUNTERS],
    )
    refuse_changes("change_log")


def downgrade() -> None:
    op.drop_table("webhooks_documents")
    op.drop_index(op.f("ix_webhooks_updated_ms"), table_name="webhooks")
    op.drop_index(op.f("ix_webhooks_status"), table_name="webhooks")
    op.drop_index(op.f("ix_webhooks_revision"), table_name="webhooks")
    op.drop_index("ix_webhooks_owner_updated_ms", table_name="webhooks")
    op.drop_index("ix_webhooks_owner_name", table_name="webhooks")
    op.drop_index("ix_webhooks_owner_external_id", table_name="webhooks")
    op.drop_index(op.f("ix_webhooks_name"), table_name="webhooks")
    op.drop_index(op.f("ix_webhooks_created_ms"), table_name="webhooks")
    op.drop_table("webhooks")
    op.drop_table("users_documents")
    op.drop_index(op.f("ix_users_updated_ms"), table_name="users")
    op.drop_index(op.f("ix_users_status"), table_name="users")
    op.drop_index(op.f("ix_users_revision"), table_name="users")
    op.drop_index("ix_users_owner_external_id", table_name="users")
    op.drop_index(op.f("ix_users_name"), table_name="users")
    op.drop_index(op.f("ix_users_created_ms"), table_name="users")
    op.drop_table("users")
    op.drop_table("user_secrets")
    op.drop_table("setup_links")
    op.drop_index(op.f("ix_sessions_user_id"), table_name="sessions")
    op.drop_index(op.f("ix_sessions_expires_ms"), table_name="sessions")
    op.drop_table("sessions")
    op.drop_table("segments_documents")
    op.drop_index(op.f("ix_segments_updated_ms"), table_name="segments")
    op.drop_index(op.f("ix_segments_status"), table_name="segments")
    op.drop_index(op.f("ix_segments_revision"), table_name="segments")
    op.drop_index("ix_segments_owner_updated_ms", table_name="segments")
    op.drop_index("ix_segments_owner_name", table_name="segments")
    op.drop_index("ix_segments_owner_external_id", table_name="segments")
    op.drop_index(op.f("ix_segments_name"), table_name="segments")
    op.drop_index(op.f("ix_segments_created_ms"), table_name="segments")
    op.drop_table("segments")
    op.drop_index("ix_object_references_target", table_name="object_references")
    op.drop_table("object_references")
    op.drop_table("line_items_documents")
    op.drop_index(op.f("ix_line_items_updated_ms"), table_name="line_items")
    op.drop_index(op.f("ix_line_items_status"), table_name="line_items")
    op.drop_index(op.f("ix_line_items_revision"), table_name="line_items")
    op.drop_index("ix_line_items_owner_updated_ms", table_name="line_items")
    op.drop_index("ix_line_items_owner_name", table_name="line_items")
    op.drop_index("ix_line_items_owner_external_id", table_name="line_items")
    op.drop_index(op.f("ix_line_items_name"), table_name="line_items")
    op.drop_index(op.f("ix_line_items_created_ms"), table_name="line_items")
    op.drop_index(op.f("ix_line_items_campaign_id"), table_name="line_items")
    op.drop_index(op.f("ix_line_items_bid_micros"), table_name="line_items")
    op.drop_table("line_items")
    op.drop_index(op.f("ix_idempotency_keys_created_ms"), table_name="idempotency_keys")
    op.drop_table("idempotency_keys")
    op.drop_table("fx_rates")
    op.drop_table("feeds_documents")
    op.drop_index(op.f("ix_feeds_updated_ms"), table_name="feeds")
    op.drop_index(op.f("ix_feeds_status"), table_name="feeds")
    op.drop_index(op.f("ix_feeds_revision"), table_name="feeds")
    op.drop_index("ix_feeds_owner_updated_ms", table_name="feeds")
    op.drop_index("ix_feeds_owner_name", table_name="feeds")
    op.drop_index("ix_feeds_owner_external_id", table_name="feeds")
    op.drop_index(op.f("ix_feeds_name"), table_name="feeds")
    op.drop_index(op.f("ix_feeds_created_ms"), table_name="feeds")
    op.drop_table("feeds")
    op.drop_table("exchanges_documents")
    op.drop_index(op.f("ix_exchanges_updated_ms"), table_name="exchanges")
    op.drop_index(op.f("ix_exchanges_status"), table_name="exchanges")
    op.drop_index(op.f("ix_exchanges_revision"), table_name="exchanges")
    op.drop_index("ix_exchanges_owner_external_id", table_name="exchanges")
    op.drop_index(op.f("ix_exchanges_name"), table_name="exchanges")
    op.drop_index(op.f("ix_exchanges_created_ms"), table_name="exchanges")
    op.drop_table("exchanges")
    op.drop_table("deals_documents")
    op.drop_index(op.f("ix_deals_updated_ms"), table_name="deals")
    op.drop_index(op.f("ix_deals_status"), table_name="deals")
    op.drop_index(op.f("ix_deals_revision"), table_name="deals")
    op.drop_index("ix_deals_owner_updated_ms", table_name="deals")
    op.drop_index("ix_deals_owner_name", table_name="deals")
    op.drop_index("ix_deals_owner_external_id", table_name="deals")
    op.drop_index(op.f("ix_deals_name"), table_name="deals")
    op.drop_index(op.f("ix_deals_exchange_id"), table_name="deals")
    op.drop_index(op.f("ix_deals_deal_id"), table_name="deals")
    op.drop_index(op.f("ix_deals_created_ms"), table_name="deals")
    op.drop_table("deals")
    op.drop_table("creatives_documents")
    op.drop_index(op.f("ix_creatives_updated_ms"), table_name="creatives")
    op.drop_index(op.f("ix_creatives_status"), table_name="creatives")
    op.drop_index(op.f("ix_creatives_revision"), table_name="creatives")
    op.drop_index("ix_creatives_owner_updated_ms", table_name="creatives")
    op.drop_index("ix_creatives_owner_name", table_name="creatives")
    op.drop_index("ix_creatives_owner_external_id", table_name="creatives")
    op.drop_index(op.f("ix_creatives_name"), table_name="creatives")
    op.drop_index(op.f("ix_creatives_created_ms"), table_name="creatives")
    op.drop_table("creatives")
    op.drop_table("counters")
    op.drop_table("conversions_documents")
    op.drop_index(op.f("ix_conversions_updated_ms"), table_name="conversions")
    op.drop_index(op.f("ix_conversions_status"), table_name="conversions")
    op.drop_index(op.f("ix_conversions_revision"), table_name="conversions")
    op.drop_index("ix_conversions_owner_updated_ms", table_name="conversions")
    op.drop_index("ix_conversions_owner_name", table_name="conversions")
    op.drop_index("ix_conversions_owner_external_id", table_name="conversions")
    op.drop_index(op.f("ix_conversions_name"), table_name="conversions")
    op.drop_index(op.f("ix_conversions_created_ms"), table_name="conversions")
    op.drop_table("conversions")
    op.drop_index(op.f("ix_change_log_transaction_id"), table_name="change_log")
    op.drop_index("ix_change_log_object", table_name="change_log")
    op.drop_index(op.f("ix_change_log_at_ms"), table_name="change_log")
    op.drop_index(op.f("ix_change_log_advertiser_id"), table_name="change_log")
    op.drop_table("change_log")
    op.drop_table("campaigns_documents")
    op.drop_index(op.f("ix_campaigns_updated_ms"), table_name="campaigns")
    op.drop_index(op.f("ix_campaigns_status"), table_name="campaigns")
    op.drop_index(op.f("ix_campaigns_revision"), table_name="campaigns")
    op.drop_index("ix_campaigns_owner_updated_ms", table_name="campaigns")
    op.drop_index("ix_campaigns_owner_name", table_name="campaigns")
    op.drop_index("ix_campaigns_owner_external_id", table_name="campaigns")
    op.drop_index(op.f("ix_campaigns_name"), table_name="campaigns")
    op.drop_index(op.f("ix_campaigns_created_ms"), table_name="campaigns")
    op.drop_table("campaigns")
    op.drop_table("api_keys_documents")
    op.drop_index(op.f("ix_api_keys_updated_ms"), table_name="api_keys")
    op.drop_index(op.f("ix_api_keys_status"), table_name="api_keys")
    op.drop_index(op.f("ix_api_keys_revision"), table_name="api_keys")
    op.drop_index("ix_api_keys_owner_external_id", table_name="api_keys")
    op.drop_index(op.f("ix_api_keys_name"), table_name="api_keys")
    op.drop_index(op.f("ix_api_keys_created_ms"), table_name="api_keys")
    op.drop_table("api_keys")
    op.drop_table("api_key_secrets")
    op.drop_table("advertisers_documents")
    op.drop_index(op.f("ix_advertisers_updated_ms"), table_name="advertisers")
    op.drop_index(op.f("ix_advertisers_status"), table_name="advertisers")
    op.drop_index(op.f("ix_advertisers_revision"), table_name="advertisers")
    op.drop_index("ix_advertisers_owner_external_id", table_name="advertisers")
    op.drop_index(op.f("ix_advertisers_name"), table_name="advertisers")
    op.drop_index(op.f("ix_advertisers_created_ms"), table_name="advertisers")
    op.drop_table("advertisers")
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP FUNCTION IF EXISTS grosz_append_only()")
