"""Where the load test and the replay send to when nobody says: the ports of the Grosz of this directory."""

from pathlib import Path
from typing import NamedTuple

from admin.cli.opening import data_directory
from admin.cli.settings import settings_for
from admin.roles.local_state import read_endpoints, read_metrics

DEMO_EXCHANGE = "demo"


class Target(NamedTuple):
    """A bid endpoint and its tracker; below `metrics_url` are the bidder's metrics."""

    url: str
    track_url: str
    metrics_url: str


def local_target(data: Path | None, exchange: str = DEMO_EXCHANGE) -> Target | None:
    """Where the last `grosz up` of the data directory is reached; None where there was none."""
    directory = data_directory(settings_for(None), data)
    found = read_endpoints(directory)
    if "bidder" not in found:
        return None
    return Target(f"{found['bidder']}/openrtb2/{exchange}", found.get("tracker", ""), read_metrics(directory)["bidder"])
