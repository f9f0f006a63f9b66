"""Nothing learnt at one shop can be seen at another, whatever happens at both; and facts merge the same way round."""

import copy
from collections.abc import Mapping, Sequence

import msgspec
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from bidder.decision.pipeline import respond
from core.model import CartValue, LineItem, Segment, Targeting
from core.telemetry.metrics import Telemetry
from segments.facts.apply import apply_event
from segments.facts.event import FORGET, Event, Item, Kind, Source, order_key, person_digest
from segments.facts.facts import Facts
from segments.facts.merge import merge
from segments.facts.meta import Meta
from segments.profiles.directory import CatalogueDirectory
from segments.profiles.metrics import WorkerMetrics
from segments.profiles.reading import ProfileBatch, decode
from segments.profiles.store import StoredField, StoredUser
from segments.rules.ruleset import CompiledRules
from segments.worker.planning import UserPlanner
from segments.worker.purchases import LogEntry
from tests.kit.bidding import TestBidder, bids_of
from tests.kit.catalogues import catalogue as bidding
from tests.kit.catalogues import line_item
from tests.kit.profiles import catalogue as shops

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
        kind=st.sampled_from([*map(str, Kind), "custom", FORGET]),
        advertiser_id=st.just(1),
        user_id=st.just(USER),
        at_ms=st.integers(0, 10 * 86_400).map(lambda seconds: T0_MS + seconds * 1_000),
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
batches = st.lists(st.lists(happenings, min_size=1, max_size=4), max_size=10)
"""Several events of one user, of both shops, are planned together when the worker has fallen behind."""

# Mostly none: who demands little is mostly eligible, and a fault in the rest of the targeting shows.
SOME_SEGMENTS = st.one_of(
    st.just(()), st.just(()), st.lists(st.sampled_from([segment.id for segment in SEGMENTS]), max_size=3).map(tuple)
)
# Two thirds within the life of a cart.
LATER = st.one_of(st.integers(0, 12 * 86_400), st.integers(0, 12 * 86_400), st.integers(0, 80 * 86_400))


@st.composite
def line_items(draw: st.DrawFn) -> tuple[LineItem, ...]:
    """Line items of both shops that name segments of both, as no API but a file may do."""
    return tuple(
        line_item(
            number, draw(st.sampled_from([1, 2])), bid_micros=draw(st.integers(1, 9)) * 1_000_000,
            targeting=Targeting(
                segments_any=draw(SOME_SEGMENTS), segments_all=draw(SOME_SEGMENTS), segments_none=draw(SOME_SEGMENTS)
            ),
            cart=draw(st.none() | st.just(CartValue())),
        )
        for number in range(1, draw(st.integers(2, 6)))
    )  # fmt: skip


def planner() -> UserPlanner:
    directory = CatalogueDirectory(CompiledRules)
    directory.replace(shops(SEGMENTS))
    return UserPlanner(directory, WorkerMetrics(Telemetry()), partitions=4)


def run(history: Sequence[Sequence[tuple[int, Event]]], only: int | None = None) -> dict[int, StoredField]:
    """The stored fields after a history; `only`: as if the other shop's events had never happened."""
    plans, fields, last, number = planner(), {1: StoredField(), 2: StoredField()}, b"", 0
    for batch in history:
        now_ms, entries = max(event.at_ms for _, event in batch), []
        for shop, event in batch:
            number += 1
            if only in (None, shop):
                own = msgspec.structs.replace(event, advertiser_id=shop)
                entries.append(LogEntry(number.to_bytes(8, "big") + bytes(8), own))
        if not entries:
            continue
        plan = plans.plan(StoredUser(USER, last, Meta(), b"", dict(fields)), entries, {}, now_ms)
        assert plan.write is not None
        named = {entry.event.advertiser_id for entry in entries}
        assert plan.write.fields.keys() == named, "an event writes its own shop's field and no other"
        fields.update(plan.write.fields)
        last = plan.write.last
    return fields


def profile_of(fields: Mapping[int, StoredField], now_ms: int) -> ProfileBatch:
    """What the bid path reads of the user."""
    hot = [(str(shop).encode(), field.hot) for shop, field in fields.items() if field.hot]
    profile = ProfileBatch([USER])
    decode(profile, [0], [[part for pair in hot for part in pair]], now_ms)
    return profile


@settings(max_examples=100, deadline=None, phases=NO_SHRINKING)
@given(batches)
def test_a_shops_stored_bytes_do_not_depend_on_another_shops_events(history: list[list[tuple[int, Event]]]) -> None:
    together = run(history)
    for shop in (1, 2):
        assert together[shop] == run(history, only=shop)[shop]


@settings(max_examples=60, deadline=None, phases=NO_SHRINKING)
@given(batches, LATER)
def test_evaluating_a_shops_changed_rules_leaves_another_shop_alone(
    history: list[list[tuple[int, Event]]], later_s: int
) -> None:
    fields, now_ms = run(history), T0_MS + later_s * 1_000
    for shop in (1, 2):
        plan = planner().reevaluate(StoredUser(USER, b"", Meta(), b"", fields), [shop], now_ms)
        assert plan.write is None or plan.write.fields.keys() <= {shop}
        alone = planner().reevaluate(StoredUser(USER, b"", Meta(), b"", run(history, only=shop)), [shop], now_ms)
        assert (plan.write and plan.write.fields) == (alone.write and alone.write.fields)


@settings(max_examples=120, deadline=None, phases=NO_SHRINKING)
@given(batches, line_items(), LATER)
def test_what_a_shop_bids_does_not_depend_on_another_shops_events(
    history: list[list[tuple[int, Event]]], lines: tuple[LineItem, ...], later_s: int
) -> None:
    """The same line items at the same prices, whoever they target, and also if they name the other shop's segments."""
    now_ms = T0_MS + later_s * 1_000
    together = profile_of(run(history), now_ms)
    for shop in (1, 2):
        own = [line for line in lines if line.advertiser_id == shop]
        bidder = TestBidder(bidding(*own, segments=tuple(SEGMENTS)), now_ms=now_ms)
        alone = profile_of(run(history, only=shop), now_ms)
        assert bids_with(bidder, together) == bids_with(bidder, alone)


def bids_with(bidder: TestBidder, profile: ProfileBatch) -> tuple[list[set[tuple[int, int]]], list[tuple[int, object]]]:
    """All line items that may bid, and (line item, price) of what is bid, for a user with this profile."""
    request = {"id": "1", "imp": [{"id": "1", "banner": {"w": 300, "h": 250}}], "cur": ["PLN"], "tmax": 200,
               "site": {"page": "https://news.example/"}, "user": {"buyeruid": USER}, "regs": {"gdpr": 0}}  # fmt: skip
    matching, now_ms = bidder.screened(request), bidder.clock.now_ms()
    part = bidder.snapshot
    part.matcher.match_user([matching], profile, part.caps, part.counts, now_ms // 1000)
    eligible = [bidder.pairs_of(impression.eligible) for impression in matching.impressions]
    found = respond([bidder.screened(request)], profile, part, bidder.signer, now_ms)
    response = msgspec.json.decode(found[0]) if found else None
    return eligible, [(bidder.claims(bid).line_item_id, bid["price"]) for bid in bids_of(response)]


@given(st.text("0123456789abcdef", min_size=64, max_size=64))
def test_the_same_address_at_two_shops_gives_unrelated_persons(email_sha256: str) -> None:
    first, second = person_digest(1, email_sha256), person_digest(2, email_sha256)
    assert first != second
    assert person_digest(1, email_sha256.upper()) == first


def facts_of(history: Sequence[tuple[int, Event]], shop: int) -> Facts:
    facts = Facts()
    for owner, event in history:
        if owner == shop:
            apply_event(facts, event)  # FORGET is a custom event to it
    return facts


def comparable(facts: Facts) -> dict[str, object]:
    """Everything but what names the sides themselves."""
    own = ("merged", "devices", "forwarded")
    return {name: getattr(facts, name) for name in facts.__struct_fields__ if name not in own}


# Nothing but tills in the same second: neither side is the later one.
TIE = [
    (shop, Event(Kind.PURCHASE, 1, USER, T0_MS, attributes={"margin": shop}, country=country, offline=True))
    for shop, country in ((1, "POL"), (2, "CZE"))
]


@settings(max_examples=60, deadline=None, phases=NO_SHRINKING)
@given(histories)
@example(TIE)
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
