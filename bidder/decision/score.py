"""Price every (impression, line item) pair of a batch in one numpy pass (docs/evidence.md).

    expected value = impression value + P(click) * (click value + P(conversion | click) * conversion value)
    P(click) = the model's * exp(-decay * impressions of the day) * what a purchase has left of the interest
    conversion value = goal value + margin * min(cart, cap) * g(cart age)
    bid = 1000 * expected value * pacing multiplier * share factor * bid modifiers, at most the maximum CPM, down to the
    grosz grid

One expression serves CPM, CPC, CPA and cart retargeting. Values are micros of the advertiser's currency until the last
step, which converts to the currency of the auction. A batch has a few thousand pairs at most, so what counts is the
number of numpy calls (about 1 us each), not their length: columns that are gathered together lie in one matrix.
"""

import datetime
import zoneinfo
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bidder.decision.model_file import CLICK, CONVERSION, MAX_LOGIT, FieldVocabulary, Model
from bidder.request.auction import Auction, Impression
from bidder.targeting.index import Index
from bidder.targeting.memory import Memo
from core.model import Format
from core.money import GROSZ_CPM_MICROS
from segments.facts.facts import CART_LIFETIME_S, DAY_S
from segments.facts.layout import CYCLES_S
from segments.profiles.reading import ProfileBatch

# q / (1 - q) undoes the fake-negative labels of delayed conversions (docs/evidence.md); above 0.5 it explodes.
MAX_CONVERSION_RATE = 0.5
SECONDS_AN_HOUR = 3600.0

# Bytes of the key of one combination of hour, device, size, position and deal; its logits and rates come on top.
KIND_BYTES = 400

BANNER = Format.BANNER.value

# Time zones lie between UTC-12 and UTC+14; any other offset in a request is ignored.
MAX_OFFSET_MINUTES = 14 * 60

# Time zones change their offset from UTC only at full quarters of an hour.
_QUARTER_MINUTES = 15

# Columns of `BoundModel.values`.
IMPRESSION_VALUE, CLICK_VALUE, CONVERSION_VALUE, FACTOR, MAX_CPM = range(5)

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class BoundModel(Memo):
    """A model with what follows from it for one index, and what it remembers of kinds of impressions.

    A *column* is a column of the model together with a time zone of advertisers: where a request does not tell the
    user's hour, the advertiser's is used. With one zone, and no weights for single advertisers, there is one column.
    """

    __slots__ = (
        "_hours_are_local", "_kinds", "_model_rows", "_quarter", "_request_fields", "_to_forget", "_zone_hours",
        "_zone_of_column", "_zones", "cart_norm", "column", "cycles_s", "frequency_decay", "generation", "least_cpm",
        "name", "one_column", "purchase_floor", "slot_logits", "slot_rates", "user_buckets", "values", "version",
        "weights",
    )  # fmt: skip

    def __init__(self, model: Model, index: Index) -> None:
        super().__init__()
        manifest, lines = model.manifest, index.lines
        self.name, self.version = manifest.name, manifest.version
        # Edges of each field's buckets, and the row of the first one.
        self.user_buckets = {
            name: (np.array(field.edges, dtype=np.float64), field.other + 1)
            for name, field in manifest.user_fields.items()
        }
        self.frequency_decay = manifest.frequency_decay
        self.purchase_floor = manifest.purchase_floor
        self.cycles_s = np.where(CYCLES_S > 0.0, CYCLES_S, manifest.purchase_cycle_s)
        columns = {name: number for number, name in enumerate(manifest.columns)}
        of_owner = np.array([columns.get(f"advertiser:{advertiser}", 0) for advertiser in index.owners], dtype=np.int64)
        self._hours_are_local = manifest.hours_are_local
        self._zones = [zoneinfo.ZoneInfo(name) for name in index.timezones] or [zoneinfo.ZoneInfo("UTC")]
        pairs = of_owner[lines.owner] * len(self._zones) + lines.timezone
        known, column = np.unique(np.append(pairs, 0), return_inverse=True)  # an empty index has a column, too
        self.column: Integers = column[:-1]
        of_model, self._zone_of_column = np.divmod(known, len(self._zones))
        self.one_column = len(known) == 1
        # (rows, columns, heads)
        self.weights: Floats = model.weights[:, :, of_model].transpose(0, 2, 1).astype(np.float64)
        self._quarter = -1
        self._zone_hours: tuple[int, ...] = ()
        self.cart_norm = _cart_kernel_norm(lines.cart_rise_s, lines.cart_decay_s)
        self.values: Floats = np.column_stack(
            (
                lines.impression_value, lines.click_value, lines.conversion_value, 1000.0 * lines.bid_factor,
                lines.max_cpm,
            )
        )  # fmt: skip
        self.least_cpm: Floats = np.maximum(lines.min_cpm, 1.0)  # what is below is no bid
        self._request_fields = manifest.request_fields
        self.generation = 0  # of the numbers of kinds: in another generation a number means another kind
        self._begin_kinds(np.tile(np.array(manifest.bias), (64, len(known), 1)))

    def _begin_kinds(self, bias: Floats) -> None:
        self._kinds: dict[tuple[object, ...], int] = {}
        self._to_forget = False
        # Row 0 holds the bias alone; grows by doubling, a row a kind.
        self.slot_logits: Floats = bias  # (kinds, columns, heads)
        # (heads, kinds, columns): P(click) and the value's factor of a conversion where no shop knows the user.
        self.slot_rates: Floats = np.moveaxis(_rates(bias), -1, 0).copy()

    def forget(self) -> None:
        """See `Memo`; kinds are forgotten before the next batch."""
        self._to_forget = True
        self.nbytes = 0

    def make_room(self) -> None:
        """Forget all kinds if that is due.

        To be called between two batches: within one, the numbers of kinds must not change their meaning.
        """
        if self._to_forget:
            self._begin_kinds(np.tile(self.slot_logits[0], (64, 1, 1)))
            self.generation += 1
            self.nbytes = 0

    def slot_kind(self, auction: Auction, impression: Impression, minutes: int) -> int:
        """Row of `slot_logits` for an impression: all request features are looked up once per distinct combination.

        `minutes`: since 1970, UTC.
        """
        device, offer = auction.request.device, impression.offer
        sizes = offer.sizes
        hours = self._hours(auction, minutes)
        key = (
            hours,
            device.devicetype if device is not None else None,
            # For all formats but banners the name stands for the size: a video does not have its player's size.
            offer.format if offer.format != BANNER else sizes[0] if sizes else None,
            offer.placement,
            bool(impression.deal_floors),
        )
        kind = self._kinds.get(key)
        return kind if kind is not None else self._add_kind(key, hours)

    def _hours(self, auction: Auction, minutes: int) -> tuple[int, ...]:
        """The user's hour alone, or the hour in each of the advertisers' time zones."""
        if minutes // _QUARTER_MINUTES != self._quarter:
            self._quarter = minutes // _QUARTER_MINUTES
            moment = datetime.datetime.fromtimestamp(60 * minutes, datetime.UTC)
            zones = self._zones if self._hours_are_local else [datetime.UTC] * len(self._zones)
            self._zone_hours = tuple(moment.astimezone(zone).hour for zone in zones)
        device = auction.request.device
        if device is not None and device.geo is not None and device.geo.utcoffset is not None:
            offset = device.geo.utcoffset
            if self._hours_are_local and -MAX_OFFSET_MINUTES <= offset <= MAX_OFFSET_MINUTES:
                return ((minutes + offset) // 60 % 24,)
        return self._zone_hours

    def _add_kind(self, key: tuple[object, ...], hours: tuple[int, ...]) -> int:
        _hours, device_type, size, position, has_deals = key
        width, height = size if isinstance(size, tuple) else (0, 0)
        features = {
            "device": str(device_type),
            "size": size if isinstance(size, str) else f"{width}x{height}",
            "position": str(position),
            "deal": "yes" if has_deals else "no",
        }
        rows = [_row(self._request_fields[name], value) for name, value in features.items()]
        hour_field = self._request_fields["hour"]
        hour_rows = np.array([_row(hour_field, str(hour)) for hour in hours])
        zones = self._zone_of_column if len(hours) > 1 else np.zeros_like(self._zone_of_column)
        of_hour = self.weights[hour_rows[zones], np.arange(len(zones))]
        kind = len(self._kinds) + 1
        # Twice, since the arrays grow by doubling.
        self.take(KIND_BYTES + 2 * (self.slot_logits[0].nbytes + self.slot_rates[:, 0].nbytes))
        if kind >= len(self.slot_logits):
            self.slot_logits = np.concatenate((self.slot_logits, np.tile(self.slot_logits[0], (kind, 1, 1))))
            self.slot_rates = np.concatenate((self.slot_rates, np.zeros_like(self.slot_rates)), axis=1)
        self.slot_logits[kind] = self.slot_logits[0] + self.weights[rows].sum(axis=0) + of_hour
        self.slot_rates[:, kind] = _rates(self.slot_logits[kind]).T
        self._kinds[key] = kind
        return kind


def _rates(logits: Floats) -> Floats:
    """P(click) and the factor of a conversion, from logits whose last axis has the heads."""
    rates: Floats = np.exp(np.clip(logits, -MAX_LOGIT, MAX_LOGIT))
    click_odds = rates[..., CLICK]
    rates[..., CLICK] = click_odds / (1.0 + click_odds)
    np.minimum(rates[..., CONVERSION], MAX_CONVERSION_RATE, out=rates[..., CONVERSION])  # odds are q / (1 - q)
    return rates


class Scores:
    """One row a pair, in the order of the candidates."""

    __slots__ = ("cart_value", "click_rate", "conversion_rate", "cpm", "expected_value", "modifier")

    def __init__(
        self,
        *,
        click_rate: Floats,
        conversion_rate: Floats,
        cart_value: Floats | None,
        expected_value: Floats,
        modifier: Floats | None = None,
        cpm: Integers,
    ) -> None:
        self.click_rate = click_rate
        self.conversion_rate = conversion_rate
        self.cart_value = cart_value  # micros that carts add to a conversion; None: no pair has one
        self.expected_value = expected_value  # micros of one impression, before pacing
        self.modifier = modifier  # bid modifiers of each pair; None: none applies
        self.cpm = cpm  # the bid: CPM micros of the auction's currency, on the grosz grid


def _row(field: FieldVocabulary, value: str) -> int:
    return field.rows.get(value, field.other)


def user_logits(profiles: ProfileBatch, model: BoundModel) -> Floats:
    """Logits that each (request, advertiser) state adds: (states + 1, columns, heads). Row 0 is zeros: "no state"."""
    numbers = {
        "last_visit_hours": profiles.last_visit_age_s / SECONDS_AN_HOUR,
        "visits": profiles.visits,
        "products_viewed": profiles.products_viewed,
    }
    logits: Floats = np.zeros((len(profiles.visits) + 1, *model.weights.shape[1:]))
    added = logits[1:]
    for name, values in numbers.items():
        edges, first_row = model.user_buckets[name]
        added += model.weights.take(edges.searchsorted(values, side="right") + first_row, axis=0)
    return logits


def state_of_pairs(
    auctions: Sequence[int], lengths: Integers, positions: Integers, profiles: ProfileBatch, index: Index
) -> Integers | None:
    """For each pair the row of its user's state at its advertiser, counted from 1; 0 where the shop does not know them.

    `auctions` (number in the batch) and `lengths` (pairs) are by slot, `positions` by pair. None when no shop knows any
    user of the batch. This is where isolation is kept: a pair can reach only the row of its own advertiser.
    """
    if not len(profiles.state_request):
        return None
    owners = index.owners
    nobody = len(owners)  # column of the shops that have no line item
    states = np.zeros((len(profiles.user_ids), nobody + 1), dtype=np.int64)
    columns = [owners.get(advertiser, nobody) for advertiser in profiles.state_advertiser.tolist()]
    states[profiles.state_request, columns] = np.arange(1, len(columns) + 1)
    cells = (np.array(auctions, dtype=np.int64) * (nobody + 1)).repeat(lengths)
    cells += index.lines.owner.take(positions)
    state: Integers = states.reshape(-1).take(cells)
    return state


def score(
    *,
    slot_of_pair: Integers,
    positions: Integers,
    slot_kinds: Integers,
    state_of_pair: Integers | None,
    profiles: ProfileBatch,
    frequency: Floats | None,
    multiplier: Floats,
    modifier: Floats | None = None,
    rate: Floats | float,
    model: BoundModel,
    index: Index,
) -> Scores:
    """Price all pairs.

    `slot_kinds` has a row of `BoundModel.slot_logits` for each slot; `frequency` the impressions each pair's line item
    has had of its user in a day (None: nobody had any); `multiplier` the pacing factor by position, `modifier` what bid
    modifiers come to by pair (None: none applies); `rate` is units of the auction's currency for one of the
    advertiser's.
    """
    click, conversion = _rates_of_pairs(slot_of_pair, positions, slot_kinds, state_of_pair, profiles, model)
    if frequency is not None:
        click = click * np.exp(-model.frequency_decay * frequency)
    values = model.values.take(positions, axis=0)  # 11 us for 2,000 pairs; indexing by brackets takes 100 us
    conversion_value = values[:, CONVERSION_VALUE]
    cart_value = _cart_value(positions, state_of_pair, profiles, model, index)
    if cart_value is not None:
        conversion_value = conversion_value + cart_value
    value = values[:, IMPRESSION_VALUE] + click * (values[:, CLICK_VALUE] + conversion * conversion_value)
    raised = value * values[:, FACTOR] * multiplier[positions]
    if modifier is not None:
        raised *= modifier
    advertiser_cpm = np.minimum(raised, values[:, MAX_CPM])
    # A hair is added before the floor: 1.05 * 1e6 * rate may be 1_049_999.9999 in binary.
    groszes = (advertiser_cpm * (rate / GROSZ_CPM_MICROS) + 1e-6).astype(np.int64)
    return Scores(
        click_rate=click,
        conversion_rate=conversion,
        cart_value=cart_value,
        expected_value=value,
        modifier=modifier,
        cpm=groszes * GROSZ_CPM_MICROS,
    )


def too_low(cpm: Integers, positions: Integers, rate: Floats | float, model: BoundModel) -> NDArray[np.bool_]:
    """Whether each pair's bid is nothing, or below the least bid of its line item. `rate` as in `score`."""
    least = model.least_cpm.take(positions)
    if not isinstance(rate, float) or rate != 1.0:
        least = np.maximum(least * rate, 1.0)
    return cpm < least


def _rates_of_pairs(
    slot_of_pair: Integers,
    positions: Integers,
    slot_kinds: Integers,
    state: Integers | None,
    profiles: ProfileBatch,
    model: BoundModel,
) -> tuple[Floats, Floats]:
    """P(click) and the factor of a conversion of each pair: its slot's, or its own where the shop knows the user."""
    rates = model.slot_rates
    click: Floats
    conversion: Floats
    if model.one_column:
        click, conversion = rates[CLICK, slot_kinds, 0][slot_of_pair], rates[CONVERSION, slot_kinds, 0][slot_of_pair]
    else:
        row = slot_kinds[slot_of_pair] * rates.shape[2] + model.column[positions]
        click, conversion = rates[CLICK].reshape(-1)[row], rates[CONVERSION].reshape(-1)[row]
    known = state.nonzero()[0] if state is not None else ()
    if state is not None and len(known):
        column: Integers | int = 0 if model.one_column else model.column[positions[known]]
        logits = model.slot_logits[slot_kinds[slot_of_pair[known]], column]
        own = _rates(logits + user_logits(profiles, model)[state[known], column])
        click[known], conversion[known] = own[:, CLICK], own[:, CONVERSION]
        interest = interest_after_purchase(profiles, model)
        if interest is not None:
            click[known] *= interest[state[known] - 1]
    return click, conversion


def interest_after_purchase(profiles: ProfileBatch, model: BoundModel) -> Floats | None:
    """What a purchase has left of each state's interest, in [floor, 1]; None where nobody has bought.

    A visitor who has just bought has what they wanted: the interest falls to the model's floor and comes back along the
    visitor's own purchase cycle (the model's where none is known), or at once with a cart newer than the purchase.
    """
    age = profiles.last_purchase_age_s
    if age.min() == np.inf:
        return None
    back = np.minimum(age / model.cycles_s[profiles.purchase_cycle], 1.0)
    interest: Floats = model.purchase_floor + (1.0 - model.purchase_floor) * back
    interest[(profiles.cart_micros > 0) & (profiles.cart_age_s < age)] = 1.0
    return interest


def _cart_value(
    positions: Integers, state: Integers | None, profiles: ProfileBatch, model: BoundModel, index: Index
) -> Floats | None:
    """Micros that the abandoned cart adds to the value of a conversion; None when no pair has one."""
    if state is None or not profiles.cart_micros.any():
        return None
    lines = index.lines
    cart_of_state = np.concatenate(([0], profiles.cart_micros))
    with_cart = ((cart_of_state[state] > 0) & (lines.cart_margin[positions] > 0)).nonzero()[0]
    if not len(with_cart):
        return None
    row, at = state[with_cart] - 1, positions[with_cart]
    idle = profiles.cart_age_s[row]
    age = np.maximum(idle - lines.cart_delay_s[at], 0.0)
    kernel = (1.0 - np.exp(-age / lines.cart_rise_s[at])) * np.exp(-age / lines.cart_decay_s[at]) / model.cart_norm[at]
    # Carts end after two weeks: with a slow decay the value would drop at once, so it falls to 0 over the last day.
    kernel *= np.clip((CART_LIFETIME_S - idle) / DAY_S, 0.0, 1.0)
    added = np.zeros(len(positions))
    added[with_cart] = lines.cart_margin[at] * np.minimum(profiles.cart_micros[row], lines.cart_cap[at]) * kernel
    return added


def _cart_kernel_norm(rise_s: Floats, decay_s: Floats) -> Floats:
    """Maximum of (1 - exp(-t/rise)) exp(-t/decay), which lies at t = rise ln(1 + decay/rise)."""
    peak = rise_s * np.log1p(decay_s / rise_s)
    norm: Floats = (1.0 - np.exp(-peak / rise_s)) * np.exp(-peak / decay_s)
    return norm
