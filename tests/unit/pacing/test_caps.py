import pickle
import random
import struct

import pytest

from core.model import Advertiser, BudgetShare, Campaign, Catalogue, FrequencyCap, LineItem, Status
from core.reasons import NoBid
from pacing.budgets.pools import PoolKey
from pacing.caps import CapTable, WindowBook, pack_record, recent_impressions

NOW = 1_790_000_000
DAY = 86_400


def table(
    line: tuple[FrequencyCap, ...] = (),
    campaign: tuple[FrequencyCap, ...] = (),
    advertiser: tuple[FrequencyCap, ...] = (),
    shares: tuple[BudgetShare, ...] = (),
    gap: int = 0,
) -> CapTable:
    lines = tuple(
        LineItem(
            id=number, advertiser_id=1, campaign_id=3, name="l", caps=line if number == 7 else (),
            min_gap_s=gap if number == 7 else 0, budget_shares=shares if number == 7 else (),
        )
        for number in (7, 8)
    )  # fmt: skip
    return CapTable(
        Catalogue(
            version=1,
            published_ms=0,
            advertisers=(Advertiser(id=1, name="a", caps=advertiser),),
            campaigns=(Campaign(id=3, advertiser_id=1, name="c", caps=campaign),),
            line_items=lines,
        )
    )


def ring(*shown: tuple[int, int]) -> bytes:
    """(line item, seconds ago), the oldest first."""
    return b"".join(pack_record(line_item, NOW - ago) for line_item, ago in shown)


def cap(impressions: int, window_s: int = DAY) -> tuple[FrequencyCap, ...]:
    return (FrequencyCap(impressions, window_s),)


SEVEN, EIGHT = PoolKey(7, 0), PoolKey(8, 0)


def test_a_user_who_saw_nothing_is_not_capped() -> None:
    assert table(cap(1), cap(1), cap(1), gap=60).blocked(b"", NOW) == {}


def test_a_line_item_is_capped_at_its_number_and_not_before() -> None:
    assert table(cap(2)).blocked(ring((7, 50)), NOW) == {}
    assert table(cap(2)).blocked(ring((7, 50), (7, 10)), NOW) == {SEVEN: NoBid.FREQUENCY_CAP}


@pytest.mark.parametrize(("ago", "capped"), [(DAY - 1, True), (DAY, False)])
def test_an_impression_leaves_the_window_at_its_end(ago: int, capped: bool) -> None:
    assert (SEVEN in table(cap(1)).blocked(ring((7, ago)), NOW)) is capped


def test_the_shortest_of_several_windows_counts() -> None:
    caps = (FrequencyCap(5, DAY), FrequencyCap(1, 60))
    assert SEVEN in table(caps).blocked(ring((7, 59)), NOW)
    assert table(caps).blocked(ring((7, 61)), NOW) == {}


def test_a_cap_of_nothing_blocks_after_the_first_record_of_the_line_item() -> None:
    assert SEVEN in table(cap(0)).blocked(ring((7, 50 * DAY)), NOW)


def test_a_campaign_counts_the_impressions_of_all_its_line_items() -> None:
    blocked = table(campaign=cap(2)).blocked(ring((7, 50), (8, 10)), NOW)
    assert blocked == {SEVEN: NoBid.FREQUENCY_CAP, EIGHT: NoBid.FREQUENCY_CAP}


def test_an_advertiser_counts_the_impressions_of_all_its_line_items() -> None:
    assert table(advertiser=cap(3)).blocked(ring((7, 50), (8, 10)), NOW) == {}
    assert set(table(advertiser=cap(2)).blocked(ring((8, 50), (7, 10)), NOW)) == {SEVEN, EIGHT}


def test_a_gap_blocks_its_line_item_alone_and_only_so_long() -> None:
    assert table(gap=60).blocked(ring((8, 5), (7, 59)), NOW) == {SEVEN: NoBid.MIN_GAP}
    assert table(gap=60).blocked(ring((7, 60)), NOW) == {}


def test_a_share_has_its_own_caps_or_those_of_its_line_item() -> None:
    shares = (BudgetShare(1, 20, caps=cap(5)), BudgetShare(2, 20))
    assert set(table(cap(1), shares=shares).blocked(ring((7, 5)), NOW)) == {SEVEN, PoolKey(7, 2)}


def test_impressions_of_a_line_item_that_is_gone_are_ignored() -> None:
    assert table(cap(1)).blocked(ring((99, 5)), NOW) == {}


def test_a_ring_cut_in_the_middle_of_a_record_is_read_up_to_there() -> None:
    assert SEVEN in table(cap(1)).blocked(ring((7, 5)) + b"\1\2\3", NOW)


def test_the_longest_window_of_anybody_is_what_rings_must_keep() -> None:
    line = LineItem(id=7, advertiser_id=1, campaign_id=3, name="l", caps=cap(1, 60), min_gap_s=30)
    catalogue = Catalogue(
        version=1,
        published_ms=0,
        advertisers=(Advertiser(id=1, name="a", caps=cap(1, DAY)),),
        campaigns=(Campaign(id=3, advertiser_id=1, name="c", caps=cap(1, 7 * DAY)),),
        line_items=(line,),
    )
    assert WindowBook().update(catalogue) == 7 * DAY
    assert WindowBook().update(Catalogue(version=1, published_ms=0)) == 0


def test_recent_impressions_are_counted_by_line_item() -> None:
    assert recent_impressions(ring((7, 500), (7, 5), (8, 5)), NOW - 100) == {7: 1, 8: 1}


def test_records_are_pairs_of_little_endian_uint32() -> None:
    assert pack_record(7, NOW) == struct.pack("<II", 7, NOW)


def texts(described: list[tuple[PoolKey, NoBid, str]], pool: PoolKey = SEVEN) -> list[str]:
    return [text for key, _reason, text in described if key == pool]


def test_a_reached_cap_says_how_far_and_when_it_is_free_again() -> None:
    # NOW is 14:13:20 UTC of 2026-09-21; the third newest impression leaves the window an hour from now.
    described = table(cap(3)).describe(ring((7, DAY - 3_600), (7, 60), (7, 50)), NOW)
    assert described == [(SEVEN, NoBid.FREQUENCY_CAP, "line item cap 3 of 3 in 24 h, free again at 15:14 UTC")]


def test_a_gap_says_when_the_next_impression_may_be() -> None:
    described = table(gap=600).describe(ring((7, 60)), NOW)
    assert described == [(SEVEN, NoBid.MIN_GAP, "minimum gap 10 min, next at 14:23 UTC")]


def test_every_reached_cap_is_described_with_its_owner() -> None:
    described = table(cap(1), cap(2), cap(2), gap=60).describe(ring((8, 50), (7, 10)), NOW)
    assert [text.partition(" cap")[0].partition(" 1 ")[0] for text in texts(described)] == [
        "minimum gap", "line item", "campaign", "advertiser"
    ]  # fmt: skip
    assert [text.partition(" ")[0] for text in texts(described, EIGHT)] == ["campaign", "advertiser"]


def test_a_cap_of_nothing_is_never_free_again() -> None:
    assert texts(table(cap(0)).describe(ring((7, 50)), NOW)) == ["line item cap 1 of 0 in 24 h"]


def test_a_share_with_caps_of_its_own_says_so() -> None:
    shares = (BudgetShare(1, 20, caps=cap(1)), BudgetShare(2, 20))
    described = table(cap(5), shares=shares).describe(ring((7, 5)), NOW)
    assert [(pool, text.partition(" cap")[0]) for pool, _, text in described] == [(PoolKey(7, 1), "budget share")]


@pytest.mark.parametrize("seed", range(40))
def test_descriptions_name_exactly_the_pools_that_are_blocked(seed: int) -> None:
    chance = random.Random(seed)
    some = [(FrequencyCap(chance.randrange(4), chance.choice((60, 3_600, DAY))),) for _ in range(4)]
    present = table(some[0], some[1], some[2], shares=(BudgetShare(1, 20, caps=some[3]),), gap=chance.choice((0, 90)))
    shown = sorted((chance.randrange(2 * DAY) for _ in range(chance.randrange(6))), reverse=True)
    seen = ring(*((chance.choice((7, 8, 99)), ago) for ago in shown))
    assert {pool for pool, _, _ in present.describe(seen, NOW)} == set(present.blocked(seen, NOW))
    described = {(pool, reason) for pool, reason, _ in present.describe(seen, NOW)}
    assert described >= set(present.blocked(seen, NOW).items())


def test_a_table_that_travelled_between_processes_answers_alike() -> None:
    shares = (BudgetShare(1, 20, caps=cap(5)), BudgetShare(2, 20))
    original = table(cap(1), cap(3), cap(9), shares=shares, gap=60)
    shown = ring((7, 500), (8, 400), (99, 300), (7, 90))
    before = original.blocked(shown, NOW)
    travelled = pickle.loads(pickle.dumps(original))  # noqa: S301 - our own
    assert travelled.blocked(shown, NOW) == before == original.blocked(shown, NOW)
    assert travelled.describe(shown, NOW) == original.describe(shown, NOW)


def test_archived_line_items_count_for_their_campaign_and_are_not_blocked_by_it() -> None:
    lines = tuple(
        LineItem(id=number, advertiser_id=1, campaign_id=3, name="l", status=status)
        for number, status in ((7, Status.ARCHIVED), (8, Status.ACTIVE), (9, Status.PAUSED))
    )
    capped = CapTable(
        Catalogue(
            version=1,
            published_ms=0,
            advertisers=(Advertiser(id=1, name="a"),),
            campaigns=(Campaign(id=3, advertiser_id=1, name="c", caps=cap(2)),),
            line_items=lines,
        )
    )
    assert set(capped.blocked(ring((7, 50), (7, 10)), NOW)) == {EIGHT, PoolKey(9, 0)}
