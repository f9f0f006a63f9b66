"""Price every (impression, line item) pair of a batch in one numpy pass (spec: science 2.2).

    expected value = impression value + P(click) * (click value + P(conversion | click) * conversion value)
    conversion value = goal value + margin * min(cart, cap) * g(cart age)
    bid = 1000 * expected value * pacing multiplier * share factor, at most the maximum CPM, down to the grosz grid

One expression serves CPM, CPC, CPA and cart retargeting. Values are micros of the advertiser's currency until the last
step, which converts to the currency of the auction.
"""

import numpy as np
from numpy.typing import NDArray

from bidder.artefact import CLICK, CONVERSION, FieldVocabulary, Model
from bidder.auction import Auction, Impression
from bidder.index import Index
from core.money import GROSZ_CPM_MICROS
from segments.profiles import ProfileBatch

# q / (1 - q) undoes the fake-negative labels of delayed conversions (spec: science 1f); above 0.5 it explodes.
MAX_CONVERSION_RATE = 0.5
SECONDS_AN_HOUR = 3600.0

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class BoundModel:
    """A model with what follows from it for one index: each position's weight column and cart kernel maximum."""

    __slots__ = ("bias", "cart_norm", "column", "frequency_decay", "request_fields", "user_fields", "weights")

    def __init__(self, model: Model, index: Index) -> None:
        manifest = model.manifest
        self.weights = model.weights
        self.bias = manifest.bias
        self.request_fields = manifest.request_fields
        self.user_fields = manifest.user_fields
        self.frequency_decay = manifest.frequency_decay
        columns = {name: number for number, name in enumerate(manifest.columns)}
        self.column = np.fromiter(
            (columns.get(f"advertiser:{advertiser}", 0) for advertiser in index.lines.advertiser.tolist()),
            dtype=np.int64,
        )
        self.cart_norm = _cart_kernel_norm(index.lines.cart_rise_s, index.lines.cart_decay_s)


class Scores:
    """One row a pair, in the order of the candidates."""

    __slots__ = ("advertiser_cpm", "cart_value", "click_rate", "conversion_rate", "cpm", "expected_value", "rate")

    def __init__(
        self,
        *,
        click_rate: Floats,
        conversion_rate: Floats,
        cart_value: Floats,
        expected_value: Floats,
        advertiser_cpm: Floats,
        rate: Floats | float,
        cpm: Integers,
    ) -> None:
        self.click_rate = click_rate
        self.conversion_rate = conversion_rate
        self.cart_value = cart_value  # micros that the cart adds to a conversion
        self.expected_value = expected_value  # micros of one impression, before pacing
        self.advertiser_cpm = advertiser_cpm  # CPM micros in the advertiser's currency, before the grid
        self.rate = rate  # units of the auction's currency for one of the advertiser's
        self.cpm = cpm  # the bid: CPM micros of the auction's currency, on the grosz grid


def request_rows(auction: Auction, model: BoundModel, hour_utc: int) -> list[int]:
    """Weight rows that all impressions of a request share."""
    fields = model.request_fields
    device = auction.request.device
    device_type = device.devicetype if device is not None else None
    return [_row(fields["hour"], str(hour_utc)), _row(fields["device"], str(device_type))]


def impression_rows(impression: Impression, model: BoundModel) -> list[int]:
    """Weight rows of one impression."""
    fields = model.request_fields
    width, height = impression.sizes[0] if impression.sizes else (0, 0)
    banner = impression.imp.banner
    return [
        _row(fields["size"], f"{width}x{height}"),
        _row(fields["position"], str(banner.pos if banner is not None else None)),
        _row(fields["deal"], "yes" if impression.deal_floors else "no"),
    ]


def _row(field: FieldVocabulary, value: str) -> int:
    return field.rows.get(value, field.other)


def user_logits(profiles: ProfileBatch, model: BoundModel) -> NDArray[np.float32]:
    """Logits that each (request, advertiser) state adds: (states + 1, 2, columns). Row 0, all zero, is "no state"."""
    numbers = {
        "last_visit_hours": profiles.last_visit_age_s / SECONDS_AN_HOUR,
        "visits": profiles.visits,
        "products_viewed": profiles.products_viewed,
        "cart": (profiles.cart_micros > 0).astype(np.float64),
    }
    rows = np.stack([_bucket_rows(model.user_fields[name], values) for name, values in numbers.items()])
    logits: NDArray[np.float32] = np.zeros((rows.shape[1] + 1, *model.weights.shape[1:]), dtype=np.float32)
    logits[1:] = model.weights[rows].sum(axis=0)
    return logits


def _bucket_rows(field: FieldVocabulary, numbers: Floats) -> Integers:
    return np.searchsorted(np.asarray(field.edges), numbers, side="right") + field.other + 1


def state_of_pairs(auction_of_pair: Integers, positions: Integers, profiles: ProfileBatch, index: Index) -> Integers:
    """For each pair the row of its user's state at its advertiser, counted from 1; 0 where the shop does not know them.

    This is where isolation is kept: a pair can reach only the row of its own advertiser.
    """
    if not len(profiles.state_request):
        return np.zeros(len(positions), dtype=np.int64)
    stride = int(max(index.lines.advertiser.max(), profiles.state_advertiser.max())) + 1
    keys = profiles.state_request * stride + profiles.state_advertiser
    order = np.argsort(keys)
    wanted = auction_of_pair * stride + index.lines.advertiser[positions]
    found = np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)
    rows = order[found]
    return np.where(keys[rows] == wanted, rows + 1, 0)


def score(
    *,
    slot_of_pair: Integers,
    positions: Integers,
    slot_rows: Integers,
    state_of_pair: Integers,
    profiles: ProfileBatch,
    frequency: Floats | None,
    multiplier: Floats,
    rate: Floats | float,
    model: BoundModel,
    index: Index,
) -> Scores:
    """Price all pairs.

    `slot_rows` is (slots, request fields) rows of weights; `frequency` the impressions each pair's line item has had of
    its user in a day (None: nobody had any); `multiplier` the pacing factor by position; `rate` see `Scores.rate`.
    """
    lines = index.lines
    column = model.column[positions]
    slot_logits = model.weights[slot_rows].sum(axis=1)
    of_user = user_logits(profiles, model) if state_of_pair.any() else None
    click = _probability(
        model.bias[CLICK], slot_logits[slot_of_pair, CLICK, column], of_user, CLICK, state_of_pair, column
    )
    if frequency is not None:
        click = click * np.exp(-model.frequency_decay * frequency)
    raw = _probability(
        model.bias[CONVERSION],
        slot_logits[slot_of_pair, CONVERSION, column],
        of_user,
        CONVERSION,
        state_of_pair,
        column,
    )
    conversion = np.minimum(raw / (1.0 - raw), MAX_CONVERSION_RATE)
    cart_value = _cart_value(positions, state_of_pair, profiles, model, index)
    value = lines.impression_value[positions] + click * (
        lines.click_value[positions] + conversion * (lines.conversion_value[positions] + cart_value)
    )
    advertiser_cpm = 1000.0 * value * multiplier[positions] * lines.bid_factor[positions]
    advertiser_cpm = np.minimum(advertiser_cpm, lines.max_cpm[positions])
    # A hair is added before the floor: 1.05 * 1e6 * rate may be 1_049_999.9999 in binary.
    cpm = np.floor(advertiser_cpm * rate / GROSZ_CPM_MICROS + 1e-6).astype(np.int64) * GROSZ_CPM_MICROS
    return Scores(
        click_rate=click,
        conversion_rate=conversion,
        cart_value=cart_value,
        expected_value=value,
        advertiser_cpm=advertiser_cpm,
        rate=rate,
        cpm=cpm,
    )


def _probability(
    bias: float,
    slot: NDArray[np.float32],
    of_user: NDArray[np.float32] | None,
    head: int,
    state: Integers,
    column: Integers,
) -> Floats:
    logit = slot.astype(np.float64) + bias
    if of_user is not None:
        logit += of_user[state, head, column]
    return 1.0 / (1.0 + np.exp(-logit))


def _cart_value(
    positions: Integers, state: Integers, profiles: ProfileBatch, model: BoundModel, index: Index
) -> Floats:
    """Micros that the abandoned cart adds to the value of a conversion; 0 for most pairs."""
    added = np.zeros(len(positions))
    with_state = np.flatnonzero(state)
    if not len(with_state):
        return added
    row = state[with_state] - 1
    with_cart = with_state[(profiles.cart_micros[row] > 0) & (index.lines.cart_margin[positions[with_state]] > 0)]
    if not len(with_cart):
        return added
    row, at, lines = state[with_cart] - 1, positions[with_cart], index.lines
    age = np.maximum(profiles.cart_age_s[row] - lines.cart_delay_s[at], 0.0)
    kernel = (1.0 - np.exp(-age / lines.cart_rise_s[at])) * np.exp(-age / lines.cart_decay_s[at]) / model.cart_norm[at]
    added[with_cart] = lines.cart_margin[at] * np.minimum(profiles.cart_micros[row], lines.cart_cap[at]) * kernel
    return added


def _cart_kernel_norm(rise_s: Floats, decay_s: Floats) -> Floats:
    """Maximum of (1 - exp(-t/rise)) exp(-t/decay), which lies at t = rise ln(1 + decay/rise)."""
    peak = rise_s * np.log1p(decay_s / rise_s)
    norm: Floats = (1.0 - np.exp(-peak / rise_s)) * np.exp(-peak / decay_s)
    return norm
