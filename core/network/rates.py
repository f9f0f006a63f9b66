"""How often somebody may ask: so many a minute for each key, in bounded memory."""

from collections.abc import Callable

WINDOW_S = 60.0


class MinuteRate:
    """Admits at most `most` calls of a key in a minute, which begins with its first. Each process counts for itself.

    `keys` bounds the memory: when there are more, the counts of all begin anew, which admits at most twice as many in a
    minute.
    """

    __slots__ = ("_counts", "_keys", "_monotonic", "_most")

    def __init__(self, most: int, monotonic: Callable[[], float], keys: int = 100_000) -> None:
        self._most = most
        self._monotonic = monotonic
        self._keys = keys
        self._counts: dict[str, tuple[float, int]] = {}

    def wait_s(self, key: str) -> float:
        """0 if the key may ask now, which is counted; otherwise the seconds until it may."""
        now_s = self._monotonic()
        began_s, count = self._counts.get(key, (now_s, 0))
        if now_s - began_s >= WINDOW_S:
            began_s, count = now_s, 0
        if count >= self._most:
            return began_s + WINDOW_S - now_s
        if not count and len(self._counts) >= self._keys:
            self._counts = {}
        self._counts[key] = (began_s, count + 1)
        return 0.0
