"""The price of one line item on one impression, without arrays: docs/pricing.md, "The formula", number by number."""

import datetime
import functools
import math
import zoneinfo
from typing import Any

import numpy as np

from bidder.decision.model_file import FieldVocabulary, Manifest, Model, load_model
from core.model import CartValue, Catalogue, Goal, LineItem
from segments.facts.layout import CYCLES_S, cycle_class
from tests.kit.bidding import Shopper, ShopState

DAY_S = 86_400
FORMATS = ("native", "video", "audio")
"""Formats besides banner; an impression is priced in one format."""


class Priced:
    """The result of pricing; amounts in micros of the advertiser's currency, `cpm` in CPM micros of the auction's."""

    def __init__(self, click: float, conversion: float, value: float, cpm: int, cart: float) -> None:
        self.click, self.conversion, self.value, self.cpm, self.cart = click, conversion, value, cpm, cart


def priced(
    catalogue: Catalogue,
    line: LineItem,
    share: int,
    request: dict[str, Any],
    imp: dict[str, Any],
    shopper: Shopper,
    now_ms: int,
    currency: str,
    *,
    multiplier: float = 1.0,
    model: Model | None = None,
) -> Priced:
    """Price by the formula."""
    model = model or load_model()
    advertiser = next(item for item in catalogue.advertisers if item.id == line.advertiser_id)
    click_logit, conversion_logit = _logits(model, line, request, imp, shopper, now_ms, advertiser.timezone)
    shown = sum(1 for number, at in shopper.shown if number == line.id and now_ms // 1000 - at < DAY_S)
    click = 1 / (1 + math.exp(-click_logit)) * math.exp(-model.manifest.frequency_decay * shown)
    click *= _interest(model.manifest, shopper.shops.get(line.advertiser_id))
    q = 1 / (1 + math.exp(-conversion_logit))
    conversion = min(q / (1 - q), 0.5)
    state = shopper.shops.get(line.advertiser_id)
    cart = 0.0
    if line.cart is not None and state is not None and state.cart_micros:
        reminded = min(state.cart_micros, line.cart.cap_micros)
        cart = line.cart.margin_ppm / 1e6 * reminded * kernel(line.cart, state.cart_age_s)
    per_impression = line.bid_micros / 1000 if line.goal is Goal.CPM else 0.0
    per_click = line.bid_micros if line.goal is Goal.CPC else 0.0
    per_conversion = (line.bid_micros if line.goal is Goal.CPA else 0.0) + cart
    value = per_impression + click * (per_click + conversion * per_conversion)
    factor = line.budget_shares[share - 1].bid_factor_percent / 100 if share else 1.0
    cpm = min(1000 * value * multiplier * factor, line.max_cpm_micros) * _rate(catalogue, advertiser.currency, currency)
    return Priced(click, conversion, value, math.floor(cpm / 10_000 + 1e-6) * 10_000, cart)


def kernel(cart: CartValue, age_s: float) -> float:
    """g(age): 0 before the delay, 1 at its peak, and a slope to nothing on the last of the cart's fourteen days."""
    if not cart.delay_s < age_s < 14 * DAY_S:
        return 0.0
    shape = _shape(cart.rise_s, cart.decay_s, age_s - cart.delay_s) / _peak(cart.rise_s, cart.decay_s)
    return shape * min(14 - age_s / DAY_S, 1.0)


def _interest(manifest: Manifest, state: ShopState | None) -> float:
    """The factor of interest: low after a purchase, 1 again a purchase cycle later or with a newer cart."""
    if state is None or math.isinf(state.last_purchase_age_s):
        return 1.0
    if state.cart_micros and state.cart_age_s < state.last_purchase_age_s:
        return 1.0
    own_s = float(CYCLES_S[cycle_class(state.purchase_cycle_s)])
    back = min(state.last_purchase_age_s / (own_s or manifest.purchase_cycle_s), 1.0)
    return manifest.purchase_floor + (1 - manifest.purchase_floor) * back


def _shape(rise_s: float, decay_s: float, age_s: float) -> float:
    return (1 - math.exp(-age_s / rise_s)) * math.exp(-age_s / decay_s)


@functools.cache
def _peak(rise_s: float, decay_s: float) -> float:
    """The maximum, by ternary search: the shape rises to one peak and falls."""
    low, high = 0.0, 20 * max(rise_s, decay_s)
    for _ in range(300):
        left, right = low + (high - low) / 3, high - (high - low) / 3
        low, high = (left, high) if _shape(rise_s, decay_s, left) < _shape(rise_s, decay_s, right) else (low, right)
    return _shape(rise_s, decay_s, low)


def _rate(catalogue: Catalogue, source: str, target: str) -> float:
    def in_base(currency: str) -> float:
        return 1.0 if currency == catalogue.fx_base else catalogue.fx_rates[currency] / 1e6

    return 1.0 if source == target else in_base(source) / in_base(target)


def _logits(
    model: Model,
    line: LineItem,
    request: dict[str, Any],
    imp: dict[str, Any],
    shopper: Shopper,
    now_ms: int,
    timezone: str,
) -> tuple[float, float]:
    manifest = model.manifest
    own = f"advertiser:{line.advertiser_id}"
    column = manifest.columns.index(own) if own in manifest.columns else 0
    rows = _request_rows(manifest, request, imp, now_ms, timezone) + _user_rows(manifest, line, shopper)
    sums = [manifest.bias[head] + math.fsum(float(model.weights[row, head, column]) for row in rows) for head in (0, 1)]
    return sums[0], sums[1]


def _hour(request: dict[str, Any], now_ms: int, timezone: str) -> int:
    """The hour by the user's clock, otherwise by the advertiser's."""
    offset = request.get("device", {}).get("geo", {}).get("utcoffset")
    if offset is not None and abs(offset) <= 840:
        return int((now_ms // 60_000 + offset) // 60 % 24)
    return datetime.datetime.fromtimestamp(now_ms / 1000, zoneinfo.ZoneInfo(timezone)).hour


def _request_rows(
    manifest: Manifest, request: dict[str, Any], imp: dict[str, Any], now_ms: int, timezone: str
) -> list[int]:
    place = imp.get("banner", {})
    first = place["format"][0] if "format" in place else place
    size = f"{first['w']}x{first['h']}" if "banner" in imp else next(name for name in FORMATS if name in imp)
    said = {
        "hour": str(_hour(request, now_ms, timezone)),
        "device": str(request.get("device", {}).get("devicetype")),
        "size": size,
        "position": str(place.get("pos")),
        "deal": "yes" if imp.get("pmp", {}).get("deals") else "no",
    }
    return [
        manifest.request_fields[name].rows.get(value, manifest.request_fields[name].other)
        for name, value in said.items()
    ]


def _user_rows(manifest: Manifest, line: LineItem, shopper: Shopper) -> list[int]:
    state = shopper.shops.get(line.advertiser_id)
    if state is None:
        return []
    numbers = {
        "last_visit_hours": state.last_visit_age_s / 3600,
        "visits": state.visits,
        "products_viewed": state.products_viewed,
    }
    return [_bucket(manifest.user_fields[name], number) for name, number in numbers.items()]


def _bucket(field: FieldVocabulary, number: float) -> int:
    return field.other + 1 + sum(edge <= number for edge in field.edges)


def two_column_model(seed: int) -> Model:
    """A model with the shipped one's fields and random weights; advertiser 2 has weights of its own."""
    shipped = load_model().manifest
    manifest = Manifest(
        format=2,
        name="test",
        rows=shipped.rows,
        columns=("default", "advertiser:2"),
        request_fields=shipped.request_fields,
        user_fields=shipped.user_fields,
        bias=(-3.0, -2.5),
    )
    weights = np.random.default_rng(seed).normal(0, 0.4, (shipped.rows, 2, 2)).astype(np.float32)
    return Model(manifest, weights)
