"""The bid path's reader, against a Redis that answers what the test says."""

from collections.abc import Sequence

import hiredis
import numpy as np
import pytest

from core.errors import UnavailableError
from core.ids import product_reference
from segments.facts.facts import CART_LIFETIME_S, CartLine, CartStage, Facts, Product
from segments.facts.layout import Window, pack_hot
from segments.facts.meta import Meta, pack_meta
from segments.profiles.reading import Command, ProfileBatch, ProfileReader, UserLookup

NOW_MS = 1_790_000_000_000
NOW_S = NOW_MS // 1000


class Scripted:
    """Answers by key; remembers what was asked."""

    def __init__(self, answers: dict[str, object]) -> None:
        self.answers = answers
        self.batches: list[list[Command]] = []

    async def batch(self, commands: Sequence[Command], deadline: float) -> list[object]:
        self.batches.append(list(commands))
        return [self.answers.get(str(command[1]), [] if command[0] == "HGETALL" else None) for command in commands]


class Down:
    async def batch(self, commands: Sequence[Command], deadline: float) -> list[object]:
        raise UnavailableError("Redis is away")


def hot(windows: Sequence[Window] = (), expires_s: int = NOW_S + 999, **facts: float) -> bytes:
    return pack_hot(Facts(**facts), windows, NOW_S - 100_000, expires_s)  # type: ignore[arg-type]  # numbers only


def ids(*segments: int) -> bytes:
    return np.array(segments, dtype="<u4").tobytes()


async def fetch(redis: Scripted | Down, *users: UserLookup) -> ProfileBatch:
    return await ProfileReader(redis).fetch(users, NOW_MS, 1.0)


async def test_segments_are_those_whose_window_is_open_now_sorted_over_all_shops() -> None:
    windows = [(9, NOW_S - 5, NOW_S + 5), (8, NOW_S + 1, NOW_S + 9), (7, NOW_S - 9, NOW_S), (3, NOW_S, NOW_S + 1)]
    redis = Scripted({"u:{alice}": [b"1", hot(windows), b"2", hot([(4, 0, NOW_S + 9)])]})
    batch = await fetch(redis, ("alice", 1, None))
    assert batch.segments == [ids(3, 4, 9)]
    assert batch.found == [True]


async def test_each_row_belongs_to_a_request_and_a_shop() -> None:
    redis = Scripted({"u:{a}": [b"1", hot(visits=3)], "u:{b}": [b"1", hot(visits=5), b"2", hot(score=2.5)]})
    batch = await fetch(redis, ("a", 1, None), (None, 1, None), ("b", 1, None), ("nobody", 1, None))
    assert batch.state_request.tolist() == [0, 2, 2]
    assert batch.state_advertiser.tolist() == [1, 1, 2]
    assert batch.visits.tolist() == [3, 5, 0]
    assert batch.score.tolist() == [0, 0, 2.5]
    assert batch.found == [True, False, True, False]


async def test_ages_are_infinite_where_nothing_happened_and_never_negative() -> None:
    redis = Scripted({"u:{a}": [b"1", hot(last_visit_s=NOW_S + 4)]})
    batch = await fetch(redis, ("a", 1, None))
    assert batch.last_visit_age_s.tolist() == [0]
    assert batch.last_purchase_age_s.tolist() == [np.inf]
    assert batch.cart_age_s.tolist() == [np.inf]


@pytest.mark.parametrize(("age_s", "expected"), [(0, 70), (CART_LIFETIME_S - 1, 70), (CART_LIFETIME_S, 0)])
async def test_a_cart_is_gone_after_its_lifetime(age_s: int, expected: int) -> None:
    facts = Facts(
        cart=[CartLine("x", "", 70)], cart_micros=70, cart_idle_s=NOW_S - age_s, cart_stage=CartStage.SHIPPING
    )
    redis = Scripted({"u:{a}": [b"1", pack_hot(facts, [], NOW_S, NOW_S + 99)]})
    batch = await fetch(redis, ("a", 1, None))
    assert batch.cart_micros.tolist() == [expected]
    assert batch.cart_stage.tolist() == [CartStage.SHIPPING if expected else CartStage.NONE]


async def test_without_any_cart_there_is_no_stage() -> None:
    redis = Scripted({"u:{a}": [b"1", hot(cart_stage=CartStage.FORM)]})
    batch = await fetch(redis, ("a", 1, None))
    assert (batch.cart_stage.tolist(), batch.cart_age_s.tolist()) == ([CartStage.NONE], [np.inf])


async def test_a_field_whose_retention_is_over_is_void() -> None:
    redis = Scripted({"u:{a}": [b"1", hot([(1, 0, 2**32 - 1)], NOW_S, visits=2), b"2", hot(visits=3)]})
    batch = await fetch(redis, ("a", 1, None))
    assert batch.state_advertiser.tolist() == [2]
    assert batch.segments == [b""]


async def test_an_opted_out_user_is_nobody() -> None:
    meta = pack_meta(Meta(opted_out=True))
    redis = Scripted({"u:{a}": [b"1", hot([(1, 0, NOW_S + 9)]), b"i", b"ring", b"m", meta], "u:{b}": [b"1", hot()]})
    batch = await fetch(redis, ("a", 1, None), ("b", 1, None))
    assert batch.found == [False, True]
    assert batch.rings == [b"", b""]
    assert batch.segments == [None, b""]
    assert batch.state_request.tolist() == [1]


async def test_the_impression_ring_comes_with_the_same_read() -> None:
    redis = Scripted({"u:{a}": [b"i", b"12345678"]})
    batch = await fetch(redis, ("a", 1, None))
    assert batch.rings == [b"12345678"]
    assert batch.found == [True]


async def test_only_requests_with_nothing_but_an_exchange_id_need_a_second_round_trip() -> None:
    redis = Scripted({"x:5:theirs": b"alice", "u:{alice}": [b"1", hot(visits=1)]})
    batch = await fetch(redis, (None, 5, "theirs"), ("bob", 5, "ignored"), (None, 5, "unknown"))
    assert redis.batches == [
        [("GET", "x:5:theirs"), ("GET", "x:5:unknown")],
        [("HGETALL", "u:{alice}"), ("HGETALL", "u:{bob}")],
    ]
    assert batch.user_ids == ["alice", "bob", None]
    assert batch.found == [True, False, False]


async def test_without_users_nothing_is_sent() -> None:
    redis = Scripted({})
    batch = await fetch(redis, (None, 1, None))
    assert redis.batches == []
    assert batch.found == [False]


async def test_a_redis_that_is_away_is_a_normal_outcome() -> None:
    batch = await fetch(Down(), ("a", 1, None), (None, 1, None), (None, 1, "theirs"))
    assert batch.failed == {0, 2}, "who has no id at all was not to be looked up"
    assert batch.found == [False] * 3
    assert batch.state_request.tolist() == []


async def test_an_error_answer_counts_as_unavailable_for_that_user_alone() -> None:
    redis = Scripted({"u:{a}": hiredis.ReplyError("LOADING"), "u:{b}": [b"1", hot(visits=4)]})
    batch = await fetch(redis, ("a", 1, None), ("b", 1, None))
    assert batch.failed == {0}
    assert batch.visits.tolist() == [4]


async def test_an_error_for_the_exchange_s_id_is_no_unknown_user() -> None:
    redis = Scripted({"x:5:theirs": hiredis.ReplyError("CLUSTERDOWN")})
    told: list[int] = []
    batch = await ProfileReader(redis, told.append).fetch([(None, 5, "theirs"), (None, 5, "unknown")], NOW_MS, 1.0)
    assert (batch.failed, batch.user_ids, told) == ({0}, [None, None], [1])


async def test_what_cannot_be_read_fails_the_look_up_and_nothing_else() -> None:
    for reply in ([b"not a shop", hot(visits=1)], [b"1"]):
        batch = await fetch(Scripted({"u:{a}": reply}), ("a", 1, None), (None, 1, None))
        assert (batch.failed, batch.found, batch.state_request.tolist()) == ({0}, [False, False], [])


async def test_a_damaged_field_does_not_hurt_its_neighbours() -> None:
    cut = hot([(1, 0, NOW_S + 9), (2, 0, NOW_S + 9)])[:-5]
    redis = Scripted({"u:{a}": [b"1", cut], "u:{b}": [b"1", hot([(3, 0, NOW_S + 9)]), b"2", b"\x07old"]})
    batch = await fetch(redis, ("a", 1, None), ("b", 1, None))
    assert batch.segments == [b"", ids(3)]


def old_hot(windows: Sequence[Window] = (), **facts: float) -> bytes:
    """A field of version 1, which has no references to products."""
    packed = bytearray(pack_hot(Facts(**facts), windows, NOW_S - 100_000, NOW_S + 999))  # type: ignore[arg-type]  # numbers
    packed[0] = 1
    return bytes(packed)


async def test_fields_of_both_versions_are_read_side_by_side() -> None:
    facts = Facts(products=[Product("a", seen_s=1), Product("b", seen_s=2)], visits=7)
    new = pack_hot(facts, [(4, 0, NOW_S + 9)], NOW_S - 100_000, NOW_S + 999)
    redis = Scripted({
        "u:{a}": [b"1", old_hot([(3, 0, NOW_S + 9)], visits=5), b"2", new],
        "u:{b}": [b"1", new, b"2", old_hot([(9, 0, NOW_S + 9)], visits=2)],
    })  # fmt: skip
    batch = await fetch(redis, ("a", 1, None), ("b", 1, None))
    assert batch.segments == [ids(3, 4), ids(4, 9)]
    assert batch.visits.tolist() == [5, 7, 7, 2]
    assert batch.references(0, 1) == batch.references(1, 2) == ((), 0)
    assert batch.references(0, 2) == batch.references(1, 1) == ((product_reference("b"), product_reference("a")), 0)
    assert batch.references(0, 3) == batch.references(2, 1) == ((), 0)


def cart_of(age_s: int) -> bytes:
    facts = Facts(cart=[CartLine("x", "", 70)], cart_micros=70, cart_idle_s=NOW_S - age_s, cart_stage=1)
    facts.products = [Product("y", seen_s=1)]
    return pack_hot(facts, [], NOW_S - 10_000_000, NOW_S + 99)


@pytest.mark.parametrize(("age_s", "of_cart"), [(0, 1), (CART_LIFETIME_S, 0)])
async def test_products_of_a_cart_that_has_lost_its_value_are_products_like_others(age_s: int, of_cart: int) -> None:
    batch = await fetch(Scripted({"u:{a}": [b"1", cart_of(age_s)]}), ("a", 1, None))
    assert batch.references(0, 1) == ((product_reference("x"), product_reference("y")), of_cart)


async def test_products_go_where_the_rest_of_the_profile_goes() -> None:
    redis = Scripted({"u:{a}": [b"1", hot(expires_s=NOW_S), b"2", cart_of(0)], "u:{b}": [b"1", cart_of(0)]})
    batch = await fetch(redis, ("a", 1, None), ("b", 1, None))
    assert (batch.references(0, 1)[0], len(batch.references(0, 2)[0])) == ((), 2)
    batch.keep_only_ring(0)
    assert batch.references(0, 2) == ((), 0)
    assert len(batch.references(1, 1)[0]) == 2
