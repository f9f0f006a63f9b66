import numpy as np
import pytest

from pacing.pace.messages import (
    DEMAND,
    MULTIPLIER,
    Demand,
    Multipliers,
    decode_demand,
    decode_multipliers,
    encode_demand,
    encode_multipliers,
    pool_numbers,
)

MULTIPLIERS = Multipliers(1_790_000_000_000, np.array([(7, 0, 0.25), (2**32 - 1, 3, 1.0)], MULTIPLIER))
DEMANDS = Demand(1_790_000_000_000, 12, np.array([(7, 1, 5, 2**40, 3)], DEMAND))


def test_blocks_come_back_as_they_were_sent() -> None:
    found = decode_multipliers(encode_multipliers(MULTIPLIERS))
    assert found is not None
    assert (found.made_ms, found.records.tolist()) == (MULTIPLIERS.made_ms, MULTIPLIERS.records.tolist())
    demand = decode_demand(encode_demand(DEMANDS))
    assert demand is not None
    assert (demand.auctions, demand.records.tolist()) == (12, DEMANDS.records.tolist())


@pytest.mark.parametrize(
    "packed", [b"", b"gpm1", encode_demand(DEMANDS), encode_multipliers(MULTIPLIERS)[:-1], b"x" * 36]
)
def test_anything_else_is_no_block(packed: bytes) -> None:
    assert decode_multipliers(packed) is None


def test_a_multiplier_takes_sixteen_bytes() -> None:
    assert len(encode_multipliers(MULTIPLIERS)) == 20 + 2 * 16


def test_each_pool_has_a_number_of_its_own() -> None:
    assert pool_numbers(MULTIPLIERS.records).tolist() == [7 << 16, ((2**32 - 1) << 16) + 3]
