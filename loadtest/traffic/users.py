"""Who is on the page: a made population with a Zipf habit, and the part of it that the profile store knows."""

import codecs
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from loadtest.traffic.scenario import ScenarioError, TrafficPlan
from loadtest.traffic.templates import USER_ID_CHARS, synthetic_user

# Prepared draws: see landscape.py.
_BLOCK = 8192


def read_users(path: Path) -> list[bytes]:
    """User ids of the profile store, one a line. Raises ScenarioError for an id of the wrong length."""
    try:
        ids = [line.strip() for line in path.read_bytes().removeprefix(codecs.BOM_UTF8).splitlines() if line.strip()]
    except OSError as error:
        raise ScenarioError(f"user ids cannot be read: {error}") from error
    for number, user in enumerate(ids, 1):
        if len(user) != USER_ID_CHARS:
            raise ScenarioError(f"{path}, line {number}: a user id has {USER_ID_CHARS} characters")
    return ids


def _zipf(count: int, exponent: float) -> npt.NDArray[np.float64]:
    """The cumulative shares of `count` ranks by Zipf's law; the last is exactly 1."""
    cumulative: npt.NDArray[np.float64] = np.cumsum(np.arange(1, count + 1, dtype=np.float64) ** -exponent)
    shares: npt.NDArray[np.float64] = cumulative / cumulative[-1]
    return shares


class Population:
    """Draws users. `known` may grow while a run goes on (shoppers join)."""

    def __init__(self, plan: TrafficPlan, known: list[bytes], seed: int) -> None:
        self.known = known
        self._known_share = plan.known_share
        self._seed = seed
        self._ranks = _zipf(plan.users, plan.user_zipf)
        self._made: list[bytes | None] = [None] * plan.users
        self._generator = np.random.default_rng(seed)
        self.draw = self._draws().__next__
        """One user id of 22 characters."""

    def _draws(self) -> Iterator[bytes]:
        """An endless generator: resuming it costs a fifth of a method call with its attribute look-ups."""
        made, known, share, seed = self._made, self.known, self._known_share, self._seed
        while True:
            ranks = np.searchsorted(self._ranks, self._generator.random(_BLOCK)).tolist()
            for rank, chance in zip(ranks, self._generator.random(_BLOCK).tolist(), strict=True):
                if chance < share and known:
                    yield known[int(chance / share * len(known))]
                    continue
                user = made[rank]
                if user is None:
                    user = made[rank] = synthetic_user(seed, rank)
                yield user
