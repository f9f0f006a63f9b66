"""The table of arguments and the script name the same things: neither asks for one that the other does not have."""

import re

from pacing.budgets.settling import PREFIX, SettleArguments, named
from tests.kit.fixtures import REPOSITORY

SOURCE = (REPOSITORY / "pacing" / "budgets" / "scripts" / "settle.lua").read_text()
CODE = re.sub(r"--.*", "", SOURCE)


def test_the_script_reads_every_argument_by_its_name_and_no_other() -> None:
    assert set(re.findall(rf"\b{PREFIX}(\w+)", CODE)) == {"now", *SettleArguments._fields}
    assert "ARGV" not in CODE


def test_the_first_line_names_them_in_the_order_in_which_they_are_sent() -> None:
    first = named(SOURCE).splitlines()[0]
    names = first.removeprefix("local ").removesuffix(" = unpack(ARGV)").split(", ")
    assert names == [f"{PREFIX}{name}" for name in ("now", *SettleArguments._fields)]
