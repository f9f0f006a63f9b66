"""One way for roles and commands to open the connection whose calls share round trips, to a server or to a cluster."""

from core.clock import Clock
from core.config import RedisSettings
from core.redis.client import Pipelined, PipelinedRedis
from core.redis.cluster import PipelinedCluster
from core.redis.url import parse_redis_url, parse_redis_urls


async def open_pipelined(settings: RedisSettings, clock: Clock, *, url: str = "", required: bool = True) -> Pipelined:
    """Connect to `url`, otherwise to the URL of the settings.

    `required`: raise UnavailableError where nobody answers; otherwise go on trying in the background. Raises
    ConfigError for a URL that cannot be read and a server that does not let us in.
    """
    limit = settings.max_in_flight
    where, username, password = url or settings.url, settings.username, settings.password
    if settings.cluster:
        seeds = parse_redis_urls(where, username=username, password=password)
        return await PipelinedCluster.open(seeds, clock=clock, max_in_flight=limit, required=required)
    address = parse_redis_url(where, username=username, password=password)
    return await PipelinedRedis.open(address, clock=clock, max_in_flight=limit, required=required)
