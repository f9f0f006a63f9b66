"""Where pictures of creatives lie: a file each, and beside it a mark of those that somebody has asked for."""

import os
import re
import tempfile
from pathlib import Path
from typing import Final

NAME: Final = re.compile(r"[0-9]{1,10}-[0-9]{1,18}-[0-9a-f]{24}")

_WANTED: Final = ".wanted"


class PreviewStore:
    """A folder, which trackers on other machines see by a shared file system."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, name: str) -> Path | None:
        """The picture of that name."""
        path = self._folder / f"{name}.png"
        return path if NAME.fullmatch(name) and path.is_file() else None

    def want(self, name: str) -> None:
        """Note that a picture is to be made. Nothing happens where the folder cannot be written."""
        if NAME.fullmatch(name) is None:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o755)
            (self._folder / f"{name}{_WANTED}").touch()
        except OSError:  # the picture is not made: the card stands in for it
            return

    def wanted(self) -> list[str]:
        """Names of the pictures that are to be made, in order."""
        if not self._folder.is_dir():
            return []
        marks = (entry.name for entry in os.scandir(self._folder) if entry.name.endswith(_WANTED))
        return sorted(mark.removesuffix(_WANTED) for mark in marks)

    def keep(self, name: str, picture: bytes) -> None:
        """Keep a picture, whole or not at all; it is wanted no more."""
        handle, part = tempfile.mkstemp(prefix=".part-", dir=self._folder)
        with os.fdopen(handle, "wb") as file:
            file.write(picture)
        Path(part).chmod(0o644)
        os.replace(part, self._folder / f"{name}.png")
        self.forget(name)

    def forget(self, name: str) -> None:
        """It is wanted no more."""
        (self._folder / f"{name}{_WANTED}").unlink(missing_ok=True)

    def tidy(self, known: set[str]) -> int:
        """Remove what belongs to no present version of a creative; returns how many pictures that were."""
        if not self._folder.is_dir():
            return 0
        gone = [each for each in self._folder.iterdir() if NAME.fullmatch(each.stem) and each.stem not in known]
        for each in gone:
            each.unlink(missing_ok=True)
        return sum(1 for each in gone if each.suffix == ".png")
