"""Examples of reports, forecasts and auctions for the API's description: questions, answers, and streams of answers."""

from collections.abc import Mapping
from typing import Final

import msgspec

from admin.api.forecasts import EVENTS
from admin.api.product_paths import Json
from admin.reports import documents as reports
from admin.reports.files import PARQUET, WORKBOOK

_BID: Final[Json] = {
    "impression_id": "1", "format": "banner", "line_item_id": 13, "share": 0, "bid_cpm": "8.40", "floor_cpm": "2.00",
    "creative_id": 41, "deal_id": "",
}  # fmt: skip
_AUCTION: Final[Json] = {
    "at_ms": 1796064305120, "exchange": "demo", "request_id": "7f3a", "place": "news.example", "country": "POL",
    "device_type": 4, "sizes": ["300x250"], "currency": "PLN", "reason": "",
    "bids": [{**_BID, "advertiser_id": 1, "size": "300x250", "bid_id": "9141022703451"}], "considered": [],
}  # fmt: skip
_RECORDED: Final[Json] = {
    "id": "1796064305120-00000000000004d2", "at_ms": 1796064305120, "exchange": "demo", "sampled": 0.02,
    "catalogue": 812, "reason": "",
    "bids": [{**_BID, "value_cpm": "11.20", "outcome": "lost", "loss_code": "102", "minimum_to_win_cpm": "9.10"}],
}  # fmt: skip
_FIGURES: Final[Json] = {
    "bids": 41200, "impressions": 9850, "reach": 3120, "clicks": 61, "spend": "72.40", "cpm": "7.35",
}  # fmt: skip
_FORECAST: Final[Json] = {
    "currency": "PLN", "days": 7.0, "recorded": 18400, "requests": 920000, "part": 1.0, "after": _FIGURES,
    "before": {**_FIGURES, "impressions": 8100, "spend": "55.10", "cpm": "6.80"},
    "curve": [
        {"factor": 0.5, "impressions": 3900, "reach": 1710, "spend": "19.90"},
        {"factor": 1.0, "impressions": 9850, "reach": 3120, "spend": "72.40"},
    ],
    "pacing": [{"at_ms": 1796061600000, "bids": 310, "impressions": 74, "spend": "0.54", "multiplier": 1.0}],
    "losing": [{"line_item_id": 17, "impressions": 420, "spend": "2.90"}],
    "orders": {
        "of": "line item 13", "counted": 64, "orders": 5.2, "least": 3.9, "most": 6.6, "revenue": "1180.00",
        "cost_of_order": "13.92", "cost_of_order_least": "10.97", "cost_of_order_most": "18.56",
    },
    "bids_learnt_from": 260000, "notes": [],
}  # fmt: skip
_REPORT: Final[Json] = {
    "columns": ["day", "advertiser", "currency", "impressions", "clicks", "spend", "cost_of_order", "roas"],
    "forms": ["text", "id", "text", "count", "count", "money", "money", "ratio"],
    "rows": [
        ["2026-11-29", 1, "PLN", 18240, 97, "131.52", "10.96", 7.4],
        ["2026-11-29", 2, "EUR", 4100, 12, "9.87", None, 0.0],
    ],
    "totals": [], "row_count": 2, "names": {"advertiser": {"1": "Buty", "2": "Schuhe"}},
    "since": "2026-11-22T23:00:00.000Z", "until": "2026-11-29T23:00:00.000Z",
    "fresh_until": "2026-11-29T18:45:02.310Z",
}  # fmt: skip
_CSV: Final = "day,advertiser,currency,impressions,spend\n2026-11-29,1,PLN,18240,131.52\n"
_SCHEDULE: Final[Json] = {"every": "week", "by": "mail", "to": ["ann@shop.example"], "hour": 7}
_DRAFT: Final[Json] = {
    "name": "Cost of an order", "advertiser_id": 1, "request": reports.EXAMPLE, "schedule": _SCHEDULE,
}  # fmt: skip
_SAVED: Final[Json] = {
    "id": 4, **_DRAFT, "next_at": "2026-12-07T06:00:00.000Z", "created_at": "2026-11-30T09:12:41.502Z",
    "updated_at": "2026-11-30T09:12:41.502Z",
}  # fmt: skip
_LINK: Final[Json] = {"id": 2, "advertiser_id": 1, "expires_at": "2026-12-30T09:15:03.044Z", "revoked_at": None}
_RECIPIENT: Final[Json] = {
    "address": "ann@shop.example", "advertiser_id": 1, "confirmed_at": "2026-11-30T09:20:17.730Z",
}  # fmt: skip
_DELIVERY: Final[Json] = {
    "id": 31, "advertiser_id": 1, "channel": "mail", "target": "ann@shop.example", "subject": "Cost of an order",
    "state": "dead", "attempts": 6, "error": "mail.shop.example says 550: no such mailbox",
    "due_at": "2026-12-07T20:36:00.000Z", "created_at": "2026-12-07T06:00:02.118Z",
}  # fmt: skip

EXAMPLES: Final[Mapping[str, Json]] = {
    "ReportRequest": reports.EXAMPLE,
    "ReportAnswer": _REPORT,
    "ReportTerms": {"dimensions": ["day", "line_item"], "measures": {"spend": "money", "ctr": "ratio"}},
    "ReportDraft": _DRAFT,
    "SavedReport": _SAVED,
    "SavedReportPage": {"items": [_SAVED]},
    "LinkRequest": {"days": 30},
    "ReportLink": {**_LINK, "path": "/shared/uYl1Ck0R3m8Vb5aXo2TqZw"},
    "ReportLinkPage": {"items": [{**_LINK, "path": ""}]},
    "RecipientRequest": {"address": "ann@shop.example", "advertiser_id": 1},
    "Recipient": {**_RECIPIENT, "confirmed_at": None},
    "RecipientPage": {"items": [_RECIPIENT]},
    "SentDeliveryPage": {"items": [_DELIVERY]},
    "Forecast": _FORECAST,
    "TailPage": {"auctions": [_AUCTION], "next": "1796064305331-0"},
    "RecordedPage": {"requests": [_RECORDED]},
    "RecordedExplanation": {
        "recorded": _RECORDED, "catalogue": 812, "note": "",
        "explanation": {
            "request_id": "7f3a", "outcome": "bid", "reason": None, "faults": [], "user": None, "impressions": [],
        },
    },
    "ReplayRequest": {"since_ms": 1796061600000, "until_ms": 1796065200000, "exchange": "demo", "limit": 100},
    "Replayed": {
        "requests": 100, "same": 99, "taken": 0, "other_catalogue": 0,
        "changes": [{
            "record_id": 1234, "at_ms": 1796064305120, "impression_id": "1", "format": "banner", "line_item_id": 13,
            "share": 0, "before_cpm": "8.40", "after_cpm": "9.10", "why": "worth 11.20, now 12.10",
        }],
    },
}  # fmt: skip
"""Name of a schema -> an example of it."""


def _event(told: object, *lines: str) -> str:
    return "".join(f"{line}\n" for line in (*lines, f"data: {msgspec.json.encode(told).decode()}", ""))


TAIL_EVENTS: Final = _event(_AUCTION, "id: 1796064305331-0")
FORECAST_EVENTS: Final = (
    _event({**_FORECAST, "part": 0.05}, "event: first")
    + _event({"done": 1000, "of": 18400}, "event: progress")
    + _event(_FORECAST, "event: answer")
)


def also_events(operation: Json, example: str) -> Json:
    """The same operation, whose answer is a stream of events for a client that asks for one."""
    answer: Json = {"schema": {"type": "string"}, "example": example}
    operation["responses"]["200"]["content"][EVENTS] = answer
    return operation


def also_files(operation: Json) -> Json:
    """The same operation, whose answer is a file for a client that asks for one."""
    content = operation["responses"]["200"]["content"]
    content["text/csv"] = {"schema": {"type": "string"}, "example": _CSV}
    for content_type in (PARQUET, WORKBOOK):
        content[content_type] = {"schema": {"type": "string", "format": "binary"}}
    return operation
