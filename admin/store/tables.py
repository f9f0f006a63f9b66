"""The tables. Migrations in admin/store/migrations/versions build exactly these; a test compares both.

A catalogue object is two rows: one of typed columns, every scalar field that lists filter and sort by, and one with the
whole object, as JSON of the core.model struct. So a new targeting field needs no migration, and counting or searching
100,000 rows reads 15 MB instead of 200. `revision` is the catalogue version of the last change: the publisher
reads only newer rows. Times are milliseconds since 1970 UTC, money is micros.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Select,
    SmallInteger,
    Table,
    Text,
    false,
    select,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


# SQLite makes a column the table's own key (and gives ids by itself) only when it is declared INTEGER: 64 bits too.
KEY = BigInteger().with_variant(Integer(), "sqlite")


SEARCH = "search"
"""The column that `q=` looks into: name and external id, folded as `folded` does. SQLite's own lower() knows ASCII
only, and folding 100,000 rows for each search took longer than searching them (40 against 10 ms)."""


def folded(text: str) -> str:
    """A text without its cases, for comparisons: `ŁÓDŹ` is `łódź`."""
    return text.casefold()


DOCUMENTS: dict[str, Table] = {}
"""The table of whole objects beside each catalogue table, by the latter's name."""


LONG = {"long": True}
"""Marks a text of thousands of characters: too long for an index row of PostgreSQL, and nothing that people sort by."""

_OWN_COLUMNS = frozenset({"id", "revision", SEARCH})


def _catalogue_table(name: str, *columns: Column[object], tenant: bool = True) -> Table:
    owner = [Column("advertiser_id", BigInteger)] if tenant else []
    owned_by = ["advertiser_id"] if tenant else []
    DOCUMENTS[name] = Table(
        f"{name}_documents",
        metadata,
        Column("id", KEY, primary_key=True, autoincrement=False),
        Column("document", LargeBinary, nullable=False),
    )
    table = Table(
        name,
        metadata,
        Column("id", KEY, primary_key=True, autoincrement=False),
        *owner,
        Column("external_id", Text, nullable=False),
        Column("name", Text, nullable=False),
        Column("notes", Text, nullable=False, info=LONG),
        Column("status", Text, nullable=False),
        Column("version", BigInteger, nullable=False),
        Column("revision", BigInteger, nullable=False, index=True),
        Column("created_ms", BigInteger, nullable=False),
        Column("updated_ms", BigInteger, nullable=False),
        Column(SEARCH, Text, nullable=False, server_default=""),
        *columns,
        Index(f"ix_{name}_owner_external_id", *owned_by, "external_id"),
        # All that is read to count the rows that a search finds: in SQLite 9 ms for 100,000 rows instead of 19.
        Index(f"ix_{name}_owner_search", *owned_by, "status", SEARCH),
    )
    for column in table.columns:
        if column.name not in _OWN_COLUMNS and not column.info:
            Index(f"ix_{name}_{column.name}_id", column, table.c.id)
    return table


def order_index(column: Column[Any]) -> bool:
    """Whether an index has the rows of a catalogue table in the order of `column` and id."""
    return column.name == "id" or (column.name not in _OWN_COLUMNS and not column.info)


def _text(name: str, *, default: str | None = None) -> Column[object]:
    return Column(name, Text, nullable=False, server_default=default)


def _long_text(name: str) -> Column[object]:
    return Column(name, Text, nullable=False, info=LONG)


def _number(name: str, *, nullable: bool = True) -> Column[object]:
    return Column(name, BigInteger, nullable=nullable)


def _flag(name: str, *, nullable: bool = False, default: ColumnElement[bool] | None = None) -> Column[object]:
    return Column(name, Boolean, nullable=nullable, server_default=default)


advertisers = _catalogue_table(
    "advertisers",
    _text("currency"),
    _text("timezone"),
    _text("domain"),
    _number("balance_micros"),
    _number("profile_retention_days"),
    _text("dsa_behalf", default=""),
    _text("dsa_paid", default=""),
    tenant=False,
)
campaigns = _catalogue_table(
    "campaigns",
    _number("start_ms"),
    _number("end_ms"),
    _number("total_budget_micros"),
    _number("total_budget_impressions"),
)
line_items = _catalogue_table(
    "line_items",
    _number("campaign_id", nullable=False),
    _number("start_ms"),
    _number("end_ms"),
    _text("goal"),
    _number("bid_micros"),
    _number("max_cpm_micros"),
    _number("min_cpm_micros"),
    _number("daily_budget_micros"),
    _number("daily_budget_impressions"),
    _number("total_budget_micros"),
    _number("total_budget_impressions"),
    _text("pacing"),
    _number("target_cpa_micros"),
    _number("target_roas_percent"),
    _number("min_gap_s"),
    _flag("several_per_request"),
    _flag("spend_all", default=false()),
)
creatives = _catalogue_table(
    "creatives",
    _text("format"),
    _number("width"),
    _number("height"),
    _text("alt_text"),
    _long_text("landing_url"),
    _text("advertiser_domain"),
    _text("language"),
    _long_text("sample_url"),
)
segments = _catalogue_table("segments", _long_text("rule"), _number("webhook_id"))
deals = _catalogue_table("deals", _number("exchange_id", nullable=False), _text("deal_id"))
lists = _catalogue_table("lists", _text("kind"))
exchanges = _catalogue_table(
    "exchanges",
    Column("key", Text, nullable=False, unique=True),
    _text("seat"),
    _text("default_currency"),
    _flag("first_price", nullable=True),
    _text("clearing"),
    _text("billing_event"),
    _text("price_encryption"),
    _text("unreadable_price", default="bid"),
    _text("no_bid_style"),
    _number("default_tmax_ms"),
    _number("network_margin_ms"),
    Column("time_to_notice_ms", BigInteger, nullable=False, server_default="5000"),
    _text("openrtb_version"),
    _long_text("sync_url"),
    _text("price_macro", default=""),
    _text("dialect", default="generic"),
    _text("secret_header", default=""),
    Column("requests_per_second", BigInteger, nullable=False, server_default="0"),
    _text("ads_system", default=""),
    _text("seller_check", default="off"),
    _flag("complete_chains", default=false()),
    _flag("humans_only", default=false()),
    tenant=False,
)
feeds = _catalogue_table("feeds", _long_text("url"), _text("format"), _number("refresh_s"))
conversions = _catalogue_table(
    "conversions",
    _text("event"),
    _number("click_window_s"),
    _number("view_window_s"),
    _number("default_value_micros"),
    _text("count"),
)
webhooks = _catalogue_table("webhooks", _long_text("url"))

approvals = Table(
    "approvals",
    metadata,
    Column("creative_id", BigInteger, primary_key=True, autoincrement=False),
    Column("exchange_id", BigInteger, primary_key=True, autoincrement=False),
    Column("advertiser_id", BigInteger, nullable=False),
    Column("creative_version", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("submitted_ms", BigInteger),
    Column("changed_ms", BigInteger, nullable=False),
    Column("due_ms", BigInteger),
    Column("attempts", Integer, nullable=False),
    Column("problem", Text, nullable=False),
    Column("revision", BigInteger, nullable=False, index=True),
    Index("ix_approvals_due", "due_ms"),
    Index("ix_approvals_exchange_reference", "exchange_id", "reference"),
)
"""What exchanges have decided of creatives (admin.reviews.states.Review); `revision` as in catalogue tables."""

object_references = Table(
    "object_references",
    metadata,
    Column("source_kind", SmallInteger, primary_key=True, autoincrement=False),
    Column("source_id", BigInteger, primary_key=True, autoincrement=False),
    Column("target_kind", SmallInteger, primary_key=True, autoincrement=False),
    Column("target_id", BigInteger, primary_key=True, autoincrement=False),
    Index("ix_object_references_target", "target_kind", "target_id", "source_kind", "source_id"),
    sqlite_with_rowid=False,
)
"""Which object names which other: a line item its creatives, deals, segments and exchanges. Kinds are Kind.code."""

counters = Table(
    "counters", metadata, Column("name", Text, primary_key=True), Column("value", BigInteger, nullable=False)
)
"""Next id of each kind, and `catalogue`: the catalogue version. Every write transaction updates that row first, so
writers go one after the other and versions become visible in order."""

fx_rates = Table(
    "fx_rates", metadata, Column("currency", Text, primary_key=True), Column("rate_micros", BigInteger, nullable=False)
)

fx_state = Table(
    "fx_state",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("as_of", Text, nullable=False),  # the day that the rates were published for
    Column("source", Text, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
)
"""One row about the exchange rates in force; none while they are those of an installation from before it was kept."""

change_log = Table(
    "change_log",
    metadata,
    Column("id", KEY, primary_key=True),
    Column("at_ms", BigInteger, nullable=False, index=True),
    Column("transaction_id", Text, nullable=False, index=True),
    Column("actor_kind", Text, nullable=False),  # user, api_key, cli, system
    Column("actor_id", BigInteger, nullable=False),
    Column("actor_name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("object_id", BigInteger, nullable=False),
    Column("advertiser_id", BigInteger, index=True),
    Column("action", Text, nullable=False),
    Column("field", Text, nullable=False),
    Column("old_value", Text),
    Column("new_value", Text),
    Index("ix_change_log_object", "kind", "object_id"),
)

users = _catalogue_table("users", Column("email", Text, nullable=False, unique=True), tenant=False)
user_secrets = Table(
    "user_secrets",
    metadata,
    Column("user_id", KEY, primary_key=True, autoincrement=False),
    Column("password_hash", Text, nullable=False),
    Column("last_login_ms", BigInteger),
)
login_failures = Table(
    "login_failures",
    metadata,
    Column("address_digest", LargeBinary, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("locked_until_ms", BigInteger, nullable=False),
    Column("last_ms", BigInteger, nullable=False, index=True),
)
"""Wrong passwords by e-mail address, whether or not anybody has it: a locked account must not tell that it exists."""
api_keys = _catalogue_table(
    "api_keys", _text("prefix"), _number("requests_per_minute"), _number("expires_ms"), tenant=False
)
api_key_secrets = Table(
    "api_key_secrets",
    metadata,
    Column("api_key_id", KEY, primary_key=True, autoincrement=False),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("last_used_ms", BigInteger),
)
sessions = Table(
    "sessions",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("user_id", BigInteger, nullable=False, index=True),
    Column("csrf_token", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False, index=True),
)
setup_links = Table(
    "setup_links",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("used_ms", BigInteger),
)
idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("principal", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request_digest", LargeBinary, nullable=False),
    Column("status", Integer, nullable=False),
    Column("headers", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("created_ms", BigInteger, nullable=False, index=True),
)


ledger = Table(
    "ledger",
    metadata,
    # A stream id `ms-sequence`, as numbers: rows of one advertiser in the order in which they were settled.
    Column("advertiser_id", BigInteger, primary_key=True, autoincrement=False),
    Column("stream_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("stream_sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("notice", Text, nullable=False),
    Column("campaign_id", BigInteger, nullable=False),
    Column("line_item_id", BigInteger, nullable=False),
    Column("share", Integer, nullable=False),
    Column("day", Integer, nullable=False),
    Column("exchange_id", BigInteger, nullable=False),
    Column("creative_id", BigInteger, nullable=False),
    Column("lease_id", BigInteger, nullable=False),
    Column("issued_s", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("auction_currency", Text, nullable=False),
    Column("bid_cpm", BigInteger, nullable=False),
    Column("reserved_micros", BigInteger, nullable=False),
    Column("head_price_source", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("settled_ms", BigInteger, nullable=False),
    Column("price_cpm", BigInteger, nullable=False),
    Column("charge_micros", BigInteger, nullable=False),
    Column("impressions", BigInteger, nullable=False),
    Column("late", Boolean, nullable=False),
    Column("over_micros", BigInteger, nullable=False),
    Column("price_source", Text, nullable=False),
    Column("shading", Integer, nullable=False, server_default="10000"),
    Index("ix_ledger_day", "day", "advertiser_id"),
    Index("ix_ledger_issued", "advertiser_id", "issued_s"),
)
"""One row a bill or correction (pacing.ledger.rows.LedgerRow), never changed."""

_POOL = (
    ("advertiser_id", BigInteger), ("campaign_id", BigInteger), ("line_item_id", BigInteger), ("share", Integer)
)  # fmt: skip
_SUMS = ("charge_micros", "impressions")

ledger_days = Table(
    "ledger_days",
    metadata,
    *(
        Column(name, kind, primary_key=True, autoincrement=False)
        for name, kind in (*_POOL, ("day", Integer), ("exchange_id", BigInteger), ("currency", Text))
    ),
    *(Column(name, BigInteger, nullable=False) for name in _SUMS),
    Index("ix_ledger_days_owner_day", "advertiser_id", "day"),
    Index("ix_ledger_days_day", "day"),
)
"""Sums of the ledger by pool, day, exchange and currency, changed in the transaction that adds the rows."""

ledger_archived = Table(
    "ledger_archived",
    metadata,
    *(
        Column(name, kind, primary_key=True, autoincrement=False)
        for name, kind in (*_POOL, ("day", Integer), ("exchange_id", BigInteger), ("currency", Text))
    ),
    *(Column(name, BigInteger, nullable=False) for name in _SUMS),
)
"""Sums, as in `ledger_days`, of the rows that have left the ledger for Parquet files: sums are rows and these."""

archives = Table(
    "archives",
    metadata,
    Column("kind", Text, primary_key=True),  # ledger, change_log
    Column("advertiser_id", BigInteger, primary_key=True, autoincrement=False),  # 0: of the change log
    # The newest row in it; of the change log its id, beside 0.
    Column("last_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("last_sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("first_ms", BigInteger, nullable=False),
    Column("first_sequence", BigInteger, nullable=False),
    Column("row_count", BigInteger, nullable=False),
    *(Column(name, BigInteger, nullable=False) for name in _SUMS),
    Column("file", Text, nullable=False),
    Column("archived_ms", BigInteger, nullable=False),
)
"""Parquet files with rows that are deleted here. Triggers let no other row be deleted."""

ledger_pools = Table(
    "ledger_pools",
    metadata,
    *(Column(name, kind, primary_key=True, autoincrement=False) for name, kind in _POOL),
    *(Column(name, BigInteger, nullable=False) for name in _SUMS),
)
"""Sums of the ledger by pool, of all days."""

ledger_marks = Table(
    "ledger_marks",
    metadata,
    Column("advertiser_id", BigInteger, primary_key=True, autoincrement=False),
    Column("stream_ms", BigInteger, nullable=False),
    Column("stream_sequence", BigInteger, nullable=False),
)
"""The newest row of each advertiser: what has come before is not added again."""

saved_reports = Table(
    "saved_reports",
    metadata,
    Column("id", KEY, primary_key=True),
    Column("advertiser_id", BigInteger, nullable=False, index=True),  # 0: of all advertisers
    Column("name", Text, nullable=False),
    Column("document", Text, nullable=False),  # JSON of admin.reports.saved.ReportDraft
    Column("next_ms", BigInteger, index=True),  # when it is sent next; None: it is not scheduled
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
)

report_links = Table(
    "report_links",
    metadata,
    Column("id", KEY, primary_key=True),
    Column("report_id", BigInteger, nullable=False, index=True),
    Column("advertiser_id", BigInteger, nullable=False),
    Column("token_sha256", Text, nullable=False, unique=True),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("revoked_ms", BigInteger),
)
"""Links by which whoever has one sees one report of one advertiser, until it expires or is revoked."""

mail_recipients = Table(
    "mail_recipients",
    metadata,
    Column("advertiser_id", BigInteger, primary_key=True, autoincrement=False),  # 0: of all advertisers
    Column("address", Text, primary_key=True),
    Column("token_sha256", Text, nullable=False, unique=True),
    Column("confirmed_ms", BigInteger),
    Column("created_ms", BigInteger, nullable=False),
)
"""Who may be written to: only addresses whose owner has agreed."""

outbox = Table(
    "outbox",
    metadata,
    Column("id", KEY, primary_key=True),
    Column("once", Text, nullable=False, unique=True),  # what it is about: the same is told once
    Column("advertiser_id", BigInteger, nullable=False, index=True),
    Column("channel", Text, nullable=False),  # mail, webhook, file
    Column("target", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("attachment", LargeBinary),
    Column("ending", Text, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("state", Text, nullable=False),  # waiting, sent, dead
    Column("attempts", Integer, nullable=False),
    Column("error", Text, nullable=False),
    Column("due_ms", BigInteger, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Index("ix_outbox_state_due", "state", "due_ms"),
)
"""What is to be sent, has been, or could not be."""

APPEND_ONLY = ("change_log", "ledger")
"""Tables whose rows the database itself refuses to change or delete (triggers made by the migrations)."""


def documents(table: Table, *columns: ColumnElement[Any]) -> Select[Any]:
    """SELECT of `columns` and the whole objects (`document`) of a catalogue table; add the condition."""
    whole = DOCUMENTS[table.name]
    return select(*columns, whole.c.document).select_from(table.join(whole, whole.c.id == table.c.id))
