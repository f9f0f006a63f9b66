import pickle
import random

import numpy as np
import pytest

from core.model import Advertiser, BudgetShare, Campaign, Catalogue, Format, FrequencyCap, LineItem, Status
from core.reasons import NoBid
from core.ring import pack_record, record_number
from core.terms import FORMATS_BY_NUMBER
from pacing.budgets.pools import PoolKey
from pacing.caps import CapTable, Reached, WindowBook

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
    assert table(cap(1), cap(1), cap(1), gap=60).blocked(b"", NOW).pools == {}


def test_a_line_item_is_capped_at_its_number_and_not_before() -> None:
    assert table(cap(2)).blocked(ring((7, 50)), NOW).pools == {}
    assert table(cap(2)).blocked(ring((7, 50), (7, 10)), NOW).pools == {SEVEN: NoBid.FREQUENCY_CAP}


@pytest.mark.parametrize(("ago", "capped"), [(DAY - 1, True), (DAY, False)])
def test_an_impression_leaves_the_window_at_its_end(ago: int, capped: bool) -> None:
    assert (SEVEN in table(cap(1)).blocked(ring((7, ago)), NOW).pools) is capped


def test_the_shortest_of_several_windows_counts() -> None:
    caps = (FrequencyCap(5, DAY), FrequencyCap(1, 60))
    assert SEVEN in table(caps).blocked(ring((7, 59)), NOW).pools
    assert table(caps).blocked(ring((7, 61)), NOW).pools == {}


def test_a_cap_of_nothing_blocks_after_the_first_record_of_the_line_item() -> None:
    assert SEVEN in table(cap(0)).blocked(ring((7, 50 * DAY)), NOW).pools


def test_a_campaign_counts_the_impressions_of_all_its_line_items() -> None:
    blocked = table(campaign=cap(2)).blocked(ring((7, 50), (8, 10)), NOW).pools
    assert blocked == {SEVEN: NoBid.FREQUENCY_CAP, EIGHT: NoBid.FREQUENCY_CAP}


def test_an_advertiser_counts_the_impressions_of_all_its_line_items() -> None:
    assert table(advertiser=cap(3)).blocked(ring((7, 50), (8, 10)), NOW).pools == {}
    assert set(table(advertiser=cap(2)).blocked(ring((8, 50), (7, 10)), NOW).pools) == {SEVEN, EIGHT}


def test_a_gap_blocks_its_line_item_alone_and_only_so_long() -> None:
    assert table(gap=60).blocked(ring((8, 5), (7, 59)), NOW).pools == {SEVEN: NoBid.MIN_GAP}
    assert table(gap=60).blocked(ring((7, 60)), NOW).pools == {}


def test_a_share_has_its_own_caps_or_those_of_its_line_item() -> None:
    shares = (BudgetShare(1, 20, caps=cap(5)), BudgetShare(2, 20))
    assert set(table(cap(1), shares=shares).blocked(ring((7, 5)), NOW).pools) == {SEVEN, PoolKey(7, 2)}


def test_impressions_of_a_line_item_that_is_gone_are_ignored() -> None:
    assert table(cap(1)).blocked(ring((99, 5)), NOW).pools == {}


def test_a_ring_cut_in_the_middle_of_a_record_is_read_up_to_there() -> None:
    assert SEVEN in table(cap(1)).blocked(ring((7, 5)) + b"\1\2\3", NOW).pools


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


def texts(described: list[Reached], pool: PoolKey = SEVEN) -> list[str]:
    return [reached.text for reached in described if reached.pool == pool]


def test_a_reached_cap_says_how_far_and_when_it_is_free_again() -> None:
    # NOW is 14:13:20 UTC of 2026-09-21; the third newest impression leaves the window an hour from now.
    described = table(cap(3)).describe(ring((7, DAY - 3_600), (7, 60), (7, 50)), NOW)
    assert described == [Reached(SEVEN, NoBid.FREQUENCY_CAP, "line item cap 3 of 3 in 24 h, free again at 15:14 UTC")]


def test_a_gap_says_when_the_next_impression_may_be() -> None:
    described = table(gap=600).describe(ring((7, 60)), NOW)
    assert described == [Reached(SEVEN, NoBid.MIN_GAP, "minimum gap 10 min, next at 14:23 UTC")]


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
    assert [(each.pool, each.text.partition(" cap")[0]) for each in described] == [(PoolKey(7, 1), "budget share")]


@pytest.mark.parametrize("seed", range(40))
def test_descriptions_name_exactly_the_pools_that_are_blocked(seed: int) -> None:
    chance = random.Random(seed)
    some = [(FrequencyCap(chance.randrange(4), chance.choice((60, 3_600, DAY))),) for _ in range(4)]
    present = table(some[0], some[1], some[2], shares=(BudgetShare(1, 20, caps=some[3]),), gap=chance.choice((0, 90)))
    shown = sorted((chance.randrange(2 * DAY) for _ in range(chance.randrange(6))), reverse=True)
    seen = ring(*((chance.choice((7, 8, 99)), ago) for ago in shown))
    assert {each.pool for each in present.describe(seen, NOW)} == set(present.blocked(seen, NOW).pools)
    described = {(each.pool, each.reason) for each in present.describe(seen, NOW)}
    assert described >= set(present.blocked(seen, NOW).pools.items())


def test_a_table_that_travelled_between_processes_answers_alike() -> None:
    shares = (BudgetShare(1, 20, caps=cap(5)), BudgetShare(2, 20))
    original = table(cap(1), cap(3), cap(9), shares=shares, gap=60)
    shown = ring((7, 500), (8, 400), (99, 300), (7, 90))
    before = original.blocked(shown, NOW).pools
    travelled = pickle.loads(pickle.dumps(original))  # noqa: S301 - our own
    assert travelled.blocked(shown, NOW).pools == before == original.blocked(shown, NOW).pools
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
    assert set(capped.blocked(ring((7, 50), (7, 10)), NOW).pools) == {EIGHT, PoolKey(9, 0)}


def seen(*shown: tuple[int, int, str]) -> bytes:
    """(line item, seconds ago, format or "" where it was not noted), the oldest first."""
    return b"".join(
        pack_record(record_number(line_item, FORMATS_BY_NUMBER.index(of_format)), NOW - ago)
        for line_item, ago, of_format in shown
    )


def cap_of(of_format: Format, impressions: int, window_s: int = DAY) -> tuple[FrequencyCap, ...]:
    return (FrequencyCap(impressions, window_s, of_format),)


def formats_of(table: CapTable, shown: bytes, pool: PoolKey = SEVEN) -> set[str]:
    """The formats in which a pool may not bid."""
    blocked = table.blocked(shown, NOW)
    return {each for each in Format if blocked.reason(pool, each) is not None}


EVERY_FORMAT = {"banner", "native", "video", "audio"}


def test_a_cap_of_one_format_counts_it_alone_and_blocks_it_alone() -> None:
    two_videos = table(cap_of(Format.VIDEO, 2))
    assert formats_of(two_videos, seen((7, 50, "video"), (7, 40, "banner"), (7, 30, "banner"))) == set()
    assert formats_of(two_videos, seen((7, 50, "video"), (7, 10, "video"))) == {"video"}
    assert two_videos.blocked(seen((7, 50, "video"), (7, 10, "video")), NOW).pools == {}


def test_a_cap_of_all_formats_counts_each_of_them_and_blocks_all() -> None:
    both = table((*cap(3), *cap_of(Format.VIDEO, 2)))
    assert formats_of(both, seen((7, 50, "video"), (7, 40, "native"))) == set()
    assert formats_of(both, seen((7, 50, "video"), (7, 40, "video"))) == {"video"}
    assert formats_of(both, seen((7, 50, "video"), (7, 40, "native"), (7, 30, "banner"))) == EVERY_FORMAT


@pytest.mark.parametrize(("ago", "capped"), [(DAY - 1, {"video"}), (DAY, set())])
def test_an_impression_of_a_format_leaves_the_window_at_its_end(ago: int, capped: set[str]) -> None:
    assert formats_of(table(cap_of(Format.VIDEO, 1)), seen((7, ago, "video"))) == capped


def test_what_was_shown_before_formats_were_noted_counts_for_each_of_them() -> None:
    caps = (*cap_of(Format.VIDEO, 2), *cap_of(Format.BANNER, 3))
    before = ring((7, 50), (7, 40))  # as an earlier release left it
    assert formats_of(table(caps), before) == {"video"}
    assert formats_of(table(caps), before + seen((7, 30, "banner"))) == {"video", "banner"}


def test_a_campaign_and_an_advertiser_count_a_format_of_all_their_line_items() -> None:
    shown = seen((8, 50, "video"), (7, 40, "banner"), (7, 10, "video"))
    for impressions, found in ((2, {"video"}), (3, set[str]())):
        caps = cap_of(Format.VIDEO, impressions)
        for capped in (table(campaign=caps), table(advertiser=caps)):
            assert [formats_of(capped, shown, pool) for pool in (SEVEN, EIGHT)] == [found, found]


def test_a_share_with_a_cap_of_a_format_blocks_itself_alone() -> None:
    shares = (BudgetShare(1, 20, caps=cap_of(Format.NATIVE, 1)), BudgetShare(2, 20))
    capped = table(cap_of(Format.VIDEO, 1), shares=shares)
    shown = seen((7, 9, "native"), (7, 5, "video"))
    assert [formats_of(capped, shown, PoolKey(7, share)) for share in range(3)] == [{"video"}, {"native"}, {"video"}]


def test_the_ring_names_a_format_only_where_a_cap_by_format_concerns_the_line_item() -> None:
    video = record_number(7, FORMATS_BY_NUMBER.index("video"))
    shares = (BudgetShare(1, 20, caps=cap_of(Format.AUDIO, 1)),)
    own, of_share = table(cap_of(Format.BANNER, 1)), table(cap(1), shares=shares)
    of_campaign, of_advertiser = table(campaign=cap_of(Format.AUDIO, 1)), table(advertiser=cap_of(Format.AUDIO, 1))
    assert [each.record_number(7, "video") for each in (own, of_share, of_campaign, of_advertiser)] == [video] * 4
    assert own.record_number(8, "video") == 8
    assert of_share.record_number(8, "video") == 8
    assert table(cap(1), cap(1), cap(1), gap=60).record_number(7, "video") == 7


def test_a_reached_cap_of_a_format_says_so() -> None:
    shown = seen((7, 70, "banner"), (7, 60, "video"), (7, 50, "video"))
    (described,) = table(cap_of(Format.VIDEO, 2, 600)).describe(shown, NOW)
    assert described.format == "video"
    assert described.text == "line item cap 2 of 2 video impressions in 10 min, free again at 14:23 UTC"


def test_a_table_of_caps_by_format_travels_and_lies_above_another() -> None:
    capped = table(cap_of(Format.VIDEO, 1), campaign=cap_of(Format.AUDIO, 2))
    shown = seen((7, 90, "video"), (8, 60, "audio"), (7, 50, "audio"))
    travelled = pickle.loads(pickle.dumps(capped))  # noqa: S301 - our own
    above = table().above(capped, np.array([8]))
    for each in (travelled, capped.above(table(), np.array([7, 8]))):
        assert formats_of(each, shown) == {"video", "audio"}
        assert each.describe(shown, NOW) == capped.describe(shown, NOW)
    assert formats_of(above, shown) == {"video"}, "the later catalogue has no cap of the campaign"


Record = tuple[int, int, str]


def is_full(caps: tuple[FrequencyCap, ...], of_format: str, shown: list[Record], line_items: set[int]) -> bool:
    """By hand: whether caps leave no room for one more impression of a format, after those of some line items."""
    for limit in caps:
        if limit.format not in (None, of_format):
            continue
        counted = [
            ago
            for line_item, ago, other in shown
            if line_item in line_items and (limit.format is None or other in ("", of_format)) and ago < limit.window_s
        ]
        if len(counted) >= limit.impressions:
            return True
    return False


@pytest.mark.parametrize("seed", range(150))
def test_caps_of_all_kinds_block_what_counting_by_hand_blocks(seed: int) -> None:
    chance = random.Random(seed)

    def some() -> tuple[FrequencyCap, ...]:
        return tuple(
            FrequencyCap(chance.randrange(1, 4), chance.choice((60, 3_600, DAY)), chance.choice((None, *Format)))
            for _ in range(chance.randrange(3))
        )

    line, campaign, advertiser, share = some(), some(), some(), some()
    capped = table(line, campaign, advertiser, shares=(BudgetShare(1, 20, caps=share),))
    moments = sorted((chance.choice((10, 59, 60, 900, 5_000, DAY)) for _ in range(chance.randrange(9))), reverse=True)
    shown = [(chance.choice((7, 8, 99)), ago, chance.choice(FORMATS_BY_NUMBER)) for ago in moments]
    described = capped.describe(seen(*shown), NOW)
    for pool, own in ((SEVEN, line), (PoolKey(7, 1), share or line), (EIGHT, ())):
        full = {
            of_format
            for of_format in Format
            if is_full(own, of_format, shown, {pool.line_item_id})
            or any(is_full(owner, of_format, shown, {7, 8}) for owner in (campaign, advertiser))
        }
        assert formats_of(capped, seen(*shown), pool) == full
        told = {each.format for each in described if each.pool == pool}
        assert full == (EVERY_FORMAT if "" in told else told)
