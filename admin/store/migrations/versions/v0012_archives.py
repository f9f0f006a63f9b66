"""Rows that have left for Parquet files: what they add up to, and which files they are in.

From now on a row of the ledger or the change log may be deleted, but only one that an archive covers; the database
itself refuses all else.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

SUMS = ("charge_micros", "impressions")
DAY = ("advertiser_id", "campaign_id", "line_item_id", "share", "day", "exchange_id", "currency")

# A row is covered by an archive of its table (and advertiser) that goes at least as far.
COVERED = {
    "ledger": (
        "SELECT 1 FROM archives WHERE archives.kind = 'ledger' AND archives.advertiser_id = OLD.advertiser_id "
        "AND (archives.last_ms > OLD.stream_ms "
        "OR (archives.last_ms = OLD.stream_ms AND archives.last_sequence >= OLD.stream_sequence))"
    ),
    "change_log": "SELECT 1 FROM archives WHERE archives.kind = 'change_log' AND archives.last_sequence >= OLD.id",
}


def upgrade() -> None:
    kinds = {"share": sa.Integer(), "day": sa.Integer(), "currency": sa.Text()}
    op.create_table(
        "ledger_archived",
        *(sa.Column(name, kinds.get(name, sa.BigInteger()), autoincrement=False, nullable=False) for name in DAY),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in SUMS),
        sa.PrimaryKeyConstraint(*DAY, name=op.f("pk_ledger_archived")),
    )
    op.create_table(
        "archives",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("advertiser_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last_sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("first_ms", sa.BigInteger(), nullable=False),
        sa.Column("first_sequence", sa.BigInteger(), nullable=False),
        sa.Column("row_count", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in SUMS),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("archived_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "advertiser_id", "last_ms", "last_sequence", name=op.f("pk_archives")),
    )
    for table, covered in COVERED.items():
        _delete_only_what_is(table, covered)


def _delete_only_what_is(table: str, covered: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"DROP TRIGGER {table}_no_delete")
        op.execute(
            f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} WHEN NOT EXISTS ({covered}) "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )
        return
    op.execute(f"DROP TRIGGER {table}_append_only ON {table}")
    op.execute(
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION grosz_append_only()"
    )
    op.execute(
        f"CREATE FUNCTION grosz_{table}_archived() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$BEGIN IF NOT EXISTS ({covered}) THEN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END IF; "
        "RETURN OLD; END$$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_archived BEFORE DELETE ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION grosz_{table}_archived()"
    )


def downgrade() -> None:
    for table in COVERED:
        if op.get_bind().dialect.name == "sqlite":
            op.execute(f"DROP TRIGGER {table}_no_delete")
            op.execute(
                f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
            continue
        op.execute(f"DROP TRIGGER {table}_archived ON {table}")
        op.execute(f"DROP FUNCTION grosz_{table}_archived()")
        op.execute(f"DROP TRIGGER {table}_append_only ON {table}")
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION grosz_append_only()"
        )
    op.drop_table("archives")
    op.drop_table("ledger_archived")
