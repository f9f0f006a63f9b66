"""`grosz restore`: a backup into a new data directory, with money counters worked out anew from the ledger."""

import shutil
from pathlib import Path
from typing import NamedTuple

from admin.backup.backup import DATABASE_FILE, FOLDERS, KEY_FILES, REDIS_FILE, find_backup, read_manifest
from admin.backup.database_copy import copy_in
from admin.backup.redis_snapshot import place_snapshot
from admin.store.catalogue import CatalogueStore
from admin.store.database import Database
from admin.store.ledger import SqlLedgerStore
from core import keys
from core.clock import SystemClock
from core.errors import ConflictError
from core.model import Catalogue
from core.redis.client import PipelinedRedis
from core.redis.embedded import EmbeddedServer
from core.telemetry.metrics import Telemetry
from pacing.bank.bank import LeaseBank
from pacing.budgets.transitions import Transitions
from pacing.ledger.audit import audit
from pacing.ledger.rows import LedgerWriter


class RestoreTarget(NamedTuple):
    """Where a backup is brought back to. `keys`: the folder of keys copied apart; `program`: the server to start."""

    data: Path
    database: Database
    keys: Path | None
    program: Path | None


async def restore(folder: Path, target: RestoreTarget) -> tuple[Path, int]:
    """Bring the backup back; the one that was used, and the differences that the audit finds.

    Raises ConflictError where something is there already, InputError for a damaged backup; nothing is written then.
    """
    backup = find_backup(folder)
    read_manifest(backup)
    server = EmbeddedServer(target.data, program=target.program)
    scratch = _begin(backup, target.data, server.directory)
    try:
        await copy_in(scratch, target.database)
    finally:
        _remove(scratch)
    _lay_out(backup, target, server.directory)
    server.start()
    try:
        return backup, await _settle_counters(server.url, target.database)
    finally:
        server.stop()


def _begin(backup: Path, data: Path, server_directory: Path) -> Path:
    """A copy of the backup's database, which may be brought up to this release's schema."""
    if server_directory.exists():
        raise ConflictError(f"{data} has data already", hint="restore into a directory of its own with --data")
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch = data / ".restoring.sqlite"
    shutil.copyfile(backup / DATABASE_FILE, scratch)
    return scratch


def _remove(scratch: Path) -> None:
    for left_over in scratch.parent.glob(f"{scratch.name}*"):
        left_over.unlink()


def _lay_out(backup: Path, target: RestoreTarget, server_directory: Path) -> None:
    place_snapshot(backup / REDIS_FILE, server_directory)
    for part in FOLDERS:
        if (backup / part).is_dir():
            shutil.copytree(backup / part, target.data / part)
    for name in KEY_FILES:
        if target.keys is not None and (target.keys / name).is_file():
            shutil.copyfile(target.keys / name, target.data / name)
            (target.data / name).chmod(0o600)


async def _settle_counters(url: str, database: Database) -> int:
    """Counters from the ledger for every advertiser, then the audit: how many differences it finds."""
    clock = SystemClock()
    catalogue: Catalogue = await CatalogueStore(database, clock).catalogue(0)
    ledger = SqlLedgerStore(database)
    connection = await PipelinedRedis.open(url, clock=clock)
    try:
        transitions = Transitions(connection, clock)
        everybody = (*catalogue.advertisers, *catalogue.archived_advertisers)
        # Without an epoch the bank begins the counters anew; leases of the earlier processes are over.
        await transitions.commands([("HDEL", keys.money_meta(each.id), "epoch") for each in everybody])
        telemetry = Telemetry()
        writer = LedgerWriter(transitions, ledger, lambda: [each.id for each in everybody], telemetry, clock)
        await LeaseBank(transitions, ledger, writer, lambda: catalogue, clock, telemetry).tick()
        found = [await audit(transitions, ledger, each.id) for each in everybody]
        return sum(len(one.differences) for one in found)
    finally:
        await connection.close()
