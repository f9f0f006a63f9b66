"""Redis URLs, read once for both clients, so that one setting means the same to the bid path and to everything else.

`redis://[user[:password]@]host[:port][/db]`, `rediss://` (TLS), `unix://[user[:password]@]/path[?db=N]`. TLS takes the
query parameters of redis-py: `ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile`, `ssl_cert_reqs=none`.
"""

import re
import ssl
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from core.errors import ConfigError

DEFAULT_PORT = 6379


class RedisAddress(msgspec.Struct, frozen=True):
    """Where a server is, and the credentials for it. With `path`, a Unix socket, host and port mean nothing."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    path: str = ""
    database: int = 0
    username: str = ""
    password: str = ""
    tls: bool = False
    tls_ca_file: str = ""
    tls_certificate_file: str = ""
    tls_key_file: str = ""
    tls_verify: bool = True

    def __repr__(self) -> str:
        return f"RedisAddress({self.place})"

    @property
    def place(self) -> str:
        """The address without secrets, for logs and errors."""
        if self.path:
            return f"unix://{self.path}"
        return f"{'rediss' if self.tls else 'redis'}://{self.host}:{self.port}/{self.database}"

    def at(self, host: str, port: int) -> "RedisAddress":
        """The address of another node that accepts the same credentials."""
        return msgspec.structs.replace(self, host=host, port=port, path="")

    def tls_context(self) -> ssl.SSLContext | None:
        """The TLS settings of a connection, None without TLS. Raises ConfigError for files that cannot be read."""
        if not self.tls:
            return None
        try:
            context = ssl.create_default_context(cafile=self.tls_ca_file or None)
            if self.tls_certificate_file:
                context.load_cert_chain(self.tls_certificate_file, self.tls_key_file or None)
        except OSError as error:
            raise ConfigError(f"the TLS files of {self.place} cannot be read: {error}") from error
        if not self.tls_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def split_urls(urls: str) -> list[str]:
    """The URLs of a list that is separated by commas."""
    return [url.strip() for url in re.split(r",(?=\s*(?:redis|rediss|unix)://)", urls)]


def parse_redis_urls(urls: str, *, username: str = "", password: str = "") -> list[RedisAddress]:
    """`parse_redis_url` for several nodes of one cluster, separated by commas."""
    return [parse_redis_url(url, username=username, password=password) for url in split_urls(urls)]


def parse_redis_url(url: str, *, username: str = "", password: str = "") -> RedisAddress:
    """Read a URL; `username` and `password` fill in what it leaves out. Raises ConfigError."""
    if len(split_urls(url)) > 1:
        raise ConfigError("several Redis URLs name nodes of a cluster", hint="set redis.cluster = true")
    parts = urlsplit(url)
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise ConfigError("a Redis URL begins with redis://, rediss:// or unix://", hint="see GROSZ_REDIS_URL")
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    database = options.get("db", "") or (parts.path.strip("/") if parts.scheme != "unix" else "") or "0"
    try:
        port = parts.port or DEFAULT_PORT
    except ValueError:
        raise ConfigError("the port in the Redis URL is not a number from 0 to 65535") from None
    if not (database.isascii() and database.isdigit()):
        raise ConfigError(f"the database in the Redis URL is not a number: {database}")
    return RedisAddress(
        host=parts.hostname or "127.0.0.1",
        port=port,
        path=unquote(parts.path) if parts.scheme == "unix" else "",
        database=int(database),
        username=unquote(parts.username or "") or username,
        password=unquote(parts.password or "") or password,
        tls=parts.scheme == "rediss",
        tls_ca_file=options.get("ssl_ca_certs", ""),
        tls_certificate_file=options.get("ssl_certfile", ""),
        tls_key_file=options.get("ssl_keyfile", ""),
        tls_verify=options.get("ssl_cert_reqs", "required") != "none",
    )
