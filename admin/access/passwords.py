"""Password hashes: argon2id with the library's defaults (RFC 9106, low-memory profile: 64 MiB, about 50 ms).

Hashing runs in threads, a few at a time: each takes 64 MiB, and a storm of logins must not take the machine.
"""

import asyncio

import argon2

# Logins at the same time; the others wait. Two of them take 128 MiB.
PARALLEL = 2

MIN_CHARS = 12


class Passwords:
    """Hashes and verifies passwords in threads, PARALLEL at a time."""

    def __init__(self, hasher: argon2.PasswordHasher | None = None) -> None:
        self._hasher = hasher or argon2.PasswordHasher()
        self._slots = asyncio.Semaphore(PARALLEL)
        self._decoy = ""

    async def hash(self, password: str) -> str:
        async with self._slots:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether the password is right. With `stored` None it takes as long as with a hash, and the answer is no."""
        async with self._slots:
            return await asyncio.to_thread(self._matches, stored, password)

    def _matches(self, stored: str | None, password: str) -> bool:
        # A hash to verify for unknown names, so that the time of an answer does not tell which names exist. Made at the
        # first login, whoever's it is: it takes 0.1 s, which a start need not wait for.
        self._decoy = self._decoy or self._hasher.hash("nobody's password")
        try:
            self._hasher.verify(stored or self._decoy, password)
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
            return False
        return stored is not None
