"""What every dimension and measure of a report means, in plain words: rows as dicts, one loop, no SQL."""

import collections
import datetime
import zoneinfo
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

Row = dict[str, Any]
Rows = Mapping[str, Sequence[Row]]

DAY_MS: Final = 86_400_000
OF_BID: Final = {
    "domain": "domain", "app": "app", "publisher": "publisher", "country": "country", "region": "region",
    "city": "city", "device": "device_type", "os": "os", "browser": "browser", "deal": "deal_id", "seat": "seat",
    "placement": "placement", "arm": "arm", "auction": "auction_type",
}  # fmt: skip
IDS: Final = ("advertiser", "campaign", "line_item", "creative", "exchange")
OF_SHOP: Final = ("source", "phrase", "category", "product", "country", "region")

# measure -> (kind of its rows, what one row adds, from the row and its bid, which may be {})
Adds = Callable[[Row, Row], int]
SUMS: Final[dict[str, tuple[str, Adds]]] = {
    "requests": ("answer", lambda row, _: row["requests"]),
    "bids": ("bid", lambda _row, _: 1),
    "bid_cost": ("bid", lambda row, _: row["reserved_micros"]),
    "wins": ("notice", lambda row, _: row["event"] == "win"),
    "losses": ("notice", lambda row, _: row["event"] == "loss"),
    "viewable": ("notice", lambda row, _: (row["event"], row["outcome"]) == ("view", "viewable")),
    "not_viewable": ("notice", lambda row, _: (row["event"], row["outcome"]) == ("view", "not_viewable")),
    "starts": ("notice", lambda row, _: row["event"] == "start"),
    "completions": ("notice", lambda row, _: row["event"] == "complete"),
    "minimums": ("notice", lambda row, bid: row["minimum_to_win_cpm"] is not None and bool(bid)),
    "minimum_cpm": ("notice", lambda row, bid: (row["minimum_to_win_cpm"] or 0) * rate(bid)),
    "impressions": ("bill", lambda row, _: row["impressions"]),
    "spend": ("bill", lambda row, _: row["charge_micros"]),
    "reserved": ("bill", lambda row, _: row["reserved_micros"] if row["entry"] == "bill" else 0),
    "prices": ("bill", lambda row, _: row["entry"] == "bill"),
    "price_cpm": ("bill", lambda row, _: row["price_cpm"] * rate(row) if row["entry"] == "bill" else 0),
    "clicks": ("click", lambda row, _: row["invalid"] == ""),
    "invalid_clicks": ("click", lambda row, _: row["invalid"] != ""),
    "orders": ("conversion", lambda row, _: row["entry"] == "order"),
    "click_conversions": ("conversion", lambda row, _: row["entry"] == "order" and row["credit"] == "click"),
    "view_conversions": ("conversion", lambda row, _: row["entry"] == "order" and row["credit"] == "view"),
    "new_buyers": ("conversion", lambda row, _: is_credited(row) and row["buyer"] == "new"),
    "returning_buyers": ("conversion", lambda row, _: is_credited(row) and row["buyer"] == "returning"),
    "revenue": ("conversion", lambda row, _: row["value_micros"] if row["credit"] != "nobody" else 0),
    "order_value": ("conversion", lambda row, _: row["value_micros"]),
    "assisted_conversions": ("assist", lambda _row, _: 1),
    "assisted_revenue": ("assist", lambda row, _: row["value_micros"]),
    "visits": ("shop", lambda row, _: row["event"] == "visit"),
    "product_views": ("shop", lambda row, _: row["event"] == "view"),
    "searches": ("shop", lambda row, _: row["event"] == "search"),
    "carts": ("shop", lambda row, _: row["begins"]),
    "abandoned_carts": ("shop", lambda row, _: row["left"]),
    "abandoned_value": ("shop", lambda row, _: row["worth"] if row["left"] else 0),
    "purchases": ("shop", lambda row, _: row["event"] == "purchase"),
    "sales": ("shop", lambda row, _: row["value_micros"] if row["event"] == "purchase" else 0),
}  # fmt: skip
MONEY: Final = frozenset((
    "bid_cost", "minimum_cpm", "spend", "reserved", "price_cpm", "revenue", "order_value", "assisted_revenue",
    "abandoned_value", "sales",
))  # fmt: skip
CREDITED: Final = ("click_conversions", "view_conversions")
# measure -> (sums that are added up, sums that divide them, factor, whether it is an amount)
RATIOS: Final[dict[str, tuple[Sequence[str], Sequence[str], int, bool]]] = {
    "win_rate": (["wins"], ["bids"], 1, False),
    "viewability": (["viewable"], ["viewable", "not_viewable"], 1, False),
    "completion_rate": (["completions"], ["starts"], 1, False),
    "ctr": (["clicks"], ["impressions"], 1, False),
    "conversion_rate": (CREDITED, ["clicks"], 1, False),
    "ecpm": (["spend"], ["impressions"], 1_000, True),
    "average_bid": (["bid_cost"], ["bids"], 1_000, True),
    "clearing_price": (["price_cpm"], ["prices"], 1, True),
    "minimum_to_win": (["minimum_cpm"], ["minimums"], 1, True),
    "cpc": (["spend"], ["clicks"], 1, True),
    "cpa": (["spend"], CREDITED, 1, True),
    "cost_of_order": (["spend"], ["orders"], 1, True),
    "average_order": (["revenue"], CREDITED, 1, True),
    "roas": (["revenue"], ["spend"], 1, False),
    "purchase_rate": (["purchases"], ["visits"], 1, False),
    "abandonment_rate": (["abandoned_carts"], ["carts"], 1, False),
}  # fmt: skip
MEASURES: Final = (*(name for name in SUMS if name not in {"minimums", "minimum_cpm", "prices", "price_cpm"}),
                   "conversions", "saved", *RATIOS)  # fmt: skip


def parts_of(measure: str) -> list[str]:
    """The sums that a measure is made of."""
    if measure == "conversions":
        return [*CREDITED]
    if measure == "saved":
        return ["reserved", "spend"]
    if measure == "win_rate":
        return ["wins", "prices", "bids"]
    return [*RATIOS[measure][0], *RATIOS[measure][1]] if measure in RATIOS else [measure]


def rate(bid: Row) -> int:
    """What one unit of the auction's currency is in the advertiser's; rows of tests have whole rates."""
    return int(bid["reserved_micros"] * 1_000 // bid["bid_cpm"]) if bid else 0


def is_credited(row: Row) -> bool:
    return bool(row["entry"] == "order" and row["credit"] != "nobody")


class NaiveReport:
    """Naive answers from the rows of one journal. `shops`: advertiser -> its segments; all have one currency."""

    def __init__(self, rows: Rows, shops: Mapping[int, Sequence[int]], now_ms: int, zone: str) -> None:
        self.rows = {**rows, "assist": list(_assists(rows["conversion"])), "shop": _carts(rows["shop"], now_ms)}
        self.bids = {row["bid_id"]: row for row in rows["bid"]}
        self.shops, self.zone = shops, zoneinfo.ZoneInfo(zone)

    def answer(self, measure: str, dimension: str) -> dict[Any, Any] | None:
        """Value of the dimension -> figure, without zeros; None where the measure does not have the dimension."""
        sums: dict[str, collections.Counter[Any]] = {}
        for part in parts_of(measure):
            kind, adds = SUMS[part]
            sums[part] = collections.Counter()
            for row in self.rows[kind]:
                values = self._values(dimension, kind, row)
                if values is None:
                    return None
                for value in values:
                    sums[part][value] += int(adds(row, self.bids.get(row.get("bid_id"), {})))
            if not self.rows[kind]:
                raise AssertionError(f"there are no rows of {kind}")
        keys = {key for counted in sums.values() for key, value in counted.items() if value}
        return {key: _figure(measure, {part: counted[key] for part, counted in sums.items()}) for key in keys}

    def _values(self, name: str, kind: str, row: Row) -> list[Any] | None:
        """The values of a dimension that a row has; several where it counts for each."""
        bid = row if kind == "bid" else self.bids.get(row.get("bid_id"), {})
        own = _own(name, kind, row)
        if name in ("hour", "day", "week", "month"):
            moment = row["at_ms"] if kind in ("answer", "conversion", "assist", "shop") else row["bid_ms"]
            return [_label(name, datetime.datetime.fromtimestamp(moment / 1000, self.zone))]
        if own is not None or kind in ("answer", "assist", "shop") or name in _SOMETIMES:
            return own
        if name in IDS:
            return [row[f"{name}_id"]]
        if name == "format":
            return [row["format"] or bid.get("format") or ""]
        if name == "size":
            return [f"{bid['width']}x{bid['height']}" if bid else ""]
        if name == "product":
            return (bid.get("products") or "").split("\n")
        if name == "segment":
            own_segments = set(self.shops.get(row["advertiser_id"], ())) & set(bid.get("segments") or ())
            return [*own_segments] or [None]
        if name == "cart_tier":
            return [_tier(bid)]
        value = bid.get(OF_BID[name])
        return ["" if value is None else str(value)]


_SOMETIMES: Final = frozenset((
    "reason", "loss_code", "invalid", "credit", "buyer", "order", "path", "source", "phrase", "category",
))  # fmt: skip


def _own(name: str, kind: str, row: Row) -> list[Any] | None:
    """The values of a dimension that rows of a kind have themselves."""
    if kind == "answer" and name in ("exchange", "reason", "country", "device"):
        column = {"exchange": "exchange_id", "device": "device_type"}.get(name, name)
        return [row[column] if name in ("exchange", "reason") else str(row[column])]
    if (kind, name) in (("notice", "loss_code"), ("click", "invalid"), ("click", "product")):
        return [row[name] or ""]
    if kind in ("conversion", "assist") and name in ("credit", "buyer", "order", "path"):
        if name == "path":
            touches = [touch.split(" ")[:2] for touch in row["path"].split(", ") if touch]
            return [" > ".join(" ".join(touch) for touch in touches)]
        return [row["order_id" if name == "order" else name]]
    if kind == "assist" and name in ("advertiser", "line_item"):
        return [row[f"{name}_id"]]
    if kind == "shop" and (name in OF_SHOP or name == "advertiser"):
        return [row["advertiser_id"] if name == "advertiser" else row[name] or ""]
    return None


def _label(name: str, at: datetime.datetime) -> str:
    if name == "hour":
        return at.strftime("%Y-%m-%dT%H") + at.strftime("%z")[:3] + ":" + at.strftime("%z")[3:]
    if name == "month":
        return at.strftime("%Y-%m")
    return str(at.date() - datetime.timedelta(days=at.weekday() if name == "week" else 0))


def _tier(bid: Row) -> str:
    if not bid or bid["cart_micros"] is None:
        return ""
    if bid["cart_micros"] <= 0 and not bid["cart_stage"]:
        return "none"
    worth = bid["cart_micros"] / 1_000_000
    for upper, name in ((100, "0-100"), (300, "100-300"), (1_000, "300-1000")):
        if worth < upper:
            return name
    return "1000+"


def _assists(orders: Sequence[Row]) -> Iterator[Row]:
    for order in orders:
        touched = {int(touch.split(" ")[0]) for touch in order["path"].split(", ") if touch}
        if order["entry"] == "order":
            for line_item in touched - {order["line_item_id"]}:
                yield {**order, "line_item_id": line_item}


def _carts(rows: Sequence[Row], now_ms: int) -> list[Row]:
    """Shop events, with whether a cart begins, whether it was left, and its worth up to there."""
    found = [row | {"begins": False, "left": False, "worth": 0} for row in rows]
    by_person: dict[tuple[int, int], list[Row]] = {}
    for row in found:
        if row["event"] in ("cart", "purchase"):
            by_person.setdefault((row["advertiser_id"], row["person"]), []).append(row)
    for (_advertiser, person), events in by_person.items():
        events.sort(key=lambda row: row["at_ms"])
        worth, before = 0, None
        for at, row in enumerate(events):
            if row["event"] == "cart":
                following = events[at + 1]["at_ms"] if at + 1 < len(events) else now_ms
                fresh = before is None or before["event"] == "purchase" or row["at_ms"] - before["at_ms"] > DAY_MS
                row["begins"] = not person or fresh
                worth = row["value_micros"] + (0 if row["begins"] else worth)
                row["left"], row["worth"] = bool(person) and following - row["at_ms"] > DAY_MS, worth
            before = row
    return found


def _figure(measure: str, sums: Mapping[str, int]) -> Any:  # noqa: ANN401 - a count, micros, a ratio or None
    if measure == "conversions":
        return sum(sums.values())
    if measure == "saved":
        return sums["reserved"] - sums["spend"]
    if measure not in RATIOS:
        return sums[measure]
    above, below, factor, is_money = RATIOS[measure]
    divisor = sum(sums[name] for name in below)
    if not divisor:
        return None
    value = sum(sums[name] for name in above) * factor / divisor
    if measure == "win_rate":  # what was billed was won, whether or not an exchange says so
        value = max(sums["wins"], sums["prices"]) / divisor
    return round(value) if is_money else value
