"""A store of objects in memory, held to the suite of a bucket; and one whose process dies at a call."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from core.errors import UnavailableError
from journal.manifests import ObjectStore

_Answer = TypeVar("_Answer")


class MemoryObjects:
    """Objects by name, in memory. `refuses_twice=False`: like a store that ignores conditions."""

    def __init__(self, *, refuses_twice: bool = True) -> None:
        self.kept: dict[str, bytes] = {}
        self._refuses_twice = refuses_twice

    def put(self, name: str, path: Path, mime: str) -> None:
        self.kept[name] = path.read_bytes()

    def create(self, name: str, content: bytes) -> bool:
        if self._refuses_twice and name in self.kept:
            return False
        self.kept[name] = content
        return True

    def read(self, name: str) -> bytes | None:
        return self.kept.get(name)

    def get(self, name: str, path: Path, most: int) -> bool:
        if len(self.kept.get(name, b"")) > most:
            raise UnavailableError(f"the store has more than {most} bytes under {name}")
        if name in self.kept:
            path.write_bytes(self.kept[name])
        return name in self.kept

    def names(self, under: str) -> Iterator[str]:
        return iter(sorted(name for name in self.kept if name.startswith(under)))

    def remove(self, name: str) -> None:
        self.kept.pop(name, None)


class FailingObjects:
    """A store that calls `happens` at call number `at`: before the store is asked, or with `after` once it is done."""

    def __init__(self, store: ObjectStore, at: int, happens: Callable[[], None], *, after: bool = False) -> None:
        self._store, self._at, self._happens, self._after = store, at, happens, after
        self.calls = 0

    def put(self, name: str, path: Path, mime: str) -> None:
        self._with(lambda: self._store.put(name, path, mime))

    def create(self, name: str, content: bytes) -> bool:
        return self._with(lambda: self._store.create(name, content))

    def read(self, name: str) -> bytes | None:
        return self._with(lambda: self._store.read(name))

    def get(self, name: str, path: Path, most: int) -> bool:
        return self._with(lambda: self._store.get(name, path, most))

    def names(self, under: str) -> list[str]:
        return self._with(lambda: list(self._store.names(under)))

    def remove(self, name: str) -> None:
        self._with(lambda: self._store.remove(name))

    def _with(self, ask: Callable[[], _Answer]) -> _Answer:
        self.calls += 1
        if self.calls == self._at and not self._after:
            self._happens()
        answer = ask()
        if self.calls == self._at and self._after:
            self._happens()
        return answer


def be_killed() -> None:
    """End this process as by `kill -9`."""
    os.kill(os.getpid(), signal.SIGKILL)


def be_away() -> None:
    """Fail like a store that does not answer."""
    raise UnavailableError("the store does not answer")
