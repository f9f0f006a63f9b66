"""Compare two servers fairly on a machine that is not quiet: short rounds, A B B A, medians, and ratios from one run.

Each round runs the load client (tests/bench/client.py) in a process of its own, pinned to its own core. The CPU of the
servers is read from /proc before and after each round, so that cost a request does not depend on the client being fast
enough. Linux only.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


class Contender(msgspec.Struct, frozen=True):
    """One server under test: where it listens and which processes do its work."""

    name: str
    url: str
    pids: tuple[int, ...]


class Round(msgspec.Struct, frozen=True):
    """One contender's share of one round. `cpu_us` is CPU time of its processes a request, microseconds."""

    rate: float
    cpu_us: float
    statuses: dict[str, int]


class Comparison(msgspec.Struct, frozen=True):
    """Medians over the rounds, and the medians of the ratios of neighbouring rounds (first over second)."""

    rates: tuple[float, float]
    cpu_us: tuple[float, float]
    rate_ratio: float
    cpu_ratio: float
    statuses: tuple[dict[str, int], dict[str, int]]


def cpu_seconds(pids: Sequence[int]) -> float:
    """User and system time that the processes have used so far, all their threads together."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS_A_SECOND


def measure(
    contender: Contender, bodies: Path, *, seconds: float, connections: int = 32, core: int | None = None
) -> Round:
    """Load one contender for `seconds`; the client runs on `core` when given. Raises CalledProcessError."""
    command = [
        sys.executable, "-m", "tests.bench.client", contender.url, "--bodies", str(bodies),
        "--seconds", str(seconds), "--connections", str(connections),
    ]  # fmt: skip
    if core is not None:
        command = ["taskset", "-c", str(core), *command]
    before = cpu_seconds(contender.pids)
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    used = cpu_seconds(contender.pids) - before
    result = json.loads(printed)
    return Round(rate=result["rate"], cpu_us=used / result["requests"] * 1e6, statuses=result["statuses"])


def compare(
    first: Contender,
    second: Contender,
    bodies: Path,
    *,
    rounds: int = 6,
    seconds: float = 2.0,
    connections: int = 32,
    core: int | None = None,
) -> Comparison:
    """Interleave: the order turns round each time, so that a drift of the machine hits both alike."""
    seen: tuple[list[Round], list[Round]] = ([], [])
    for number in range(rounds):
        for position in (0, 1) if number % 2 == 0 else (1, 0):
            contender = (first, second)[position]
            seen[position].append(measure(contender, bodies, seconds=seconds, connections=connections, core=core))
    pairs = list(zip(*seen, strict=True))
    return Comparison(
        rates=(statistics.median(r.rate for r in seen[0]), statistics.median(r.rate for r in seen[1])),
        cpu_us=(statistics.median(r.cpu_us for r in seen[0]), statistics.median(r.cpu_us for r in seen[1])),
        rate_ratio=statistics.median(a.rate / b.rate for a, b in pairs),
        cpu_ratio=statistics.median(a.cpu_us / b.cpu_us for a, b in pairs),
        statuses=(seen[0][-1].statuses, seen[1][-1].statuses),
    )


def table(first: Contender, second: Contender, comparison: Comparison) -> str:
    """The comparison as a small Markdown table."""
    lines = ["| server | requests/s | CPU us a request | statuses of the last round |", "|---|---|---|---|"]
    for position, contender in enumerate((first, second)):
        lines.append(
            f"| {contender.name} | {comparison.rates[position]:,.0f} | {comparison.cpu_us[position]:.1f} "
            f"| {comparison.statuses[position]} |"
        )
    lines.append(f"| {first.name} / {second.name} | {comparison.rate_ratio:.2f} | {comparison.cpu_ratio:.2f} | |")
    return "\n".join(lines)


def _contender(text: str) -> Contender:
    name, url, pids = text.split(",", 2)
    return Contender(name=name, url=url, pids=tuple(int(pid) for pid in pids.split("+")))


def main() -> None:
    """`python -m tests.bench.interleave a,http://127.0.0.1:1/openrtb2/x,123+124 b,http://...,125 --bodies FILE`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", type=_contender, help="name,url,pid[+pid...]")
    parser.add_argument("second", type=_contender, help="the same")
    parser.add_argument("--bodies", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--core", type=int, default=None, help="core of the load client")
    arguments = parser.parse_args()
    comparison = compare(
        arguments.first, arguments.second, arguments.bodies, rounds=arguments.rounds, seconds=arguments.seconds,
        connections=arguments.connections, core=arguments.core,
    )  # fmt: skip
    print(table(arguments.first, arguments.second, comparison))


if __name__ == "__main__":
    main()
