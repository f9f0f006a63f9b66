"""Pseudonyms: what stands for a person in the journal, and how long it is the same.

A pseudonym is a keyed hash of our user id and of the period in which the row was written. Without the key nobody can
tell whose it is; once a period is older than the retention, even with the key nobody can connect it to later ones. Who
is erased is found by the pseudonyms of the periods that are still kept.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from core.remembered import RememberedValues
from journal.rows import REQUEST, JournalKind

DAY_MS: Final = 86_400_000
NOBODY: Final = 0
"""The pseudonym of a person who is not, or may not be, identified."""
PERSON: Final = "person"
"""The name of the column with the pseudonym."""

# A page asks several exchanges, and each of them us, so a user comes back within moments: hashing again costs 1 us.
_REMEMBERED: Final = 4_096

# A pseudonym changes after this: long enough to count the people that a month's campaign reached.
PERIOD_DAYS: Final = 30


class Pseudonyms:
    """Pseudonyms under one key. With an empty key every user's is that of nobody."""

    __slots__ = ("_key", "_known", "_period_begins_ms", "_period_ends_ms", "_state")

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._period_begins_ms = self._period_ends_ms = 0
        self._state = hashlib.blake2s(digest_size=8)
        self._known = RememberedValues(self._digest, _REMEMBERED)  # of this period

    def at(self, at_ms: int) -> Mapping[str | None, bytes]:
        """The bytes of each user's pseudonym in rows that are written at `at_ms`; b"" for nobody.

        To be looked into at once: another period may begin with the next call.
        """
        if not self._period_begins_ms <= at_ms < self._period_ends_ms:
            self._begin_period(at_ms // (PERIOD_DAYS * DAY_MS))
        return self._known

    def _digest(self, user_id: str | None) -> bytes:
        if not user_id or not self._key:
            return b""
        state = self._state.copy()
        state.update(user_id.encode())
        return state.digest()

    def _begin_period(self, period: int) -> None:
        self._period_begins_ms = period * PERIOD_DAYS * DAY_MS
        self._period_ends_ms = self._period_begins_ms + PERIOD_DAYS * DAY_MS
        self._known.clear()
        self._state = hashlib.blake2s(period.to_bytes(8, "little"), key=self._key[:32], digest_size=8)

    def of(self, user_id: str | None, at_ms: int) -> int:
        """The number of a user's pseudonym in rows that are written at `at_ms`."""
        return number_of(self.at(at_ms)[user_id])

    def all_of(self, user_id: str, since_ms: int, until_ms: int) -> list[int]:
        """The pseudonyms that stood for a user between two moments."""
        step = PERIOD_DAYS * DAY_MS
        periods = range(since_ms // step, until_ms // step + 1)
        return [self.of(user_id, period * step) for period in periods] if self._key else []


def number_of(digest: bytes) -> int:
    """A pseudonym as rows have it."""
    return int.from_bytes(digest, "little") or 1 if digest else NOBODY


def rows_without(
    kind: JournalKind, rows: Sequence[Sequence[object]], people: Collection[int]
) -> Sequence[Sequence[object]]:
    """Rows, in the order of the kind's columns, with these persons erased as `journal.erasing` does it in files."""
    if PERSON not in kind.names:
        return rows
    at = kind.names.index(PERSON)
    if not any(row[at] in people for row in rows):
        return rows
    if kind is REQUEST:
        return [row for row in rows if row[at] not in people]
    return [_emptied(kind, row) if row[at] in people else row for row in rows]


def _emptied(kind: JournalKind, row: Sequence[object]) -> list[object]:
    kept = [None if name in kind.personal else value for name, value in zip(kind.names, row, strict=True)]
    kept[kind.names.index(PERSON)] = NOBODY
    return kept
