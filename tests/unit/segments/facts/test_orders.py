"""Orders count once, also long after."""

import copy

from segments.facts.apply import apply_event
from segments.facts.event import Event, Kind, order_key
from segments.facts.facts import MAX_ORDERS, Facts, Order
from segments.facts.layout import pack_cold, unpack_cold
from segments.facts.merge import merge
from segments.facts.orders import DIGEST_BYTES, MAX_OLDER_ORDERS, is_counted, remember_orders

NOW_S = 1_790_000_000


def buy(facts: Facts, number: int, at_s: int) -> None:
    apply_event(facts, Event(Kind.PURCHASE, 1, "u", at_s * 1000, order=order_key(f"A-{number}"), value_micros=1_000))


def buyer(orders: int, first: int = 0) -> Facts:
    facts = Facts()
    for number in range(first, first + orders):
        buy(facts, number, NOW_S + number * 60)
    return facts


def test_an_order_sent_again_counts_once_however_many_came_since() -> None:
    facts = buyer(100)
    for number in range(100):
        buy(facts, number, NOW_S + 90_000)
    assert (facts.purchases, facts.purchases_micros) == (100, 100_000)


def test_what_is_remembered_is_bounded_and_the_newest() -> None:
    known = MAX_ORDERS + MAX_OLDER_ORDERS
    facts = buyer(known + 10)
    assert len(facts.orders) == MAX_ORDERS
    assert len(facts.older_orders) == MAX_OLDER_ORDERS * DIGEST_BYTES
    counted = [is_counted(facts, order_key(f"A-{number}")) for number in range(known + 10)]
    assert counted == [False] * 10 + [True] * known


def test_orders_without_a_number_are_never_the_same() -> None:
    facts = Facts()
    remember_orders(facts, [Order(0, NOW_S + at, 5) for at in range(20)])
    assert not is_counted(facts, 0)
    assert facts.older_orders == b""


def test_older_orders_survive_packing() -> None:
    facts = buyer(30)
    assert unpack_cold(pack_cold(facts)) == facts


def test_linked_devices_know_each_others_orders() -> None:
    phone, laptop = buyer(30), buyer(30, first=100)
    left, right = copy.deepcopy(phone), copy.deepcopy(laptop)
    merge(left, "phone", laptop, "laptop")
    merge(right, "laptop", phone, "phone")
    assert left.purchases == right.purchases == 60
    assert (left.orders, left.older_orders) == (right.orders, right.older_orders)
    assert all(is_counted(left, order_key(f"A-{number}")) for number in (0, 29, 100, 129))
