"""A snapshot of a running Redis: its data at one moment, over its own connection, without stopping anything.

`SYNC` is what a replica begins with: the server answers with its whole data set as an RDB file, taken at one moment by
a forked child, and goes on serving. It needs no access to the server's disk, so it is the same for an embedded server,
another host's, and one in a container. Source: redis.io, "How Redis replication works".
"""

import asyncio
import os
import ssl
from pathlib import Path
from typing import Final

from core.errors import UnavailableError
from core.redis.url import RedisAddress

# A server forks and writes some 100 MB/s; while it prepares it sends an empty line each second.
SILENCE_S: Final = 60.0
CHUNK: Final = 1 << 20

AOF_FOLDER: Final = "appendonlydir"
_BASE: Final = "appendonly.aof.1.base.rdb"
_MANIFEST: Final = "appendonly.aof.manifest"


async def write_snapshot(address: RedisAddress, target: Path) -> int:
    """The data set of a server as an RDB file at `target`; its size. Raises UnavailableError."""
    try:
        reader, writer = await _connect(address)
    except OSError as error:
        raise UnavailableError(f"cannot connect to Redis at {address.place}: {error}") from None
    try:
        for command in _greeting(address):
            writer.write(_packed(command))
            answer = await _line(reader)
            if not answer.startswith(b"+"):
                raise UnavailableError(f"Redis at {address.place} refused {command[0]}: {_text(answer)}")
        writer.write(_packed(("SYNC",)))
        header = await _line(reader)
        if not header.startswith(b"$") or not header[1:].isdigit():
            hint = "the user of the Redis URL needs the right to SYNC"
            raise UnavailableError(f"Redis at {address.place} gives no snapshot: {_text(header)}", hint=hint)
        size = int(header[1:])
        await _copy(reader, target, size)
        return size
    except (OSError, EOFError) as error:
        raise UnavailableError(f"Redis at {address.place} ended its snapshot: {error}") from None
    finally:
        writer.close()


def place_snapshot(snapshot: Path, directory: Path) -> None:
    """Make `snapshot` what a server with an append-only file starts with in `directory`.

    Since Redis 7.0 such a file is a base, which may be an RDB file, with what came after it; the manifest names both.
    """
    folder = directory / AOF_FOLDER
    folder.mkdir(parents=True, mode=0o700)
    with snapshot.open("rb") as source, (folder / _BASE).open("xb") as target:
        while part := source.read(CHUNK):
            target.write(part)
        target.flush()
        os.fsync(target.fileno())
    (folder / _MANIFEST).write_text(f"file {_BASE} seq 1 type b\n", encoding="ascii")


async def _connect(address: RedisAddress) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if address.path:
        return await asyncio.open_unix_connection(address.path)
    context = None
    if address.tls:
        context = ssl.create_default_context(cafile=address.tls_ca_file or None)
        if not address.tls_verify:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if address.tls_certificate_file:
            context.load_cert_chain(address.tls_certificate_file, address.tls_key_file or None)
    return await asyncio.open_connection(address.host, address.port, ssl=context)


def _greeting(address: RedisAddress) -> list[tuple[str, ...]]:
    if not address.password:
        return []
    return [("AUTH", address.username, address.password) if address.username else ("AUTH", address.password)]


def _packed(command: tuple[str, ...]) -> bytes:
    parts = [part.encode() for part in command]
    return b"".join([b"*%d\r\n" % len(parts), *(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)])


async def _line(reader: asyncio.StreamReader) -> bytes:
    """The next line, without the empty ones by which a busy server shows that it lives. Raises EOFError."""
    while True:
        async with asyncio.timeout(SILENCE_S):
            line = await reader.readline()
        if not line:
            raise EOFError("the connection was closed")
        if line.strip():
            return line.strip()


async def _copy(reader: asyncio.StreamReader, target: Path, size: int) -> None:
    left = size
    with target.open("xb") as file:
        while left:
            async with asyncio.timeout(SILENCE_S):
                part = await reader.read(min(CHUNK, left))
            if not part:
                raise EOFError("the connection was closed")
            file.write(part)
            left -= len(part)
        file.flush()
        os.fsync(file.fileno())


def _text(line: bytes) -> str:
    return line[:200].decode("utf-8", "replace")
