"""Saved reports, links to them, who may be written to, and what is to be sent."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _number(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def upgrade() -> None:
    op.create_table(
        "saved_reports",
        sa.Column("id", KEY, nullable=False), _number("advertiser_id"), _text("name"), _text("document"),
        _number("next_ms", nullable=True), _number("created_ms"), _number("updated_ms"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_reports")),
    )
    op.create_index(op.f("ix_saved_reports_advertiser_id"), "saved_reports", ["advertiser_id"])
    op.create_index(op.f("ix_saved_reports_next_ms"), "saved_reports", ["next_ms"])
    op.create_table(
        "report_links",
        sa.Column("id", KEY, nullable=False), _number("report_id"), _number("advertiser_id"), _text("token_sha256"),
        _number("created_ms"), _number("expires_ms"), _number("revoked_ms", nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_report_links")),
        sa.UniqueConstraint("token_sha256", name=op.f("uq_report_links_token_sha256")),
    )
    op.create_index(op.f("ix_report_links_report_id"), "report_links", ["report_id"])
    op.create_table(
        "mail_recipients",
        sa.Column("advertiser_id", sa.BigInteger(), autoincrement=False, nullable=False), _text("address"),
        _text("token_sha256"), _number("confirmed_ms", nullable=True), _number("created_ms"),
        sa.PrimaryKeyConstraint("advertiser_id", "address", name=op.f("pk_mail_recipients")),
        sa.UniqueConstraint("token_sha256", name=op.f("uq_mail_recipients_token_sha256")),
    )
    op.create_table(
        "outbox",
        sa.Column("id", KEY, nullable=False), _text("once"), _number("advertiser_id"), _text("channel"),
        _text("target"), _text("subject"), _text("text"), sa.Column("attachment", sa.LargeBinary(), nullable=True),
        _text("ending"), _text("content_type"), _text("state"),
        sa.Column("attempts", sa.Integer(), nullable=False), _text("error"), _number("due_ms"), _number("created_ms"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("once", name=op.f("uq_outbox_once")),
    )
    op.create_index(op.f("ix_outbox_advertiser_id"), "outbox", ["advertiser_id"])
    op.create_index("ix_outbox_state_due", "outbox", ["state", "due_ms"])


def downgrade() -> None:
    for table in ("outbox", "mail_recipients", "report_links", "saved_reports"):
        op.drop_table(table)
