"""A copy of the journal's Parquet files in an S3-compatible store, from which a worker that lost its disk goes on.

Files are put under names that say their content, then one manifest that names them all (journal.manifests): a process
that is killed at any point leaves the manifest of before, and every file that it names. What neither the newest
manifest nor the one before it names is removed. Manifests are numbered, and the store is asked to put a number only
where nobody has: of two workers one learns that it is not alone, before anything of the other's is lost. A small note
in the folder says which manifest is its own.
"""

import hashlib
import os
import secrets
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from core.clock import Clock
from core.disk import TEMPORARY, disk_hint, flush_folder, write_whole
from core.errors import InputError, UnavailableError
from core.telemetry.metrics import Merge, Telemetry
from journal.archive import STATE_FILE
from journal.manifests import (
    DIGEST_CHARS,
    FILES,
    MANIFESTS,
    SMALL_FILES,
    FolderSnapshot,
    MirroredFile,
    MirrorManifest,
    ObjectStore,
    decode_manifest,
    encode_manifest,
    is_ours,
    manifest_name,
    number_of,
    object_name,
)

NOTE_FILE: Final = "mirror.json"
NOTE_VERSION: Final = 1
# A writer that has written nothing for so many of its intervals is gone; at least for SILENT_S, since clocks differ.
SILENT_INTERVALS: Final = 3
SILENT_S: Final = 10
# The store is listed again after this: another worker may have left files there before it learned that it was not
# alone, and no other would remove them.
LIST_AGAIN_S: Final = 3_600.0
# Files are removed within this time after a manifest was put, or not now: a later manifest may name them.
_REMOVE_WITHIN_S: Final = 60.0
_MIME: Final = "application/vnd.apache.parquet"
# Manifests that may be in the store although their writing was never confirmed: each is tried for a minute or more.
_TRIES: Final = 16


class _MirrorNote(msgspec.Struct, frozen=True):
    """What a folder remembers of its mirror.

    `last` and `tried` are ids of manifests: the newest that was put, and those that may have been put after it, by a
    process that was killed or whose answer was lost. `is_filling`: the folder is being filled, and is not whole yet.
    """

    last: str = ""
    tried: tuple[str, ...] = ()
    is_filling: bool = False
    version: int = NOTE_VERSION

    def knows(self, manifest: MirrorManifest) -> bool:
        """Whether a manifest is this folder's."""
        return manifest.id == self.last or manifest.id in self.tried


class Mirror:
    """The mirror of one folder, whose lock its worker has. All methods wait for the store, one thread at a time."""

    def __init__(
        self, store: ObjectStore, folder: Path, clock: Clock, telemetry: Telemetry, *, writer: str, every_s: int
    ) -> None:
        """`writer` names the writer in manifests, for people; `every_s` tells other workers when to expect the next."""
        self._store, self._folder, self._clock = store, folder, clock
        self._writer, self._every_s = writer, every_s
        self._path = folder / NOTE_FILE
        self._newest: MirrorManifest | None = None
        self._before: MirrorManifest | None = None  # the one before the newest
        self._objects: set[str] = set()  # names in the store, as far as is known
        self._digests: dict[str, MirroredFile] = {}  # by path, of files in the store, in a manifest or not yet
        self._looked_at: float | None = None
        self._published_at = 0.0
        self._is_proven = False  # whether the store has been seen to refuse an existing name
        self._ends = threading.Event()
        self._watched, self._watched_at = "", 0.0  # the newest manifest of another, and since when it is the newest
        self._erased: dict[str, int] = {}  # id of a manifest -> no file of it has persons erased before this
        self.is_begun = False
        """Whether the folder may be used: it is the mirror's own, or filled from it, or there was nothing to fill."""
        self.clean_until_ms = 0
        """Persons erased before this moment are in no object of the store."""
        self.taken_ms = clock.now_ms()
        """The moment of the newest snapshot in the store; before there is one, the moment from which one is due."""
        self._count(telemetry)

    def begin(self) -> None:
        """Before anything else: fill the folder from the store where it is empty. Raises UnavailableError.

        Where the folder has a journal, and the store that of another, both stay as they are, and `look` says so.
        """
        if self.is_begun:
            return
        note = self._read_note()
        if note is None or note.is_filling:
            self._begin(note)
        self.is_begun = True

    def look(self) -> None:
        """Learn what the store has, and check that it is this folder's. Raises UnavailableError."""
        if self._looked_at is not None and time.monotonic() - self._looked_at < LIST_AGAIN_S:
            return
        newest = self._read_newest()
        if newest is not None and not (self._read_note() or _MirrorNote()).knows(newest):
            raise _taken(newest)
        self._accept(newest)
        if newest is not None:
            self.taken_ms = newest.taken_ms
        self._objects = {name for under in (FILES, MANIFESTS) for name in self._store.names(under) if is_ours(name)}
        self._looked_at = time.monotonic()

    def mirrored(self, path: str, size: int, mtime_ns: int) -> MirroredFile | None:
        """The store's entry for a file of the folder, if the store has it as it is now."""
        file = self._digests.get(path)
        if file is None or (file.size, file.mtime_ns) != (size, mtime_ns):
            return None
        return file if object_name(path, file) in self._objects else None

    def put(self, snapshot: FolderSnapshot, *, is_last: bool = False) -> bool:
        """Make a snapshot, taken since `look`, the newest manifest in the store. Whether it became that.

        It does not where the snapshot is not whole; its files are in the store then. Raises UnavailableError.
        """
        taken_ms = self._clock.now_ms()
        try:
            if self._newest is None:
                self._publish({}, {}, taken_ms)  # another worker learns of this one by it
            self._upload(snapshot.links)
            if not snapshot.is_whole:
                return False
            files = {**snapshot.mirrored, **{path: self._digests[path] for path in snapshot.links}}
            self._publish(files, snapshot.small, taken_ms, erased_ms=snapshot.erased_ms, is_last=is_last)
            self._sweep()
        except BaseException:
            self._looked_at = None  # what was done before the error shows only in the store
            raise
        self.taken_ms, self._digests = taken_ms, files
        return True

    def end(self) -> None:
        """Make another thread's call stop soon: it raises UnavailableError."""
        self._ends.set()

    @property
    def small(self) -> Mapping[str, str]:
        """The small files in the newest manifest."""
        return self._newest.small if self._newest is not None else {}

    # Whose the store is

    def _begin(self, note: _MirrorNote | None) -> None:
        newest = self._read_newest()
        if note is None and newest is not None and _has_journal(self._folder):
            return  # `look` will find that the store belongs to another folder
        if newest is None:
            if note is not None:
                raise UnavailableError("the mirror that the journal's folder was being filled from is empty now")
            self._write_note(_MirrorNote())
            return
        self._accept(newest)
        if note is None or not note.knows(newest):
            newest = self._claim(newest)
        self._fill(newest)
        self._write_note(_MirrorNote(newest.id))

    def _claim(self, newest: MirrorManifest) -> MirrorManifest:
        """Put the same files as this writer's own manifest, if the other is gone: should it come back, it learns so."""
        if self._watched != newest.id:
            self._watched, self._watched_at = newest.id, time.monotonic()
        # Its clock may have been ahead of this one by days, so the time that it was watched here counts as well.
        silent_s = max((self._clock.now_ms() - newest.made_ms) / 1000, time.monotonic() - self._watched_at)
        limit_s = max(SILENT_S, SILENT_INTERVALS * newest.every_s)
        if not newest.is_last and silent_s < limit_s:
            raise UnavailableError(
                f"the worker of {newest.writer} mirrored its journal {silent_s:.0f} s ago, and this one, whose "
                f"folder is empty, must not take its place before {limit_s} s without a word of it",
                hint="if that worker is to stay, give this one a journal.mirror_prefix of its own",
            )
        return self._publish(newest.files, newest.small, newest.taken_ms, is_filling=True)

    def _read_newest(self) -> MirrorManifest | None:
        numbers = [number for name in self._store.names(MANIFESTS) if (number := number_of(name)) is not None]
        if not numbers:
            return None
        found = self._read(max(numbers))
        if found is None:
            raise UnavailableError("a manifest of the journal's mirror was removed while it was read")
        return found

    def _read(self, number: int) -> MirrorManifest | None:
        content = self._store.read(manifest_name(number))
        if content is None:
            return None
        try:
            manifest = decode_manifest(content)
        except InputError as error:
            raise UnavailableError(error.message, hint=error.hint) from error
        if manifest.number != number:
            raise UnavailableError(
                f"{manifest_name(number)} in the journal's mirror is a copy of number {manifest.number}",
                hint="remove the copy",
            )
        return manifest

    def _accept(self, newest: MirrorManifest | None) -> None:
        if newest is None or self._newest is None or newest.id != self._newest.id:
            self._newest, self._before = newest, None
        if newest is not None:
            self._digests.update(newest.files)

    # From the folder to the store

    def _upload(self, links: Mapping[str, Path]) -> None:
        for path, link in links.items():
            self._go_on()
            try:
                told = link.stat()
                with link.open("rb") as content:
                    digest = hashlib.file_digest(content, "sha256").hexdigest()[:DIGEST_CHARS]
                file = MirroredFile(told.st_size, told.st_mtime_ns, digest)
                name = object_name(path, file)
                if name not in self._objects:
                    self._store.put(name, link, _MIME)
                    self._put.inc()
                    self._bytes.inc(told.st_size)
            except UnavailableError:
                raise
            except OSError as error:
                raise UnavailableError(f"{path} cannot be read for the mirror: {error}") from error
            self._objects.add(name)
            self._digests[path] = file
            newest = self._newest
            if newest is not None and self._clock.now_ms() - newest.made_ms > self._every_s * 1000:
                erased_ms = self._erased.get(newest.id, 0)
                self._publish(newest.files, newest.small, newest.taken_ms, erased_ms=erased_ms)

    def _publish(
        self,
        files: Mapping[str, MirroredFile],
        small: Mapping[str, str],
        taken_ms: int,
        *,
        erased_ms: int = 0,
        is_last: bool = False,
        is_filling: bool = False,
    ) -> MirrorManifest:
        """Put a manifest as the next one. The folder's note says beforehand that it may be there."""
        self._go_on()
        before = self._newest
        manifest = MirrorManifest(
            number=before.number + 1 if before is not None else 1, id=secrets.token_hex(8), writer=self._writer,
            made_ms=self._clock.now_ms(), taken_ms=taken_ms, every_s=self._every_s, files=files, small=small,
            is_last=is_last,
        )  # fmt: skip
        self._note_try(manifest, "" if before is None or is_filling else before.id, is_filling)
        name, content = manifest_name(manifest.number), encode_manifest(manifest)
        if not self._store.create(name, content):
            there = self._read(manifest.number)
            # It is ours if its answer was lost: this manifest, which was sent twice, or one that was tried before.
            if there is None or not (self._read_note() or _MirrorNote()).knows(there):
                raise _taken(there)
            if there.id != manifest.id:
                raise UnavailableError("a manifest of the journal's mirror arrived late; the next one follows it")
        if not self._is_proven:
            self._prove(name, content)
        self._objects.add(name)
        self._erased = {manifest.id: erased_ms} | ({before.id: self._erased.get(before.id, 0)} if before else {})
        self._newest, self._before, self._published_at = manifest, before, time.monotonic()
        self._put.inc()
        self._bytes.inc(len(content))
        return manifest

    def _note_try(self, manifest: MirrorManifest, last: str, is_filling: bool) -> None:
        note = self._read_note()
        tried = note.tried if note is not None and note.last == last else ()
        self._write_note(_MirrorNote(last, (*tried, manifest.id)[-_TRIES:], is_filling))

    def _prove(self, name: str, content: bytes) -> None:
        if self._store.create(name, content):
            raise UnavailableError(
                "the store of the journal's mirror puts an object where there is one already, though it is asked not "
                "to (If-None-Match): two workers could destroy each other's journal there",
                hint="docs/journal.md, The mirror, says what a store has to do",
            )
        self._is_proven = True

    def _sweep(self) -> None:
        """Remove objects that neither of the two newest manifests names; earlier manifests go first."""
        kept: set[str] = set()
        manifests = [each for each in (self._newest, self._before) if each is not None]
        for manifest in manifests:
            kept.add(manifest_name(manifest.number))
            kept.update(object_name(path, file) for path, file in manifest.files.items())
        for name in sorted(self._objects - kept):
            self._go_on()
            if time.monotonic() - self._published_at > _REMOVE_WITHIN_S:
                return  # the rest after the next manifest
            self._store.remove(name)
            self._objects.discard(name)
            self._removed.inc()
        self.clean_until_ms = min(self._erased.get(each.id, 0) for each in manifests)

    # From the store to the folder

    def _fill(self, manifest: MirrorManifest) -> None:
        """Make the folder's files equal to a manifest's; files that are there already are not fetched again."""
        try:
            for path in self._folder.rglob("*.parquet"):
                if path.relative_to(self._folder).as_posix() not in manifest.files:
                    path.unlink()
            for name, file in manifest.files.items():
                self._go_on()
                self._fetch(name, file)
            for name in SMALL_FILES:
                if name in manifest.small:
                    target = self._folder / name
                    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                    write_whole(target, manifest.small[name].encode())
        except UnavailableError:
            raise
        except OSError as error:
            raise UnavailableError(f"the journal's folder cannot be filled from its mirror: {error}") from error

    def _fetch(self, path: str, file: MirroredFile) -> None:
        target = self._folder / path
        if target.exists() and (target.stat().st_size, target.stat().st_mtime_ns) == (file.size, file.mtime_ns):
            return
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = target.with_name(f"{target.name}.{os.getpid()}{TEMPORARY}")
        try:
            if not self._store.get(object_name(path, file), temporary, file.size):
                raise UnavailableError(
                    f"the journal's mirror lacks {path}, which its newest manifest names",
                    hint="docs/journal.md, The mirror, says what to do",
                )
            with temporary.open("rb+") as content:
                if hashlib.file_digest(content, "sha256").hexdigest()[:DIGEST_CHARS] != file.digest:
                    raise UnavailableError(f"{path} in the journal's mirror is not what its manifest says")
                os.utime(content.fileno(), ns=(file.mtime_ns, file.mtime_ns))
                os.fsync(content.fileno())
            temporary.rename(target)
            flush_folder(target.parent)
        finally:
            temporary.unlink(missing_ok=True)
        self._fetched.inc()

    # The note, and the rest

    def _read_note(self) -> _MirrorNote | None:
        try:
            note = msgspec.json.decode(self._path.read_bytes(), type=_MirrorNote)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            raise UnavailableError(f"{self._path} cannot be read: {error}", hint="restore it from a backup") from error
        if note.version != NOTE_VERSION:
            raise UnavailableError(f"{self._path} is of version {note.version}", hint="a later release wrote it")
        return note

    def _write_note(self, note: _MirrorNote) -> None:
        try:
            write_whole(self._path, msgspec.json.encode(note))
        except OSError as error:
            raise UnavailableError(f"{self._path} cannot be written: {error}", hint=disk_hint(error)) from error

    def _go_on(self) -> None:
        if self._ends.is_set():
            raise UnavailableError("the worker ends: what the mirror lacks is put there after the next start")

    def _count(self, telemetry: Telemetry) -> None:
        self._put = telemetry.counter(
            "grosz_journal_mirror_put_total", "Objects that were put into the journal's mirror, manifests among them."
        ).labels()
        self._bytes = telemetry.counter(
            "grosz_journal_mirror_bytes_total", "Bytes that were put into the journal's mirror."
        ).labels()
        self._removed = telemetry.counter(
            "grosz_journal_mirror_removed_total", "Objects that were removed from the journal's mirror."
        ).labels()
        self._fetched = telemetry.counter(
            "grosz_journal_mirror_fetched_total", "Files that an empty folder was filled with from its mirror."
        ).labels()
        lag = telemetry.gauge(
            "grosz_journal_mirror_lag_seconds", "Age of the newest set of files that the journal's mirror has.",
            merge=Merge.MAX,
        )  # fmt: skip
        lag.labels().follow(lambda: max(0, self._clock.now_ms() - self.taken_ms) / 1000)


def _has_journal(folder: Path) -> bool:
    return (folder / STATE_FILE).exists() or any(folder.rglob("*.parquet"))


def _taken(newest: MirrorManifest | None) -> UnavailableError:
    who = f"the worker of {newest.writer}" if newest is not None else "another worker"
    return UnavailableError(
        f"the journal's mirror is that of another folder: {who} writes it, so nothing of this one is put there",
        hint="docs/journal.md, The mirror, says which of the two to keep",
    )
