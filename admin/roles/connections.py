"""What several composition roots make in the same way: connections to Redis, the token signer."""

from typing import cast

from redis.asyncio import Redis, RedisCluster

from admin.roles.lifecycle import RoleContext
from core.catalogue.follower import CatalogueFollower, CatalogueWatcher
from core.errors import ConfigError
from core.redis.client import Pipelined, control_cluster, control_redis
from core.redis.opening import open_pipelined
from pacing.notices.tokens import TokenSigner
from segments.profiles.scanning import ClusterScanner, Scanner, ServerScanner


async def pipelined_redis(role: RoleContext) -> Pipelined:
    """The connection whose calls share round trips. It comes and goes with Redis; a role starts and serves without."""
    connection = await open_pipelined(role.settings.redis, role.clock, required=False)
    role.on_close(connection.close)
    connected = role.telemetry.gauge(
        "grosz_redis_connected", "1 while Redis, or every node of its cluster, is reached."
    )
    connected.labels().follow(lambda: float(connection.connected))
    return connection


def plain_redis(role: RoleContext) -> Redis:
    """redis-py's client, for everything off the bid path; a cluster's has the same methods."""
    settings = role.settings.redis
    url, username, password = settings.url, settings.username, settings.password
    client = (
        cast(Redis, control_cluster(url, username=username, password=password))  # the two clients share no base class
        if settings.cluster
        else control_redis(url, username=username, password=password)
    )
    role.on_close(client.aclose)
    return client


def profile_scanner(role: RoleContext) -> Scanner:
    """Walks over all profiles, whatever they lie on."""
    client = plain_redis(role)
    return ClusterScanner(cast(RedisCluster, client)) if role.settings.redis.cluster else ServerScanner(client)


def token_signer(role: RoleContext) -> TokenSigner:
    """Signs and verifies the tokens in notices. Raises ConfigError for keys that are not hexadecimal."""
    money = role.settings.money
    try:
        secrets = {int(key_id): bytes.fromhex(text) for key_id, text in money.token_keys.items()}
    except ValueError as error:
        raise ConfigError(
            f"money.token_keys: {error}", hint="a table of number = hexadecimal key, as from `openssl rand -hex 32`"
        ) from error
    return TokenSigner(secrets, signing_key_id=money.token_key_id)


def follow_catalogue(role: RoleContext) -> CatalogueFollower:
    """The published catalogue as values, kept current by a loop of the role."""
    follower = CatalogueFollower()
    poll_s = role.settings.catalogue.poll_ms / 1000
    watcher = CatalogueWatcher(plain_redis(role), follower, clock=role.clock, poll_s=poll_s)
    role.run_loop(watcher.run, "catalogue")
    return follower
