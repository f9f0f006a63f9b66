"""The strategies: from a shopper, the advertiser's model and the looked-up anchors to candidates with reasons."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from core.model import ProductChoice, ProductStrategy
from creatives.product import FeedProduct
from creatives.products.choosing import MAX_CANDIDATES, Choice, Plan, Shopper, tie_break
from creatives.products.model import ATTRIBUTES, ProductModel
from creatives.products.models import KnownModel
from creatives.products.sessions import DAY_S
from creatives.products.store import Found
from creatives.products.tables import Table

# For how many of the visitor's products similar and complementary ones are looked up.
ANCHORS: Final = 3
# A dearer product is offered up to this multiple of the price: beyond it, it is another kind of product.
UPSELL_UP_TO: Final = 2.0
# A product is proposed again from this share of the buyer's usual time on: a little before they need it.
REORDER_FROM: Final = 0.8
NEXT_OF: Final = 40
# Lists of bestsellers that are kept with a model: some categories of some creatives.
MAX_POPULAR: Final = 500
# A cosine of 1 is worth as much as being in a fifth of a product's visits.
CONTENT_WEIGHT: Final = 0.2
_COMPARED: Final = ("category", "brand", *(name.replace("_", " ") for name in ATTRIBUTES))


class ChoiceScene(msgspec.Struct, frozen=True):
    """What strategies look at."""

    plan: Plan
    shopper: Shopper
    known: KnownModel | None
    anchors: Mapping[str, Found]
    now_s: int

    @property
    def choice(self) -> ProductChoice:
        return self.plan.choice

    @property
    def model(self) -> ProductModel | None:
        return self.known.model if self.known else None

    def number(self, product_id: str) -> int | None:
        """The model's number of a product."""
        return self.known.numbers.get(product_id) if self.known else None

    def product(self, product_id: str) -> FeedProduct | None:
        found = self.anchors.get(product_id)
        return found.product if found else None


def candidates(scene: ChoiceScene) -> list[Choice]:
    """Candidates of all strategies of the plan, in their order, at most MAX_CANDIDATES of each."""
    return [choice for strategy in scene.choice.strategies for choice in proposals(scene, strategy)]


def proposals(scene: ChoiceScene, strategy: ProductStrategy) -> Iterator[Choice]:
    """Candidates of one strategy, made as they are asked for, at most MAX_CANDIDATES."""
    return itertools.islice(_STRATEGIES[strategy](scene), MAX_CANDIDATES)


def _cart(scene: ChoiceScene) -> Iterator[Choice]:
    for place, product_id in enumerate(scene.shopper.cart, start=1):
        yield Choice(product_id, ProductStrategy.CART, f"number {place} of the cart by value")


def _last_visit(scene: ChoiceScene) -> Iterator[Choice]:
    for seen in reversed(scene.shopper.seen):
        if seen.at_s >= scene.shopper.visit_start_s:
            yield Choice(seen.id, ProductStrategy.LAST_VISIT, f"seen {_ago(scene.now_s - seen.at_s)} in the last visit")


def _ever_seen(scene: ChoiceScene) -> Iterator[Choice]:
    for seen in reversed(scene.shopper.seen):
        yield Choice(seen.id, ProductStrategy.EVER_SEEN, f"seen {_ago(scene.now_s - seen.at_s)}")


def _next(scene: ChoiceScene) -> Iterator[Choice]:
    model = scene.model
    if model is None:
        return
    visit = [scene.number(seen.id) for seen in scene.shopper.seen if seen.at_s >= scene.shopper.visit_start_s]
    known = [number for number in visit if number is not None]
    if not known:
        return
    last = model.ids[known[-1]]
    ranking = model.blend.rank(known, NEXT_OF)
    for number, score in zip(ranking.numbers.tolist(), ranking.scores.tolist(), strict=True):
        reason = "returned to" if number in known else f"often next after {last}"
        yield Choice(model.ids[number], ProductStrategy.NEXT, f"{reason}, probability {score:.3f}", score)


def _bought(scene: ChoiceScene) -> Iterator[Choice]:
    cycle_s = scene.shopper.cycle_s or scene.choice.reorder_after_days * DAY_S
    due = [
        (scene.now_s - one.at_s, one)
        for one in scene.shopper.bought
        if scene.now_s - one.at_s >= REORDER_FROM * cycle_s
    ]
    for age_s, one in sorted(due, key=lambda pair: (-pair[0], tie_break(scene.plan.seed, pair[1].id))):
        reason = f"bought {age_s // DAY_S} days ago; bought again about every {cycle_s // DAY_S} days"
        yield Choice(one.id, ProductStrategy.BOUGHT, reason, age_s / cycle_s)


class _Likeness(NamedTuple):
    """How a product resembles an anchor; of two, the one with the larger `rank` is more alike."""

    same_category: bool
    in_common: int  # of category, brand and attributes
    weight: float
    anchor_id: str
    names: str

    @property
    def rank(self) -> tuple[bool, int, float]:
        return self[:3]


def _similar(scene: ChoiceScene) -> Iterator[Choice]:
    """Neighbours of the last products at about their price: of the category, with most attributes in common first."""
    model = scene.model
    if model is None:
        return
    ranked: dict[str, _Likeness] = {}
    for anchor_id in _last_different(scene):
        number = scene.number(anchor_id)
        if number is None:
            continue
        anchor = scene.product(anchor_id)
        price = anchor.current_micros(scene.now_s) if anchor else int(model.prices[number])
        for other, likeness in _alike(model, number, anchor_id, price, scene.choice.price_within_percent):
            product_id = model.ids[other]
            if product_id not in ranked or ranked[product_id].rank < likeness.rank:
                ranked[product_id] = likeness
    within = f"price within {scene.choice.price_within_percent} %"
    for product_id, one in sorted(
        ranked.items(),
        key=lambda item: (-item[1].same_category, -item[1].in_common, -item[1].weight,
                          tie_break(scene.plan.seed, item[0])),
    ):  # fmt: skip
        same = f"same {one.names}, " if one.names else ""
        yield Choice(product_id, ProductStrategy.SIMILAR, f"like {one.anchor_id}: {same}{within}", one.weight)


def _alike(
    model: ProductModel, number: int, anchor_id: str, price: int, percent: int
) -> Iterator[tuple[int, _Likeness]]:
    """The neighbours of a product whose price is within `percent` of `price`; all of them where that is 0, unknown."""
    weights = {
        other: weight
        for other, weight in _neighbours(model, number)
        if not price or abs(int(model.prices[other]) - price) * 100 <= percent * price
    }
    others = np.fromiter(weights, dtype=np.int64, count=len(weights))
    for (other, weight), same in zip(weights.items(), model.in_common(number, others).tolist(), strict=True):
        names = ", ".join(itertools.compress(_COMPARED, same))
        yield other, _Likeness(same[0], sum(same), weight, anchor_id, names)


def _neighbours(model: ProductModel, number: int) -> Iterator[tuple[int, float]]:
    """Products seen together with it, and those of its category alike by content, which prevail if few were seen."""
    found = dict(_row(model.tables.together, number))
    for other, weight in _row(model.tables.content, number):
        if other in found or model.categories[other] == model.categories[number]:
            found[other] = found.get(other, 0.0) + CONTENT_WEIGHT * weight
    yield from found.items()


def _row(table: Table, number: int) -> Iterator[tuple[int, float]]:
    numbers, weights = table.row(number)
    return zip(numbers.tolist(), weights.tolist(), strict=True)


def _complementary(scene: ChoiceScene) -> Iterator[Choice]:
    model = scene.model
    if model is None:
        return
    own = list(dict.fromkeys([*scene.shopper.cart, *(one.id for one in reversed(scene.shopper.bought))]))[:ANCHORS]
    yield from _from_rows(scene, model.tables.bought, own, ProductStrategy.COMPLEMENTARY, "bought together with")


def _from_rows(
    scene: ChoiceScene, table: Table, anchors: Sequence[str], strategy: ProductStrategy, words: str
) -> Iterator[Choice]:
    model = scene.model
    ranked: dict[int, tuple[float, str]] = {}
    for anchor in anchors:
        number = scene.number(anchor)
        if model is None or number is None:
            continue
        for other, weight in _row(table, number):
            if model.ids[other] not in anchors and ranked.get(other, (0.0, ""))[0] < weight:
                ranked[other] = (weight, anchor)
    for other, (weight, anchor) in sorted(ranked.items(), key=lambda item: -item[1][0]):
        if model is not None:
            yield Choice(model.ids[other], strategy, f"{words} {anchor}, strength {weight:.3f}", weight)


def _upsell(scene: ChoiceScene) -> Iterator[Choice]:
    model = scene.model
    if model is None:
        return
    for anchor_id in _last_different(scene):
        number = scene.number(anchor_id)
        if number is None or model.categories[number] < 0 or model.prices[number] <= 0:
            continue
        price = int(model.prices[number])
        dearer = (model.prices > price) & (model.prices <= UPSELL_UP_TO * price) & model.in_feed
        for other in _popular(scene, model, dearer & (model.categories == model.categories[number])):
            yield Choice(model.ids[other], ProductStrategy.UPSELL, f"dearer than {anchor_id} in its category")


def _reduced(scene: ChoiceScene) -> Iterator[Choice]:
    for seen in reversed(scene.shopper.seen):
        product = scene.product(seen.id)
        if product is None:
            continue
        current = product.current_micros(scene.now_s)
        if product.on_sale(scene.now_s):
            yield Choice(seen.id, ProductStrategy.REDUCED, f"seen {_ago(scene.now_s - seen.at_s)}, reduced now")
        elif 0 < current < seen.price_micros:
            yield Choice(seen.id, ProductStrategy.REDUCED, f"seen {_ago(scene.now_s - seen.at_s)}, cheaper now")


def _successor(scene: ChoiceScene) -> Iterator[Choice]:
    """The next size in the category of what was bought long ago; of the same brand first, then by popularity."""
    model = scene.model
    if model is None:
        return
    after_s = scene.choice.successor_after_days * DAY_S
    for one in reversed(scene.shopper.bought):
        number = scene.number(one.id)
        if number is None or scene.now_s - one.at_s < after_s or np.isnan(model.sizes[number]):
            continue
        if model.categories[number] < 0:  # sizes of shoes and of shirts are other numbers
            continue
        fits = (model.categories == model.categories[number]) & model.in_feed & (model.sizes > model.sizes[number])
        wanted = model.sizes[number] + scene.choice.successor_step
        exact = fits & (model.sizes == wanted)
        larger = model.sizes[fits]
        if not exact.any() and len(larger):
            wanted = larger.min()
            exact = fits & (model.sizes == wanted)
        same_brand = exact & (model.brands == model.brands[number])
        years = (scene.now_s - one.at_s) // DAY_S
        for other in [*_popular(scene, model, same_brand), *_popular(scene, model, exact & ~same_brand)]:
            reason = f"size {wanted:g} after {model.sizes[number]:g}, bought {years} days ago ({one.id})"
            yield Choice(model.ids[other], ProductStrategy.SUCCESSOR, reason)


def _bestsellers(scene: ChoiceScene) -> Iterator[Choice]:
    """Of the category's page and the categories that were looked at last first, then of the whole shop."""
    model = scene.model
    if model is None:
        return
    categories = list(dict.fromkeys([
        *_categories_named(model, scene.shopper.category),
        *(int(model.categories[number])
          for seen in reversed(scene.shopper.seen)
          if (number := scene.number(seen.id)) is not None and model.categories[number] >= 0),
    ]))[:ANCHORS]  # fmt: skip
    for category in categories:
        name = model.category_names[category]
        for number in _best_of(scene, model, category):
            yield Choice(model.ids[number], ProductStrategy.BESTSELLERS, f"bestseller of {name}")
    for number in _best_of(scene, model, None):
        yield Choice(model.ids[number], ProductStrategy.BESTSELLERS, "bestseller of the shop")


def _categories_named(model: ProductModel, name: str) -> list[int]:
    """Numbers of the categories whose whole path is `name`; without one, of those whose last part is."""
    wanted = name.strip().lower()
    if not wanted:
        return []
    names = [each.lower() for each in model.category_names]
    whole = [number for number, each in enumerate(names) if each == wanted]
    return whole or [number for number, each in enumerate(names) if each.rpartition(">")[2].strip() == wanted]


def _best_of(scene: ChoiceScene, model: ProductModel, category: int | None) -> list[int]:
    """The most popular of a category, or of the shop (None); kept with the model, since it changes only with it."""
    kept = scene.known.popular if scene.known is not None else {}
    key = (scene.plan.seed, category)
    found = kept.get(key)
    if found is None:
        mask = model.in_feed if category is None else (model.categories == category) & model.in_feed
        if len(kept) >= MAX_POPULAR:
            kept.clear()
        found = kept[key] = _popular(scene, model, mask)
    return found


def _trending(scene: ChoiceScene) -> Iterator[Choice]:
    model = scene.model
    if model is None:
        return
    trends = np.where(model.in_feed, model.trends, 0)
    for number in np.argsort(-trends, kind="stable")[:MAX_CANDIDATES].tolist():
        if trends[number] <= 1:
            return
        yield Choice(
            model.ids[number], ProductStrategy.TRENDING, f"viewed {trends[number]:.1f} times as often as before",
            float(trends[number]),
        )  # fmt: skip


def _popular(scene: ChoiceScene, model: ProductModel, mask: npt.NDArray[np.bool_]) -> list[int]:
    """Product numbers under a mask by popularity; equal ones by the seed."""
    numbers = np.flatnonzero(mask)
    popularity = model.tables.popularity[numbers]
    if len(numbers) > MAX_CANDIDATES:
        bound = np.partition(popularity, -MAX_CANDIDATES)[-MAX_CANDIDATES]
        numbers = numbers[popularity >= bound][: 4 * MAX_CANDIDATES]
    keyed = [(-float(model.tables.popularity[number]), tie_break(scene.plan.seed, model.ids[number]), number)
             for number in numbers.tolist()]  # fmt: skip
    return [number for _, _, number in sorted(keyed)[: MAX_CANDIDATES // 2]]


def _last_different(scene: ChoiceScene) -> list[str]:
    """The anchors: the last different products seen, then cart lines, at most ANCHORS."""
    seen = [one.id for one in reversed(scene.shopper.seen)]
    return list(dict.fromkeys([*seen[:ANCHORS], *scene.shopper.cart]))[:ANCHORS]


def _ago(seconds: int) -> str:
    for unit, length in (("days", DAY_S), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit} ago"
    return "just now"


_STRATEGIES: Final[dict[ProductStrategy, Callable[[ChoiceScene], Iterator[Choice]]]] = {
    ProductStrategy.CART: _cart,
    ProductStrategy.LAST_VISIT: _last_visit,
    ProductStrategy.EVER_SEEN: _ever_seen,
    ProductStrategy.NEXT: _next,
    ProductStrategy.BOUGHT: _bought,
    ProductStrategy.SIMILAR: _similar,
    ProductStrategy.COMPLEMENTARY: _complementary,
    ProductStrategy.UPSELL: _upsell,
    ProductStrategy.REDUCED: _reduced,
    ProductStrategy.SUCCESSOR: _successor,
    ProductStrategy.BESTSELLERS: _bestsellers,
    ProductStrategy.TRENDING: _trending,
}
