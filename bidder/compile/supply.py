"""Keeps what bidders know beside the catalogue: the published supply table, and the file of data centres' networks."""

import asyncio
import ipaddress
import logging
from pathlib import Path
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from bidder.targeting.quality import AddressRanges, Quality
from core import keys
from core.clock import Clock
from core.errors import ConfigError, InputError
from core.supply import SupplyTable, current, decode_table
from core.telemetry.metrics import Merge, Telemetry

# A table changes once a day; five seconds after a command is soon enough.
POLL_S: Final = 5.0

# How often files that have become too old are taken out.
AGE_S: Final = 600.0

_log = logging.getLogger("grosz.bidder.supply")


def read_networks(path: str) -> AddressRanges:
    """The networks of a file: one a line, `#` begins a comment. An empty path means none. Raises ConfigError."""
    if not path:
        return AddressRanges()
    networks = []
    try:
        for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
            text = line.partition("#")[0].strip()
            if text:
                networks.append(_network(text, path, number))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"bid.data_centres: {path} cannot be read: {error}") from None
    return AddressRanges(networks)


def _network(text: str, path: str, number: int) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        hint = "a line is an address or a network such as 203.0.113.0/24"
        raise ConfigError(f"bid.data_centres: {path}, line {number}: {error}", hint=hint) from None


class SupplyFollower:
    """Brings each published supply table to the bid path; while Redis is away the last one stays."""

    def __init__(self, redis: Redis, quality: Quality, clock: Clock, telemetry: Telemetry) -> None:
        self._redis = redis
        self._quality = quality
        self._clock = clock
        self._version: bytes | str = b""
        self._table = SupplyTable()
        self._aged = 0.0
        age = telemetry.gauge(
            "grosz_supply_age_seconds", "Since the supply table was made; 0 where there is none.", merge=Merge.MAX
        )
        age.labels().follow(self._age_s)
        files = telemetry.gauge("grosz_supply_files", "Files in the supply table that are read lately enough to count.")
        files.labels().follow(lambda: float(quality.supply.count))

    def _age_s(self) -> float:
        return max(0.0, (self._clock.now_ms() - self._table.made_ms) / 1000) if self._version else 0.0

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            try:
                await self.step()
            except (RedisError, OSError) as error:
                _log.warning("the supply table is not followed: %s", error)
            except InputError as error:
                _log.error("the supply table stays as it was: %s", error.message)
            await asyncio.sleep(POLL_S)

    async def step(self) -> None:
        """Read the table if its version is new, and take out files that have become too old."""
        version = await self._redis.get(keys.SUPPLY_VERSION) or b""
        if version != self._version:
            data = await self._redis.get(keys.SUPPLY_TABLE)
            # In a thread: ten thousand files are unpacked in a tenth of a second.
            self._table = await asyncio.to_thread(decode_table, data) if isinstance(data, bytes) else SupplyTable()
            self._version, self._aged = version, 0.0
        now = self._clock.monotonic()
        if not self._aged or now - self._aged >= AGE_S:
            self._quality.supply = current(self._table, self._clock.now_ms())
            self._aged = now
