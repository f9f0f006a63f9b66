"""`grosz backup`: one folder that an installation can be brought back from, complete or not there at all.

The order makes it consistent. What moves on is copied first where it comes from: Redis, then the journal, which takes
clicks and orders from there, then the database, then the archive. A ledger row that moves from Redis to the database
meanwhile is in both, never in neither, and the restore counts it once (rows know their place in the stream). A bill
that the journal has is in the database, from which the journal takes it; what the journal lacks it takes after the
restore, once, since it knows up to where it has taken each stream. Counters are worked out anew from the ledger when
the backup is brought back, so a bill that was settled between the copies is in both as well.
"""

import asyncio
import contextlib
import datetime
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from admin.backup.database_copy import copy_out
from admin.backup.redis_snapshot import write_snapshot
from admin.store.database import Database
from core.disk import flush_folder
from core.errors import ConflictError, InputError, NotFoundError
from core.folder_copy import FolderCopy
from core.redis.url import RedisAddress
from core.version import VERSION
from journal.copying import copy_journal
from journal.folders import try_lock

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
REDIS_FILE: Final = "redis.rdb"
DATABASE_FILE: Final = "database.sqlite"
PREFIX: Final = "grosz-"
_INCOMPLETE: Final = ".incomplete-"
# What a data directory keeps beside Redis and the database; keys are left out and copied apart.
JOURNAL: Final = "journal"
FOLDERS: Final = (JOURNAL, "media", "archive")
KEY_FILES: Final = ("token.key",)


class BackupFile(msgspec.Struct, frozen=True):
    """A file of a backup: its path in the folder, its size, its SHA-256."""

    path: str
    bytes: int
    sha256: str


class BackupManifest(msgspec.Struct, frozen=True):
    """What a backup holds. It is written last."""

    format: int
    version: str
    taken_at: str
    redis: str
    files: list[BackupFile]


class Installation(NamedTuple):
    """What is backed up: a Redis, a database, and the data directory with what lies beside both."""

    redis: RedisAddress
    database: Database
    data: Path
    complete_media: Callable[[Path], None] = lambda _folder: None
    """Adds to a copy of the media what only a bucket has."""


async def back_up(source: Installation, target: Path, now_ms: int) -> Path:
    """A new backup in the folder `target`; its path. Until it is whole it bears another name. Raises GroszError."""
    moment = datetime.datetime.fromtimestamp(now_ms / 1000, datetime.UTC)
    name = f"{PREFIX}{moment:%Y%m%dT%H%M%SZ}"
    with _alone_in(target):
        folder = _begin(target, name)
        await write_snapshot(source.redis, folder / REDIS_FILE)
        if (source.data / JOURNAL).is_dir():
            await asyncio.to_thread(copy_journal, source.data / JOURNAL, folder / JOURNAL)
        await copy_out(source.database, folder / DATABASE_FILE)
        return _finish(folder, target / name, source, moment)


@contextlib.contextmanager
def _alone_in(target: Path) -> Iterator[None]:
    """Make the folder of backups, and keep others from beginning one there. Raises ConflictError."""
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(target, os.O_RDONLY)
    try:
        if not try_lock(handle):
            hint = "begin the next one when it has ended"
            raise ConflictError(f"another backup into {target} is being taken", hint=hint)
        yield
    finally:
        os.close(handle)


def _begin(target: Path, name: str) -> Path:
    """An empty folder; what an earlier run that was killed has left behind is removed."""
    for left_over in target.glob(f"{_INCOMPLETE}*"):
        shutil.rmtree(left_over)
    if (target / name).exists():
        raise InputError(f"{target / name} exists already", hint="try again in a second")
    folder = target / f"{_INCOMPLETE}{name}"
    folder.mkdir(mode=0o700)
    return folder


def _finish(folder: Path, final: Path, source: Installation, moment: datetime.datetime) -> Path:
    for part in FOLDERS:
        if part != JOURNAL and (source.data / part).is_dir():
            FolderCopy(source.data / part, folder / part).renew()
    source.complete_media(folder / "media")
    manifest = BackupManifest(FORMAT, VERSION, moment.isoformat(), source.redis.place, list(_described(folder)))
    _write_durably(folder / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
    folder.rename(final)
    flush_folder(final.parent)
    return final


def copy_keys(data: Path, target: Path) -> list[str]:
    """The keys of an installation into a folder of their own, readable by this user alone; their names."""
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = [name for name in KEY_FILES if (data / name).is_file()]
    for name in found:
        place = target / name
        handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write((data / name).read_bytes())
    return found


def find_backup(folder: Path) -> Path:
    """A backup itself, or the newest complete one in a folder of several. Raises NotFoundError."""
    if (folder / MANIFEST).is_file():
        return folder
    complete = sorted(path for path in folder.glob(f"{PREFIX}*") if (path / MANIFEST).is_file())
    if not complete:
        raise NotFoundError(f"there is no complete backup in {folder}", hint="`grosz backup DIR` makes one")
    return complete[-1]


def read_manifest(backup: Path) -> BackupManifest:
    """The manifest, after every file was found whole. Raises InputError."""
    try:
        manifest = msgspec.json.decode((backup / MANIFEST).read_bytes(), type=BackupManifest)
    except msgspec.DecodeError as error:
        raise InputError(f"the manifest of {backup} cannot be read: {error}") from None
    if manifest.format != FORMAT:
        raise InputError(f"{backup} is a backup of format {manifest.format}, this release reads {FORMAT}")
    for file in manifest.files:
        path = backup / file.path
        if not path.is_file() or path.stat().st_size != file.bytes or _digest(path) != file.sha256:
            raise InputError(f"{path} is missing or damaged", hint="use another backup")
    return manifest


def _described(folder: Path) -> Iterable[BackupFile]:
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        yield BackupFile(str(path.relative_to(folder)), path.stat().st_size, _digest(path))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_durably(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    flush_folder(path.parent)
