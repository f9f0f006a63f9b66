import pytest

from core.errors import InputError, NotFoundError
from segments.audiences.ready_made import (
    READY_MADE,
    Parameter,
    ParameterKind,
    ParameterValue,
    ReadyMade,
    cart_tiers,
    default_text,
    duration_text,
    money_text,
    parameter_value,
    quoted,
    rule_of,
)
from segments.facts.facts import (
    DAY_S,
    Bought,
    CartLine,
    Entry,
    Facts,
    Lifecycle,
    Order,
    PathVisit,
    Product,
    Search,
    Traits,
)
from segments.rules.check import check
from segments.rules.evaluate import evaluate
from tests.kit.fixtures import REPOSITORY

NOW = 1_790_000_000
UNIT = 1_000_000


def cart(value: int, stage: int = 1) -> Facts:
    """A cart of `value` units, left two hours ago."""
    left = NOW - 7_200
    return Facts(
        cart=[CartLine("a", "shoes", value * UNIT)], cart_micros=value * UNIT, cart_stage=stage, cart_since_s=left,
        cart_changed_s=left, cart_idle_s=left, last_visit_s=left,
    )  # fmt: skip


def customer(purchases: int, last_days: int, value: int = 100) -> Facts:
    """A customer who bought each month; the last time `last_days` ago, and came last then."""
    last = NOW - last_days * DAY_S
    return Facts(
        purchases=purchases, purchases_micros=purchases * value * UNIT, last_purchase_s=last, last_visit_s=last,
        first_purchase_s=last - 30 * DAY_S * (purchases - 1), lifetime_value_micros=12 * value * UNIT,
        orders=[Order(1, last, value * UNIT)], lifecycle=Lifecycle.RETENTION,
        bought=[Bought("a", "shoes", last)],
    )  # fmt: skip


LOOKER = Facts(products=[Product("sku-1", "shoes", NOW - DAY_S)], last_visit_s=NOW - DAY_S)

# (key, parameters, who is in, who is not)
CASES: list[tuple[str, dict[str, ParameterValue], Facts, Facts]] = [
    ("all_visitors", {}, LOOKER, Facts(last_visit_s=NOW - 40 * DAY_S)),
    ("category_viewers", {"categories": ("sho*",)}, LOOKER, Facts(products=[Product("x", "hats", NOW)])),
    ("product_viewers", {"products": "sku-1"}, LOOKER, Facts(products=[Product("sku-2", "shoes", NOW)])),
    (
        "high_margin_viewers", {},
        Facts(products=[Product("x", "hats", NOW - DAY_S, traits=Traits("high"))]),
        Facts(products=[Product("x", "hats", NOW - DAY_S, traits=Traits("low"))]),
    ),
    (
        "reduced_viewers", {},
        Facts(products=[Product("x", "hats", NOW - DAY_S, traits=Traits(reduced_to_s=NOW + 1))]),
        Facts(products=[Product("x", "hats", NOW - DAY_S, traits=Traits(reduced_to_s=NOW))]),
    ),
    ("searchers", {"phrases": "*szpilki*"}, Facts(searches=[Search("czerwone szpilki", NOW)]), LOOKER),
    ("cart_abandoners", {"at_least": 500 * UNIT}, cart(640), cart(100)),
    ("cart_abandoners_at_stage", {"stage": "shipping"}, cart(10, 3), cart(10, 2)),
    ("checkout_abandoners", {}, cart(10, 2), cart(10, 1)),
    ("buyers", {}, customer(1, 10), LOOKER),
    ("repeat_buyers", {}, customer(2, 10), customer(1, 10)),
    ("high_value", {"at_least": 1_000 * UNIT}, customer(3, 10), customer(3, 10, value=50)),
    ("lapsed", {}, customer(1, 70), customer(1, 50)),
    ("cross_sell", {"bought": "shoes", "missing": "socks"}, customer(1, 5), LOOKER),
    ("about_to_reorder", {}, customer(3, 25), customer(3, 10)),
    (
        "discount_seekers", {}, Facts(paths=[PathVisit("/promo/1", NOW), PathVisit("/sale", NOW)]),
        Facts(paths=[PathVisit("/promo/1", NOW), PathVisit("/", NOW)]),
    ),
    (
        "new_from_campaign", {"campaigns": ("spring*", "summer")},
        Facts(first_visit_s=NOW, entries=[Entry(NOW, campaign="Spring-24")]),
        Facts(first_visit_s=NOW - 9 * DAY_S, entries=[Entry(NOW, campaign="spring")]),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("key", "values", "member", "stranger"), CASES, ids=[case[0] for case in CASES])
def test_a_ready_made_segment_holds_whom_it_names(
    key: str, values: dict[str, ParameterValue], member: Facts, stranger: Facts
) -> None:
    rule = rule_of(key, "PLN", values)
    check(rule, "PLN")
    assert evaluate(rule, member, NOW * 1000)
    assert not evaluate(rule, stranger, NOW * 1000)


def test_up_sell_finds_customers_who_look_again() -> None:
    rule = rule_of("up_sell", "PLN")
    again = customer(2, 10, value=80)
    assert not evaluate(rule, again, NOW * 1000)
    again.products = [Product("b", "shoes", NOW)]
    assert evaluate(rule, again, NOW * 1000)


def test_every_ready_made_segment_has_a_case() -> None:
    assert {case[0] for case in CASES} | {"up_sell"} == set(READY_MADE)


def test_a_cart_is_not_abandoned_within_the_first_hour() -> None:
    rule = rule_of("cart_abandoners", "PLN", {"delay": 10_800})
    assert not evaluate(rule, cart(640), NOW * 1000)


def test_value_tiers_share_out_all_carts() -> None:
    rules = cart_tiers("PLN", [100 * UNIT, 300 * UNIT])
    for value, tier in ((0, 0), (99, 0), (100, 1), (299, 1), (300, 2), (9_000, 2)):
        assert [evaluate(rule, cart(value), NOW * 1000) for rule in rules].index(True) == tier
        assert sum(evaluate(rule, cart(value), NOW * 1000) for rule in rules) == 1


def test_a_bound_that_bounds_nothing_is_left_out() -> None:
    abandoned = "cart.age in 1h..14d and not purchased since cart"
    assert rule_of("cart_abandoners", "PLN") == abandoned
    assert rule_of("cart_abandoners", "PLN", {"at_least": 0, "below": 1_000_000 * UNIT}) == abandoned
    assert rule_of("cart_abandoners", "PLN", {"at_least": 5 * UNIT}) == f"cart.value >= 5 PLN and {abandoned}"
    assert rule_of("cart_abandoners", "PLN", {"below": 9 * UNIT}) == f"cart.value < 9 PLN and {abandoned}"
    assert evaluate(rule_of("cart_abandoners", "PLN"), cart(2_000_000), NOW * 1000)


@pytest.mark.parametrize("segment", READY_MADE.values(), ids=lambda segment: segment.key)
def test_what_may_be_left_out_of_a_rule_is_in_it(segment: ReadyMade) -> None:
    for name, part in segment.bounds:
        assert f"{{{name}}}" in part
        assert segment.template.count(part) == 1


@pytest.mark.parametrize("bounds", [[0], [300, 100], [100, 100], [-1]])
def test_tier_bounds_ascend(bounds: list[int]) -> None:
    with pytest.raises(InputError, match="positive and ascend"):
        cart_tiers("PLN", bounds)


def test_all_faults_of_parameters_are_told_at_once() -> None:
    with pytest.raises(InputError) as caught:
        rule_of("category_viewers", "PLN", {"categoriez": "x", "within": -1})
    assert [(fault.pointer, fault.code) for fault in caught.value.faults] == [
        ("/parameters/categoriez", "unknown"), ("/parameters/categories", "value"), ("/parameters/within", "value"),
    ]  # fmt: skip
    assert caught.value.faults[0].hint == 'did you mean "categories"?'


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("searchers", {"phrases": ()}), ("searchers", {"phrases": ("a", "")}), ("searchers", {"phrases": "a\nb"}),
        ("cart_abandoners_at_stage", {"stage": "none"}), ("cart_abandoners_at_stage", {}),
        ("repeat_buyers", {"at_least": "2"}), ("high_value", {"at_least": -1}),
    ],
)  # fmt: skip
def test_a_wrong_parameter_is_refused(key: str, values: dict[str, ParameterValue]) -> None:
    with pytest.raises(InputError, match="cannot be built"):
        rule_of(key, "PLN", values)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (ParameterKind.MONEY, "500", 500 * UNIT), (ParameterKind.MONEY, "49.90 PLN", 49_900_000),
        (ParameterKind.MONEY, "0.5", 500_000), (ParameterKind.DURATION, "1d12h", 129_600),
        (ParameterKind.COUNT, "3", 3), (ParameterKind.STAGE, "Shipping", "shipping"),
        (ParameterKind.TEXTS, "shoes*, boots", ("shoes*", "boots")),
    ],
)  # fmt: skip
def test_a_value_is_read_as_people_write_it(kind: ParameterKind, text: str, value: ParameterValue) -> None:
    assert parameter_value(Parameter("p", kind, ""), text, "PLN") == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (ParameterKind.MONEY, "500 EUR"), (ParameterKind.MONEY, "7d"), (ParameterKind.MONEY, ""),
        (ParameterKind.MONEY, "1 2"), (ParameterKind.MONEY, "5 PLN or everyone"), (ParameterKind.MONEY, "-5"),
        (ParameterKind.DURATION, "7"), (ParameterKind.DURATION, "7x"), (ParameterKind.DURATION, "9999w"),
        (ParameterKind.COUNT, "2.5"), (ParameterKind.COUNT, "two"), (ParameterKind.COUNT, "²"),
    ],
)  # fmt: skip
def test_a_text_that_is_no_value_is_refused_with_an_example(kind: ParameterKind, text: str) -> None:
    with pytest.raises(InputError) as caught:
        parameter_value(Parameter("p", kind, ""), text, "PLN")
    assert "for example" in str(caught.value.hint)


@pytest.mark.parametrize("segment", READY_MADE.values(), ids=lambda segment: segment.key)
def test_a_default_is_shown_as_it_can_be_given(segment: ReadyMade) -> None:
    for parameter in segment.parameters:
        text = default_text(parameter)
        assert bool(text) == (parameter.default is not None)
        if text:
            assert parameter_value(parameter, text, "PLN") == parameter.default


def test_an_unknown_key_suggests_a_known_one() -> None:
    with pytest.raises(NotFoundError) as caught:
        rule_of("repeat_buyer", "PLN")
    assert caught.value.hint == 'did you mean "repeat_buyers"?'


def test_no_text_escapes_from_its_quotes() -> None:
    hostile = 'a" or everyone or source = "\\'
    rule = rule_of("searchers", "PLN", {"phrases": hostile})
    assert not evaluate(rule, LOOKER, NOW * 1000)
    assert evaluate(rule, Facts(searches=[Search(hostile, NOW)]), NOW * 1000)


def test_values_are_written_as_people_write_them() -> None:
    assert [duration_text(seconds) for seconds in (0, 59, 60, 5_400, 86_400, 90_000)] == [
        "0s", "59s", "1m", "90m", "1d", "25h",
    ]  # fmt: skip
    assert [money_text(micros, "PLN") for micros in (500 * UNIT, 1_500_000, 1)] == [
        "500 PLN",
        "1.50 PLN",
        "0.000001 PLN",
    ]
    assert quoted('a"b\\') == r'"a\"b\\"'


@pytest.mark.parametrize("segment", READY_MADE.values(), ids=lambda segment: segment.key)
def test_the_documentation_lists_every_ready_made_segment(segment: ReadyMade) -> None:
    documentation = (REPOSITORY / "docs/segments.md").read_text()
    assert f"**`{segment.key}`: {segment.name}.** {segment.summary}\n\n```\n{segment.template}\n```" in documentation
    for parameter in segment.parameters:
        assert f"- `{parameter.name}`: {parameter.summary}" in documentation
