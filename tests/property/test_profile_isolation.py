"""Nothing learnt at one shop can be seen at another, whatever happens at both; and facts merge the same way round."""

import copy
from collections.abc import Sequence

import msgspec
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from core.model import Segment
from core.telemetry import Telemetry
from segments.apply import apply_event
from segments.directory import CatalogueDirectory
from segments.events import Event, Item, Kind, Source, order_key, person_digest
from segments.facts import Facts
from segments.merge import merge
from segments.meta import Meta
from segments.metrics import WorkerMetrics
from segments.planning import Entry, UserPlanner
from segments.profiles import ProfileBatch, decode
from segments.rules.ruleset import CompiledRules
from segments.store import StoredField, StoredUser
from tests.kit.profiles import catalogue

# Shrinking a history of 25 events takes minutes; a failure shows its difference without it.
NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)

USER = "AAAAAAAAAAAAAAAAAAAAAA"
T0_MS = 1_790_000_000_000

RULES = (
    "cart.value >= 100 PLN and cart.age in 1h..14d",
    "purchases.count > 0",
    'visited "/promo/*" in 7d',
    "score >= 20",
    "lifecycle = exit",
)
SEGMENTS = [
    Segment(
        id=100 * shop + number, advertiser_id=shop, name="s", rule=rule if shop == 1 else rule.replace("PLN", "EUR")
    )
    for shop in (1, 2)
    for number, rule in enumerate(RULES)
]

items = st.builds(
    Item,
    id=st.sampled_from(["a", "b", "c"]),
    category=st.sampled_from(["", "shoes", "hats"]),
    price_micros=st.integers(0, 900).map(lambda units: units * 1_000_000),
    quantity=st.integers(0, 3),
)
happenings = st.tuples(
    st.sampled_from([1, 2]),
    st.builds(
        Event,
        kind=st.sampled_from([*map(str, Kind), "custom"]),
        advertiser_id=st.just(1),
        user_id=st.just(USER),
        at_ms=st.integers(0, 40 * 86_400).map(lambda seconds: T0_MS + seconds * 1_000),
        path=st.sampled_from(["", "/promo/x", "/buty"]),
        source=st.none() | st.builds(Source, source=st.sampled_from(["google", "facebook"]), explicit=st.booleans()),
        items=st.lists(items, max_size=3).map(tuple),
        value_micros=st.none() | st.integers(0, 10**9),
        order=st.sampled_from(["", "A", "B"]).map(order_key),
        phrase=st.sampled_from(["", "red"]),
        seconds=st.integers(0, 60),
        attributes=st.dictionaries(st.sampled_from(["tier", "margin"]), st.none() | st.integers(0, 9), max_size=2),
        offline=st.booleans(),
    ),
)
histories = st.lists(happenings, max_size=25)


def run(history: Sequence[tuple[int, Event]], only: int | None = None) -> dict[int, StoredField]:
    """The stored fields after a history; `only`: as if the other shop's events had never happened."""
    metrics = WorkerMetrics(Telemetry())
    directory = CatalogueDirectory(CompiledRules)
    directory.replace(catalogue(SEGMENTS))
    planner = UserPlanner(directory, metrics, partitions=4)
    fields: dict[int, StoredField] = {}
    last = b""
    for number, (shop, event) in enumerate(history, start=1):
        if only is not None and shop != only:
            continue
        entry = Entry(number.to_bytes(8, "big") + bytes(8), msgspec.structs.replace(event, advertiser_id=shop))
        user = StoredUser(USER, last, Meta(), b"", {shop: fields.get(shop, StoredField())})
        plan = planner.plan(user, [entry], {}, event.at_ms)
        assert plan.write is not None
        assert plan.write.fields.keys() == {shop}, "an event writes its own shop's field and no other"
        fields |= plan.write.fields
        last = plan.write.last
    return fields


@settings(max_examples=60, deadline=None, phases=NO_SHRINKING)
@given(histories)
def test_a_shops_stored_bytes_do_not_depend_on_another_shops_events(history: list[tuple[int, Event]]) -> None:
    together = run(history)
    for shop in (1, 2):
        assert together.get(shop) == run(history, only=shop).get(shop)


@settings(max_examples=40, deadline=None, phases=NO_SHRINKING)
@given(histories, st.integers(0, 50 * 86_400))
def test_what_the_bid_path_sees_of_a_shop_does_not_depend_on_another_shop(
    history: list[tuple[int, Event]], later_s: int
) -> None:
    now_ms = T0_MS + later_s * 1_000

    def seen(fields: dict[int, StoredField], shop: int) -> tuple[object, ...]:
        reply = [part for key, field in fields.items() for part in (str(key).encode(), field.hot)]
        batch = ProfileBatch([USER])
        decode(batch, [0], [reply], now_ms)
        rows = (batch.state_advertiser == shop).nonzero()[0]
        own = {segment.id for segment in SEGMENTS if segment.advertiser_id == shop}
        members = [
            int.from_bytes(batch.segments[0][at : at + 4], "little") for at in range(0, len(batch.segments[0]), 4)
        ]
        columns = (
            batch.cart_micros, batch.cart_age_s, batch.last_visit_age_s, batch.last_purchase_age_s, batch.visits,
            batch.score, batch.products_viewed,
        )  # fmt: skip
        return sorted(set(members) & own), [column[rows].tolist() for column in columns]

    together = run(history)
    for shop in (1, 2):
        alone = run(history, only=shop)
        if shop in alone:
            assert seen(together, shop) == seen(alone, shop)
        else:
            assert shop not in together


@given(st.text("0123456789abcdef", min_size=64, max_size=64))
def test_the_same_address_at_two_shops_gives_unrelated_persons(email_sha256: str) -> None:
    first, second = person_digest(1, email_sha256), person_digest(2, email_sha256)
    assert first != second
    assert person_digest(1, email_sha256.upper()) == first


def facts_of(history: Sequence[tuple[int, Event]], shop: int) -> Facts:
    facts = Facts()
    for owner, event in history:
        if owner == shop:
            apply_event(facts, event)
    return facts


def comparable(facts: Facts) -> dict[str, object]:
    """Everything but what names the sides themselves."""
    own = ("merged", "devices", "forwarded")
    return {name: getattr(facts, name) for name in facts.__struct_fields__ if name not in own}


@settings(max_examples=60, deadline=None, phases=NO_SHRINKING)
@given(histories)
def test_merging_two_devices_gives_the_same_facts_on_both(history: list[tuple[int, Event]]) -> None:
    left, right = facts_of(history, 1), facts_of(history, 2)
    left_before, right_before = copy.deepcopy(left), copy.deepcopy(right)
    merge(left, "L", right_before, "R")
    merge(right, "R", left_before, "L")
    assert comparable(left) == comparable(right)
    assert (left.merged, right.merged) == (["R"], ["L"])


@settings(max_examples=60, deadline=None, phases=NO_SHRINKING)
@given(histories)
def test_merging_the_same_device_again_changes_nothing(history: list[tuple[int, Event]]) -> None:
    left, right = facts_of(history, 1), facts_of(history, 2)
    merge(left, "L", right, "R")
    once = copy.deepcopy(left)
    merge(left, "L", right, "R")
    assert comparable(left) == comparable(once)
