"""What can be set, and where the values come from: defaults, then a TOML file, then the environment, later ones win.

One frozen struct a component, so that a part is given its own settings and cannot read its neighbours'. All faults of
a configuration are reported at once, so that a container need be restarted only once. Secrets are marked
in the types and `redacted()` is the only form that is ever printed or logged.

In TOML a component is a table (`[bid]`, `port = 8080`); in the environment a field is `GROSZ_BID_PORT`. Lists and
tables in the environment are JSON; a list of plain words may be separated by commas.
"""

import difflib
import tomllib
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from core.errors import ConfigError, Fault
from core.masking import redact

Port = Annotated[int, Meta(ge=0, le=65_535)]
"""A TCP port; 0 lets the kernel choose one."""

Count = Annotated[int, Meta(ge=1)]
Milliseconds = Annotated[int, Meta(ge=1)]
Seconds = Annotated[int, Meta(ge=1)]
Secret = Annotated[str, Meta(extra={"secret": True})]
TcfPurpose = Annotated[int, Meta(ge=1, le=24)]

TokenKeyId = Annotated[str, Meta(pattern=r"^(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)$(?!\n)")]
TokenKey = Annotated[str, Meta(pattern=r"^([0-9a-fA-F]{2}){16,64}$(?!\n)", extra={"secret": True})]

ENVIRONMENT_PREFIX = "GROSZ_"

# Variables of the same prefix that are not settings: the settings file, the supervisor's pipe, the tests' own.
_NOT_SETTINGS = ("GROSZ_CONFIG", "GROSZ_READY_PIPE", "GROSZ_CORPUS", "GROSZ_TEST_", "GROSZ_BENCH_")

# As whole names, since [data] and [admin] are tables of settings: the folder of the data sets that tests and benchmarks
# replay, and where and as whom commands reach the admin API of another machine.
OF_COMMANDS = ("GROSZ_ADMIN_URL", "GROSZ_API_KEY")
_OTHER_VARIABLES = ("GROSZ_DATA", *OF_COMMANDS)


class Component(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of one component's settings."""


class RedisSettings(Component, frozen=True, kw_only=True):
    """The shared store of profiles, money counters and streams."""

    # redis://, rediss:// or unix://; of a cluster one or several nodes, separated by commas. Empty: `grosz up` starts a
    # server of its own.
    url: Annotated[str, Meta(pattern=r"^$(?!\n)|^(redis|rediss|unix)://")] = ""
    # The server that `grosz up` starts; empty: the program that wrote the data, otherwise the first that is found.
    program: str = ""
    username: str = ""
    password: Secret = ""
    cluster: bool = False
    call_timeout_ms: Milliseconds = 1_000  # of calls off the bid path, which has its own deadline
    # Pending commands cost about 200 bytes each; ten thousand are two seconds of a process at full load.
    max_in_flight: Count = 10_000


class BidSettings(Component, frozen=True, kw_only=True):
    """The port that exchanges send bid requests to."""

    host: str = "127.0.0.1"
    port: Port = 8080
    workers: Count = 1  # processes that share the port
    tmax_cap_ms: Milliseconds = 300  # a longer tmax is not used up: the connection has better things to do
    max_connections: Count = 4_096  # of one process; about 20 KiB each when idle
    idle_timeout_s: Seconds = 75  # exchanges keep connections for a minute; the proxy in front should close first
    max_body_bytes: Annotated[int, Meta(ge=1_024)] = 256 * 1024  # also after decompression
    # A file with an address or network a line (203.0.113.0/24): what comes from there is nobody's, for exchanges that
    # are set to `humans_only`. Read when the role starts.
    data_centres: str = ""
    # Part of the answers that are checked against their request before they leave: 60 us each.
    checked_share: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.01
    # Products that one process remembers for dynamic ads: 1 KiB each, taken as they are used.
    products_in_memory: Count = 50_000


class TrackSettings(Component, frozen=True, kw_only=True):
    """The public web side: notices, impressions, clicks, shop events, cookie sync."""

    host: str = "127.0.0.1"
    port: Port = 8081
    workers: Count = 1  # processes that share the port; one settles thousands of notices a second
    # What browsers and exchanges reach the tracker at; goes into markup, so without a slash at its end.
    public_url: Annotated[str, Meta(pattern=r"^https?://[^/?#\s]+(/[^?#\s]*[^/?#\s])?$(?!\n)")] = (
        "http://127.0.0.1:8081"
    )


class AdminSettings(Component, frozen=True, kw_only=True):
    """The private API and console."""

    host: str = "127.0.0.1"
    port: Port = 8082
    database_url: Secret = (
        ""  # sqlite+aiosqlite:///... or postgresql+asyncpg://...; empty: SQLite in the data directory
    )
    # What people's browsers reach the API and console at. With https, cookies are Secure and browsers are told to come
    # by https only; empty: as each request came.
    public_url: Annotated[str, Meta(pattern=r"^$(?!\n)|^https?://[^/?#\s]+(/[^?#\s]*[^/?#\s])?$(?!\n)")] = ""
    seed: Literal["", "demo"] = ""  # what an empty store starts with
    seed_cart_delay_s: Seconds = 3_600  # of the seeded line items: idle for so long, a cart counts as abandoned
    # Where exchange rates are read anew: "ecb" (the European Central Bank's daily file), another address or a file in
    # its form; empty: they are set by hand.
    fx_source: str = ""
    fx_refresh_s: Seconds = 21_600  # the bank publishes once a working day
    # How often exchanges that review creatives are asked what is new: one call for each of them. A decision reaches the
    # bid path a second later.
    review_poll_s: Seconds = 2
    # Pictures of creatives that exchanges and people look at: made by the Chromium of this machine where there is one
    # and somebody asks; with "off", or without it, a plain card of the ad's size stands in.
    previews: Literal["auto", "off"] = "auto"


class WorkerSettings(Component, frozen=True, kw_only=True):
    """The background loops; the port serves health and metrics only."""

    host: str = "127.0.0.1"
    port: Port = 8083
    # Audience hooks go to addresses that advertisers choose; into private networks only where the operator allows it.
    private_webhooks: bool = False
    # So do fetches of product feeds; allowed are any address and port then, not only 80 and 443.
    private_feeds: bool = False
    # Ledger rows and changes that are older leave the database for Parquet files, each night; 0: all of them stay.
    # 40 days at least: exchanges dispute bills for weeks.
    retention_days: Annotated[int, Meta(ge=0, le=36_500)] = 0
    archive_directory: str = ""  # where those files go; empty: `archive` in the data directory


class MoneySettings(Component, frozen=True, kw_only=True):
    """Budgets, leases and the tokens in notices."""

    # Key id (0-255) -> key of 16 to 64 bytes, hexadecimal. Empty: one is made in the data directory at first start.
    token_keys: dict[TokenKeyId, TokenKey] = {}
    token_key_id: Annotated[int, Meta(ge=0, le=255)] | None = None  # the one that signs; None: the highest

    def keys(self) -> dict[int, bytes]:
        """The token keys by id, as `pacing.notices.tokens.TokenSigner` takes them."""
        return {int(key_id): bytes.fromhex(key) for key_id, key in self.token_keys.items()}


class ProfileSettings(Component, frozen=True, kw_only=True):
    """The store of user profiles."""

    retention_days: Count = 90  # unless an advertiser asks for less


class ConsentSettings(Component, frozen=True, kw_only=True):
    """Who we are in the consent frameworks, and what we do where nobody asked the user."""

    vendor_id: Annotated[int, Meta(ge=0, le=65_535)] = 0  # in the IAB Global Vendor List; 0: not registered
    # Our registration there: the default basis of each purpose, and those whose basis a publisher may change.
    consent_purposes: tuple[TcfPurpose, ...] = (1, 2, 3, 4, 7)
    interest_purposes: tuple[TcfPurpose, ...] = ()
    flexible_purposes: tuple[TcfPurpose, ...] = ()
    # Which strings may be relied upon. Older policies are invalid since 2023-09-30, strings for more than one service
    # since TCF 2.2, and strings made after 2026-02-28 that do not list the vendors the user was shown since TCF 2.3.
    min_policy_version: Annotated[int, Meta(ge=0, le=63)] = 4
    require_service_specific: bool = True
    require_disclosed_vendors: bool = True
    # Lets a demonstration or a test bid where GDPR applies before there is a registration: purposes alone count.
    trust_purposes_alone: bool = False
    # Countries (alpha-2, of the publisher) where purpose 1 needs no consent, if the string says it was not asked for.
    purpose_one_waived_in: tuple[str, ...] = ()
    bid_without_purpose_2: bool = False  # contextual bids, without ids, where the user refused basic ads
    honour_do_not_track: bool = True  # `device.dnt` as strong as `device.lmt`
    # A decoded string with its key is about 1 KiB, and reading one again costs 8 to 150 us.
    cached_strings: Count = 8_192


class CatalogueSettings(Component, frozen=True, kw_only=True):
    """The published catalogue that bidders follow."""

    poll_ms: Milliseconds = 250
    max_age_s: Seconds = 900  # bidding stops when no publisher has been heard of for so long


class SupplySettings(Component, frozen=True, kw_only=True):
    """The table of ads.txt, app-ads.txt and sellers.json files, which the admin role keeps."""

    # A file with a domain a line; `app-ads.txt DOMAIN` and `sellers.json DOMAIN` for the other two. Nothing else is
    # ever fetched. Empty: files come by `grosz supply import` alone.
    domains: str = ""
    refresh_s: Seconds = 86_400  # ads.txt asks for no more than once a day
    private: bool = False  # whether addresses in private networks and any port may be fetched from


class DataSettings(Component, frozen=True, kw_only=True):
    """Where this machine keeps what must outlive a restart."""

    directory: str = "data"


class JournalSettings(Component, frozen=True, kw_only=True):
    """The journal: what was bid, won, shown, clicked and bought, for reports and training."""

    # Where bidders and trackers append, and the worker keeps Parquet files. Empty: nothing is kept; `grosz up` keeps it
    # in the data directory. Roles on one machine share the folder.
    directory: str = ""
    # Segment files that wait for the worker: beyond it bids go on and their rows are left out, notices are written.
    max_mib: Count = 1_024
    # The worker of another host, to which segments are shipped (http://worker:8083); the file with the key.
    ship_to: Annotated[str, Meta(pattern=r"^https?://[^\s@]+$(?!\n)|^$(?!\n)")] = ""
    ship_key_file: str = ""
    # Where the worker takes segments of other hosts; 0: nowhere. It belongs on a private network.
    receive_host: str = "127.0.0.1"
    receive_port: Port = 0
    # Where rows go besides the worker's files: nowhere, to Kafka (host:9092,host:9092; topics: PREFIX.bid, ...),
    # to ClickHouse (http://user:password@host:8123/database).
    sink: Literal["files", "kafka", "clickhouse"] = "files"
    sink_url: Secret = ""
    sink_prefix: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,100}$(?!\n)")] = "grosz"
    sink_days: Annotated[int, Meta(ge=1, le=3_650)] = (
        30  # how long the sink keeps rows; in Kafka the erased ones as well
    )
    sink_max_mib: Count = 4_096  # of batches that wait for a sink that is away; beyond it new ones are left out
    # The bucket of an S3-compatible store in which the worker mirrors its Parquet files (docs/journal.md, The mirror);
    # empty: nowhere. The other settings are as those of [media].
    mirror_bucket: str = ""
    mirror_endpoint: Annotated[str, Meta(pattern=r"^https?://[^\s@]+$(?!\n)|^$(?!\n)")] = ""
    mirror_region: str = ""
    mirror_access_key: str = ""
    mirror_secret_key: Secret = ""
    # Before each name. Of each installation its own: another's folder is never mirrored into it.
    mirror_prefix: Annotated[str, Meta(pattern=r"^([A-Za-z0-9._-]{1,100}/){0,5}$(?!\n)")] = "journal/"
    # What a lost disk costs at most, and how much later an erasure reaches the mirror; each time costs some requests.
    mirror_every_s: Annotated[int, Meta(ge=1, le=600)] = 60
    # The key of the pseudonyms that stand for people, the same for all roles; empty: rows name nobody. `grosz up` makes
    # one in the data directory.
    people_key: Annotated[str, Meta(pattern=r"^([0-9a-fA-F]{2}){16,64}$(?!\n)|^$(?!\n)", extra={"secret": True})] = ""
    # About so many bid requests a second are recorded by each bidder process, without what names a person, to explain,
    # replay and forecast; 0: none. All of these exchanges (keys), and all that these line items were priced in.
    recorded_a_second: Annotated[int, Meta(ge=0, le=10_000)] = 5
    recorded_exchanges: tuple[str, ...] = ()
    recorded_line_items: tuple[int, ...] = ()
    # How long recorded requests, and the catalogues that they were decided by, are kept.
    recorded_days: Count = 14
    # How long rows are kept: of bids, answers, notices and shop events; of bills, clicks and conversions; sums by hour.
    retention_days: Count = 90
    money_retention_days: Count = 730
    rollup_retention_days: Count = 1_825


class MailSettings(Component, frozen=True, kw_only=True):
    """The mail server that reports and notifications are sent by; without a host nothing is mailed."""

    host: str = ""
    port: Port = 587
    user: str = ""
    password: Secret = ""
    sender: str = ""  # the address that mails come from
    # How the connection is made private: STARTTLS, TLS from the first byte, or not at all. A server whose certificate
    # does not hold is refused; without TLS no password is sent.
    tls: Literal["starttls", "tls", "none"] = "starttls"
    # In the advertiser's time zone nobody is notified between these hours; scheduled reports come when they are due.
    quiet_from: Annotated[int, Meta(ge=0, le=23)] = 21
    quiet_until: Annotated[int, Meta(ge=0, le=23)] = 7


class NetworkSettings(Component, frozen=True, kw_only=True):
    """What lies in front of the ports, and how much one peer may hold of them."""

    # Reverse proxies, as addresses or networks (10.0.0.0/8): what they say of the client in X-Forwarded-For and
    # X-Forwarded-Proto counts. Empty: nobody is believed, and whoever connects is the client.
    trusted_proxies: tuple[str, ...] = ()
    # Of one tracker, admin or worker process, and of these from one address (the trusted proxies excepted). Lowered to
    # what the process has handles for; the bid port has bid.max_connections.
    max_connections: Count = 4_096
    max_connections_per_address: Count = 512


class TelemetrySettings(Component, frozen=True, kw_only=True):
    """Logs and metrics."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    # What log lines are: JSON for whatever collects them, text for people, or text where they go to a terminal.
    log_format: Literal["auto", "json", "text"] = "auto"
    # A folder for the sockets by which the processes of one role add up their metrics; empty: each answers for itself.
    run_directory: str = ""
    # /metrics tells a competitor the business: only loopback and private networks see it unless this is set.
    public_metrics: bool = False
    # Whether a role serves /metrics at a listener of its own, which no proxy in front of the role's port can reach by
    # mistake; otherwise at the role's port. The worker's port serves nothing else, and needs no second one.
    own_listener: bool = True
    host: str = "127.0.0.1"  # of those listeners; the image has 0.0.0.0, for a Prometheus in another container
    bidder_port: Port = 9080  # of the bidder's metrics
    tracker_port: Port = 9081  # of the tracker's metrics
    admin_port: Port = 9082  # of the admin's metrics


METRICS_PORTS: Final[Mapping[str, str]] = {
    "bidder": "bidder_port",
    "tracker": "tracker_port",
    "admin": "admin_port",
}
"""Which setting of TelemetrySettings is the port of a role's own listener for metrics."""


class AdsSettings(Component, frozen=True, kw_only=True):
    """Ads that show products of feeds."""

    # A folder of template folders beside those that come with Grosz (docs/product-ads.md); the same on every machine.
    templates: str = ""


class MediaSettings(Component, frozen=True, kw_only=True):
    """Where uploaded media are kept; without a bucket in the folder `media` of `data.directory`."""

    bucket: str = ""  # of an S3-compatible store, which all machines reach (docs/creatives.md, "Media")
    endpoint: str = ""  # https://minio.example:9000; empty for AWS
    region: str = ""
    # Both empty: what the machine itself is given (the AWS variables and files, or the role of its instance).
    access_key: str = ""
    secret_key: Secret = ""
    prefix: str = ""  # before each name: "grosz/"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set, by component."""

    redis: RedisSettings = RedisSettings()
    bid: BidSettings = BidSettings()
    track: TrackSettings = TrackSettings()
    admin: AdminSettings = AdminSettings()
    worker: WorkerSettings = WorkerSettings()
    money: MoneySettings = MoneySettings()
    profiles: ProfileSettings = ProfileSettings()
    consent: ConsentSettings = ConsentSettings()
    catalogue: CatalogueSettings = CatalogueSettings()
    supply: SupplySettings = SupplySettings()
    data: DataSettings = DataSettings()
    journal: JournalSettings = JournalSettings()
    mail: MailSettings = MailSettings()
    network: NetworkSettings = NetworkSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    ads: AdsSettings = AdsSettings()
    media: MediaSettings = MediaSettings()


def load_settings(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Settings from an optional TOML file and the environment. Raises ConfigError with every fault found."""
    faults: list[Fault] = []
    tables = _read_file(path, faults) if path is not None else {}
    variables = _read_environment(environ, faults)
    components = {
        name: _build(name, kind, tables.get(name, {}), variables.get(name, {}), faults)
        for name, kind in _component_types().items()
    }
    if faults:
        raise ConfigError(
            "the configuration is not valid", faults=faults, hint="docs/configuration.md lists every setting"
        )
    return msgspec.convert(components, Settings)


def redacted(settings: Settings) -> dict[str, dict[str, object]]:
    """The settings for logs and `grosz config`: secrets and passwords in URLs are masked."""
    return {
        name: {field.name: redact(getattr(getattr(settings, name), field.name), field.type) for field in _fields(kind)}
        for name, kind in _component_types().items()
    }


def to_environment(settings: Settings) -> dict[str, str]:
    """The variables that make `load_settings` give these settings again: how a supervisor hands them to children."""
    variables: dict[str, str] = {}
    for name, kind in _component_types().items():
        component, default = getattr(settings, name), kind()
        for field in _fields(kind):
            value = getattr(component, field.name)
            if value != getattr(default, field.name):
                text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
                variables[f"{ENVIRONMENT_PREFIX}{name}_{field.name}".upper()] = text
    return variables


def _component_types() -> dict[str, type[Component]]:
    return typing.get_type_hints(Settings)


class _Field(msgspec.Struct, frozen=True):
    name: str
    type: object


def _fields(kind: type[Component]) -> list[_Field]:
    hints = typing.get_type_hints(kind, include_extras=True)
    return [_Field(name, hint) for name, hint in hints.items() if not name.startswith("_")]


def _read_file(path: Path, faults: list[Fault]) -> dict[str, dict[str, object]]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the settings file {path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the settings file {path} is not valid TOML: {error}") from error
    tables: dict[str, dict[str, object]] = {}
    for name, table in document.items():
        kind = _component_types().get(name)
        if kind is None:
            faults.append(_unknown(name, name, _component_types()))
        elif not isinstance(table, dict):
            faults.append(Fault(name, "type", "is not a table", hint=f"write [{name}] and its fields below it"))
        else:
            tables[name] = table
    return tables


def _read_environment(environ: Mapping[str, str], faults: list[Fault]) -> dict[str, dict[str, str]]:
    variables: dict[str, dict[str, str]] = {}
    for variable, text in sorted(environ.items()):
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable.startswith(_NOT_SETTINGS):
            continue
        if variable in _OTHER_VARIABLES:
            continue
        component, _, field = variable.removeprefix(ENVIRONMENT_PREFIX).lower().partition("_")
        if component in _component_types():
            variables.setdefault(component, {})[field] = text
        else:
            names = [f"{ENVIRONMENT_PREFIX}{name}_...".upper() for name in _component_types()]
            faults.append(
                Fault(variable, "unknown", "is not a setting", hint=f"settings start with {', '.join(names)}")
            )
    return variables


def _build(
    name: str, kind: type[Component], table: Mapping[str, object], texts: Mapping[str, str], faults: list[Fault]
) -> Component:
    """One component; each field is converted on its own, so that one wrong field does not hide the next."""
    hints = {field.name: field.type for field in _fields(kind)}
    values: dict[str, object] = {}
    for field, value in table.items():
        _convert(f"{name}.{field}", field, value, hints, values, faults)
    for field, text in texts.items():
        variable = f"{ENVIRONMENT_PREFIX}{name}_{field}".upper()
        value = _parse_text(text, hints[field]) if field in hints else text
        _convert(variable, field, value, hints, values, faults, strict=False)
    return kind(**values)


def _convert(
    pointer: str,
    field: str,
    value: object,
    hints: Mapping[str, object],
    values: dict[str, object],
    faults: list[Fault],
    *,
    strict: bool = True,
) -> None:
    if field not in hints:
        faults.append(_unknown(pointer, field, hints))
        return
    try:
        values[field] = msgspec.convert(value, hints[field], strict=strict)
    except msgspec.ValidationError as error:
        faults.append(Fault(pointer, "value", str(error).replace("`", "'")))


def _parse_text(text: str, hint: object) -> object:
    """A list or table out of an environment variable; anything else stays text for msgspec to convert."""
    if typing.get_origin(_bare(hint)) not in (tuple, list, dict):
        return text
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return [part.strip() for part in text.split(",") if part.strip()]


def _unknown(pointer: str, name: str, known: Mapping[str, object]) -> Fault:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"
    return Fault(pointer, "unknown", "is not a setting", hint=hint)


def _bare(hint: object) -> object:
    return typing.get_args(hint)[0] if typing.get_origin(hint) is Annotated else hint
