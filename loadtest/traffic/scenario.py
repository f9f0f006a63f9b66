"""Scenarios: everything that a run does, read from a commented TOML file and checked before the first request.

Each section is a struct of its own; what a file leaves out has the default here. Rates are requests a second over all
processes, shares lie between 0 and 1, prices are units of the auction's currency CPM (a thousand impressions).
"""

import codecs
import ipaddress
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from loadtest.wire.client import parse_target

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=0)]

# No run goes on for ever by accident: a long soak is a night, and a billion requests is more than any of them sends.
MAX_DURATION_S = 24 * 3600.0
MAX_REQUESTS = 1_000_000_000

DEFAULT_URL = "http://127.0.0.1:8080/openrtb2/demo"


class ScenarioError(ValueError):
    """A scenario, target or file that a run cannot start with; says what to change."""


class ArrivalPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the rate goes over time; `rate` of the scenario is the base (constant, burst), mean (day) or last value
    (ramp)."""

    shape: Literal["constant", "ramp", "steps", "burst", "day"] = "constant"
    poisson: bool = True
    ramp_from: Share = 0.1  # part of `rate` at the start
    steps: tuple[NotNegative, ...] = (0.25, 0.5, 0.75, 1.0)  # parts of `rate`, equal lengths
    burst_factor: Positive = 3.0
    burst_start: Share = 0.4  # part of the duration
    burst_length: Share = 0.2


class TrafficPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the requests look like."""

    recorded: str = ""  # JSONL of bid requests instead of made ones
    templates: Annotated[int, msgspec.Meta(ge=1, le=20_000)] = 512
    domains: Annotated[int, msgspec.Meta(ge=1)] = 2_000
    domain_zipf: Positive = 1.1
    users: Annotated[int, msgspec.Meta(ge=1, le=5_000_000)] = 100_000
    user_zipf: NotNegative = 0.8
    user_file: str = ""  # one user id of the profile store a line
    known_share: Share = 0.3  # of requests with a user: from the file or a simulated shopper
    no_user_share: Share = 0.25  # cookieless
    native_share: Share = 0.08
    video_share: Share = 0.06
    audio_share: Share = 0.0  # above 0, videos are asked for by players of several kinds, too
    several_formats_share: Share = 0.0  # of the places for banners: offered for a native ad and a video, too
    two_impressions_share: Share = 0.3
    app_share: Share = 0.2
    mobile_share: Share = 0.68
    floor_median: NotNegative = 1.2
    floor_sigma: NotNegative = 0.5
    deal_share: Share = 0.05
    deals: tuple[str, ...] = ("demo-deal-1",)
    first_price_share: Share = 0.0
    blocking_share: Share = 0.3  # requests with bcat and badv
    secure_share: Share = 0.97
    consent_full: Share = 0.72  # the rest of these four is the share outside of GDPR
    consent_no_profile: Share = 0.08  # ads yes, profiling no
    consent_refused: Share = 0.12
    consent_missing: Share = 0.05
    impossible_share: Share = 0.0  # requests with a floor that nobody pays: 0.9 makes the 90 % no-bid mix
    easy: bool = False  # floor 0, full consent, banners in common sizes, no blocking: the 100 % bid mix
    currency: str = "PLN"
    billing_ids: tuple[str, ...] = ()  # that impressions offer, of exchanges that bill by them
    tmax_ms: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 100


class MarketPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The other bidders."""

    landscape: Literal["log-normal", "recorded"] = "log-normal"
    histogram: str = ""  # for "recorded": JSON with counts by price
    scale: Positive = 1.0
    median: NotNegative = 2.5
    sigma: NotNegative = 0.7
    bidders: Count = 3
    silence: Share = 0.4  # a competitor stays away with this probability


class NoticePlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the exchange tells afterwards, and how badly."""

    send: bool = True
    billing_event: Literal["bill", "win", "impression"] = "bill"
    win_delay_ms: NotNegative = 20
    bill_delay_ms: NotNegative = 120
    click_delay_ms: NotNegative = 2_500  # what comes within a second of the impression counts as no person's
    jitter: Share = 0.5  # part of each delay that is random: with it notices overtake each other
    late_share: Share = 0.0
    late_delay_ms: NotNegative = 5_000
    duplicate_share: Share = 0.01
    lost_share: Share = 0.0
    unreplaced_share: Share = 0.0  # ${AUCTION_PRICE} left as it is
    post_share: Share = 0.1
    loss_share: Share = 1.0  # of lost auctions that are told
    rendered_share: Share = 0.95  # of won impressions whose markup is shown
    click_rate: Share = 0.004
    drain_s: NotNegative = 15  # notices still due after the last request are waited for this long


class ShopperPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Simulated visitors of the shops. Their state is known here, so the ads' effect on them is known by
    construction."""

    count: Count = 0
    advertisers: tuple[int, ...] = (1,)
    page_seconds: Positive = 0.5  # pause between two pages; short, since a run is
    cart_share: Share = 0.4  # of visits that fill a cart
    buy_share: Share = 0.25  # of carts that are paid for at once
    return_share: Share = 0.1  # comes back without any ad
    ad_lift: Share = 0.15  # added to it once an ad was seen
    return_after_s: Positive = 3.0
    cart_median: Positive = 240.0


class FaultPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Bad manners of peers and networks. Rates are events a second."""

    malformed_rate: NotNegative = 0
    slow_rate: NotNegative = 0  # a request sent a byte at a time
    slow_read_rate: NotNegative = 0  # asks, and does not read
    half_close_rate: NotNegative = 0
    reset_rate: NotNegative = 0
    requests_per_connection: Count = 0  # 0: connections are kept
    tmax_cut_at: Share = 1.0  # from this part of the run on ...
    tmax_cut_ms: Annotated[int, msgspec.Meta(ge=1)] = 30  # ... requests carry this tmax


class RedisPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A proxy in front of Redis; start the bidder with GROSZ_REDIS_URL pointing at `listen_port`."""

    listen_port: Count = 0  # 0: no proxy
    upstream: str = ""  # "127.0.0.1:6379", or the path of a unix socket
    delay_ms: NotNegative = 0
    slow_at: Share = 1.0  # parts of the run: from `slow_at` to `cut_at` delayed, to `heal_at` cut
    cut_at: Share = 1.0
    heal_at: Share = 1.0


class CheckPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How answers are judged."""

    share: Share = 1.0  # of answers with a body that are parsed and checked; below 1 the report says so
    catalogue: str = ""  # `grosz catalogue export` file: needed to judge flights and consent by line item
    rates: dict[str, NotNegative] = {}  # units of the auction's currency for one unit of a floor's currency


class Goals(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What makes the run a success. None is not asked for."""

    p99_ms: float | None = None
    in_time_share: float | None = None  # of what was due
    answered_share: float | None = None  # of what was due
    answers_in_time_share: float | None = None  # of what was answered
    bids_at_least: int | None = None
    recovery_s: float | None = None  # after the burst, or the trouble with Redis
    recovered_p99_ms: float = 20.0  # what counts as normal again, second by second
    violations: int = 0
    billed_difference: bool = True  # an audit, where one is asked for, must agree


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One load test."""

    name: str
    summary: str = ""
    url: str = DEFAULT_URL
    dialect: str = "generic"  # the exchange that is played: loadtest.exchange.dialects
    rate: Positive
    duration_s: Annotated[float, msgspec.Meta(gt=0, le=MAX_DURATION_S)]
    connections: Annotated[int, msgspec.Meta(ge=1, le=20_000)] = 64
    processes: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    seed: int = 1
    patience_s: Positive = 5.0  # after that a request counts as unanswered
    track_url: str = "http://127.0.0.1:8081"
    arrival: ArrivalPlan = ArrivalPlan()
    traffic: TrafficPlan = TrafficPlan()
    market: MarketPlan = MarketPlan()
    notices: NoticePlan = NoticePlan()
    shoppers: ShopperPlan = ShopperPlan()
    faults: FaultPlan = FaultPlan()
    redis: RedisPlan = RedisPlan()
    checks: CheckPlan = CheckPlan()
    goals: Goals = Goals()


def scenario_names() -> list[str]:
    """Names of the scenarios that come with Grosz."""
    folder = resources.files("loadtest") / "scenarios"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_scenario(name: str) -> Scenario:
    """A scenario by name, or from a TOML file. Raises ScenarioError."""
    shipped = resources.files("loadtest") / "scenarios" / f"{name}.toml"
    try:
        if name.endswith(".toml"):
            text = Path(name).read_bytes().removeprefix(codecs.BOM_UTF8)
        elif name in scenario_names():
            text = shipped.read_bytes()
        else:
            raise ScenarioError(
                f"no scenario '{name}': take one of {', '.join(scenario_names())}, or the path of a .toml file"
            )
        return msgspec.toml.decode(text, type=Scenario)
    except (OSError, msgspec.DecodeError) as error:
        raise ScenarioError(f"scenario '{name}' cannot be read: {error}") from error


def check_run(scenario: Scenario, *, own_target: bool) -> None:
    """Refuse what would hurt: foreign targets and unbounded runs. Raises ScenarioError."""
    consent = scenario.traffic
    total = consent.consent_full + consent.consent_no_profile + consent.consent_refused + consent.consent_missing
    if total > 1 + 1e-9:
        raise ScenarioError(f"consent shares add up to {total:.2f}: lower them to 1 in all")
    if not 0 < scenario.duration_s <= MAX_DURATION_S:
        raise ScenarioError(f"a run lasts at most {MAX_DURATION_S:.0f} s: give a duration above 0 and up to that")
    faults = scenario.faults
    peak = max(2.0, scenario.arrival.burst_factor, *scenario.arrival.steps)  # a day's is below 2
    misbehaved = (
        faults.malformed_rate + faults.slow_rate + faults.slow_read_rate + faults.half_close_rate + faults.reset_rate
    )
    if (scenario.rate * peak + misbehaved) * scenario.duration_s > MAX_REQUESTS:
        raise ScenarioError(f"the run would send more than {MAX_REQUESTS:,} requests: lower rate or duration")
    for url in (scenario.url, scenario.track_url):
        check_target(url, own_target=own_target)
    if scenario.redis.listen_port and "/" not in scenario.redis.upstream:
        check_target(f"http://{scenario.redis.upstream}", own_target=own_target)


def check_target(url: str, *, own_target: bool) -> None:
    """Refuse a target that is not on this machine unless its owner says so. Raises ScenarioError."""
    try:
        host = parse_target(url).host
    except ValueError as error:
        raise ScenarioError(str(error)) from error
    if not own_target and not is_loopback(host):
        raise ScenarioError(
            f"{host} is not this machine: a load test against somebody else's server is an attack. "
            "If it is yours, say so with --i-own-this-target"
        )


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only mean this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
