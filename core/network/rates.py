"""How often somebody may ask: so many a minute for each key, in bounded memory."""

from collections.abc import Callable

WINDOW_S = 60.0


class MinuteRate:
    """At most `most` a minute a key, by the minute that began with its first question; a process counts for itself.

    `keys` bounds the memory: beyond it all begin anew, which lets through a second helping and never more than that
    a minute.
    """

    __slots__ = ("_counts", "_keys", "_monotonic", "_most")

    def __init__(self, most: int, monotonic: Callable[[], float], keys: int = 100_000) -> None:
        self._most = most
        self._monotonic = monotonic
        self._keys = keys
        self._counts: dict[str, tuple[float, int]] = {}

    def wait_s(self, key: str) -> float:
        """0 and counted if the key may ask now, otherwise the seconds until it may."""
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
