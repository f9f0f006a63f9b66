"""Ledger rows for tests."""

import msgspec

from pacing.ledger.rows import LedgerRow, PriceSource, RowHead, RowKind


def a_row(stream_id: str = "1790000000000-0", **changes: object) -> LedgerRow:
    """A settled bill; `changes` are fields of the row or of its head."""
    head = RowHead(
        kind=RowKind.BILL,
        notice="00" * 9,
        campaign_id=100,
        line_item_id=100,
        share=0,
        day=20_717,
        exchange_id=1,
        creative_id=100,
        lease_id=1,
        issued_s=1_790_000_000,
        currency="PLN",
        auction_currency="USD",
        bid_cpm=2_000_000,
        reserved_micros=7_280,
        price_source=PriceSource.REPORTED,
        shading=4_400,
    )
    row = LedgerRow(
        stream_id=stream_id,
        head=head,
        settled_ms=1_790_000_000_500,
        price_cpm=1_000_000,
        charge_micros=3_640,
        impressions=1,
        late=False,
        over_micros=0,
        price_source=PriceSource.REPORTED,
    )
    of_head = {name: value for name, value in changes.items() if name in RowHead.__struct_fields__}
    of_row = {name: value for name, value in changes.items() if name not in of_head}
    return msgspec.structs.replace(row, head=msgspec.structs.replace(head, **of_head), **of_row)
