"""The arguments of settle.lua, once: their order as Python sends them, and their names as the script reads them.

A script gets a nameless list, and an argument added on one side alone shifts all that follow it, silently and in money.
So the order stands here, and the script begins with a line that is made from it.
"""

from typing import Final, NamedTuple

PREFIX: Final = "given_"


class SettleArguments(NamedTuple):
    """What settle.lua is given after the time, in this order. A price is CPM micros, its charge micros; -1: none."""

    kind: str  # w, b, l
    notice: bytes  # key of the notice, for duplicates
    lease: int
    line_item: int
    share: int
    campaign: int
    day: int
    reserved: int  # micros
    price: int
    charge: int
    house_price: int
    house_charge: int
    win_hold_ms: int
    remember_s: int
    row: bytes  # the ledger row's fixed part


def named(script: str) -> str:
    """The script with a first line that gives every argument its name: `given_now`, `given_kind` and so on."""
    names = ", ".join(f"{PREFIX}{name}" for name in ("now", *SettleArguments._fields))
    return f"local {names} = unpack(ARGV)\n{script}"
