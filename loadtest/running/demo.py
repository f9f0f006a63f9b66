"""The load of `grosz demo`: a few shoppers and an exchange at a modest rate, in the process that shows the result."""

import asyncio
import time
from collections.abc import Callable

import msgspec

from loadtest.exchange.exchange import ExchangeProcess
from loadtest.measure.series import Series
from loadtest.measure.tally import Delta
from loadtest.report.report import Report, make_report
from loadtest.traffic.scenario import MarketPlan, NoticePlan, Scenario, ShopperPlan, TrafficPlan

DEMO_RATE = 200.0

# Enough shoppers to see carts and returns within half a minute.
DEMO_SHOPPERS = 40


class DemoResult(msgspec.Struct):
    """What a demo showed. Latencies in ms (None without an answer), money in micros of `currency`."""

    requests: int
    answered: int
    bids: int
    won: int
    billed: int
    paid_micros: int
    currency: str
    p50_ms: float | None
    p99_ms: float | None
    in_time_share: float
    shopper_visits: int
    carts: int
    purchases: int
    impressions_shown: int
    clicks: int
    violations: dict[str, int]
    report: Report


def demo_scenario(
    bid_url: str, track_url: str, duration_s: float, advertisers: tuple[int, ...] = (1, 2, 3)
) -> Scenario:
    """The demo as a scenario; `bid_url` is the whole bid endpoint."""
    return Scenario(
        name="demo",
        summary="Simulated shoppers and a simulated exchange on this machine.",
        url=bid_url,
        track_url=track_url,
        rate=DEMO_RATE,
        duration_s=duration_s,
        connections=16,
        traffic=TrafficPlan(
            templates=256, known_share=0.5, no_user_share=0.1, native_share=0.1, video_share=0.1, audio_share=0.05,
            several_formats_share=0.1,
            deal_share=0.0, floor_median=0.8, consent_full=0.0, consent_no_profile=0.0, consent_refused=0.05,
            consent_missing=0.0,
        ),
        market=MarketPlan(median=4.0),
        notices=NoticePlan(bill_delay_ms=200, click_rate=0.02, duplicate_share=0.02, drain_s=3),
        shoppers=ShopperPlan(count=DEMO_SHOPPERS, advertisers=advertisers),
    )  # fmt: skip


async def run_demo(
    bid_url: str,
    track_url: str,
    duration: float,
    on_progress: Callable[[Series], None],
    *,
    advertisers: tuple[int, ...] = (1, 2, 3),
    stop: asyncio.Event | None = None,
) -> DemoResult:
    """Run for `duration` seconds; `on_progress` is called each half second (loadtest.report.live.live_view shows it).

    Raises OSError when bidder or tracker do not listen.
    """
    scenario = demo_scenario(bid_url, track_url, duration, advertisers)
    series = Series()
    started_ms = time.time_ns() // 1_000_000

    def report(delta: Delta) -> None:
        series.add(delta)
        on_progress(series)

    process = ExchangeProcess(scenario, 0, report)
    await process.connect()
    await process.run(time.monotonic(), stop or asyncio.Event())
    return demo_result(make_report(scenario, series, started_ms))


def demo_result(report: Report) -> DemoResult:
    """The demo's figures out of its report."""
    latency = report.percentiles_ms["latency"]
    return DemoResult(
        requests=report.count("offered"),
        answered=report.count("answered"),
        bids=report.count("bids"),
        won=report.count("won"),
        billed=report.count("billed"),
        paid_micros=report.count("billed_micros"),
        currency=report.scenario.traffic.currency,
        p50_ms=latency["p50"],
        p99_ms=latency["p99"],
        in_time_share=report.share("in_time", "offered"),
        shopper_visits=report.count("shopper.visits"),
        carts=report.count("shopper.carts"),
        purchases=report.count("shopper.purchases"),
        impressions_shown=report.count("notice.impression.acknowledged"),
        clicks=report.count("notice.click.acknowledged"),
        violations=report.violations,
        report=report,
    )
