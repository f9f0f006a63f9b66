"""Which settings a running installation takes over when it is told to read them again (SIGHUP).

The roles are started again one after the other with the new settings, so nearly everything may change. What may not is
what the supervisor itself holds: its ports, how many processes share them, the data directory, and its Redis.
"""

from typing import Final, NamedTuple

import msgspec

from core.config import Settings

FIXED: Final = frozenset(
    (
        "redis.url", "redis.program", "redis.cluster", "bid.host", "bid.port", "bid.workers", "track.host",
        "track.port", "track.workers", "admin.host", "admin.port", "admin.database_url", "admin.seed", "worker.host",
        "worker.port",
        "data.directory", "telemetry.run_directory", "telemetry.own_listener", "telemetry.host",
        "telemetry.bidder_port", "telemetry.tracker_port", "telemetry.admin_port",
    )
)  # fmt: skip
"""Settings that take a restart of everything."""


class Reloaded(NamedTuple):
    """The settings in force from now on, which of them are new, and which changes wait for a restart."""

    settings: Settings
    changed: list[str]
    refused: list[str]


def reload(old: Settings, new: Settings) -> Reloaded:
    """`new` with what is fixed as in `old`. Names are `component.setting`, in order."""
    changed, refused = [], []
    components = {}
    for component in Settings.__struct_fields__:
        before, after = getattr(old, component), getattr(new, component)
        kept = {}
        for name in before.__struct_fields__:
            if getattr(before, name) == getattr(after, name):
                continue
            if f"{component}.{name}" in FIXED:
                refused.append(f"{component}.{name}")
                kept[name] = getattr(before, name)
            else:
                changed.append(f"{component}.{name}")
        components[component] = msgspec.structs.replace(after, **kept)
    return Reloaded(Settings(**components), changed, refused)
