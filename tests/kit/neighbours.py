"""How much of the machine others used while something was measured: what makes a figure worthless unnoticed (Linux)."""

import os
import resource
from collections.abc import Iterable
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


class Neighbours:
    """Measures what other processes take of the machine, from its making on. `ours` are processes that do not count as
    others, besides this one and the children that it has waited for."""

    def __init__(self, ours: Iterable[int]) -> None:
        self._ours = tuple(ours)
        self._before = self._read()

    def share(self) -> float:
        """The part of all cores' time since then that other processes, or other guests of the host, had."""
        busy, ours, whole = (now - before for now, before in zip(self._read(), self._before, strict=True))
        return max(0.0, busy - ours) / whole if whole else 0.0

    def _read(self) -> tuple[float, float, float]:
        """Seconds of all cores: busy ones, those of ours, and all."""
        fields = [int(field) for field in Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]]
        _, _, _, idle, waiting, *_ = fields
        whole = sum(fields)
        ours = sum(map(_cpu_s, self._ours))
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
            usage = resource.getrusage(who)
            ours += usage.ru_utime + usage.ru_stime
        return (whole - idle - waiting) / _TICKS, ours, whole / _TICKS


def _cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS
