"""Which slot of a Redis Cluster a command belongs to (specification: redis.io, "Redis cluster specification")."""

from binascii import crc_hqx

from core.redis.wire import Argument, Command

SLOTS = 16_384

# The position of the first key, for commands that do not have it right behind their name. Negative: the command has no
# key, and any node will do. The other commands that the bid path may send have it at 1.
_NO_KEY = -1
_KEY_POSITION = {
    b"EVAL": 3, b"EVALSHA": 3, b"EVAL_RO": 3, b"EVALSHA_RO": 3, b"FCALL": 3, b"FCALL_RO": 3, b"OBJECT": 2, b"MEMORY": 2,
    b"XGROUP": 2, b"XINFO": 2, b"BITOP": 2,
    b"PING": _NO_KEY, b"ECHO": _NO_KEY, b"TIME": _NO_KEY, b"PUBLISH": _NO_KEY, b"SCRIPT": _NO_KEY, b"INFO": _NO_KEY,
    b"DBSIZE": _NO_KEY, b"CLUSTER": _NO_KEY, b"CONFIG": _NO_KEY, b"CLIENT": _NO_KEY, b"WAIT": _NO_KEY,
    b"FUNCTION": _NO_KEY, b"COMMAND": _NO_KEY, b"LASTSAVE": _NO_KEY, b"ROLE": _NO_KEY,
}  # fmt: skip
_STREAM_READS = (b"XREAD", b"XREADGROUP")


def key_slot(key: bytes) -> int:
    """Slot 0-16383 of a key: CRC16/XMODEM of the part in the first non-empty braces, or of the whole key."""
    start = key.find(b"{")
    if start >= 0:
        end = key.find(b"}", start + 1)
        if end > start + 1:
            key = key[start + 1 : end]
    return crc_hqx(key, 0) % SLOTS


def command_slot(command: Command) -> int | None:
    """Slot of a command by its first key; None when it has none. All keys of one command must share a slot."""
    name = _bytes(command[0]).upper()
    position = _KEY_POSITION.get(name, 1)
    if name in _STREAM_READS:
        words = [_bytes(argument).upper() for argument in command]
        position = words.index(b"STREAMS") + 1 if b"STREAMS" in words else _NO_KEY
    elif position == 3 and _bytes(command[2]) == b"0":  # a script without keys
        position = _NO_KEY
    if position == _NO_KEY or len(command) <= position:
        return None
    return key_slot(_bytes(command[position]))


def _bytes(argument: Argument) -> bytes:
    if isinstance(argument, bytes):
        return argument
    return str(argument).encode()
