import pytest

from admin.cli.options import print_table
from admin.cli.plain import plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("czerwone buty, 40 zł", "czerwone buty, 40 zł"),
        ("\x1b[2Jall is well", " [2Jall is well"),
        ("one\r\ntwo\x07\x9b31m", "one  two  31m"),
        ("\u202egnp.exe", " gnp.exe"),
    ],
)
def test_nothing_is_left_that_a_terminal_obeys(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_a_table_s_columns_are_as_wide_as_what_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["name", "for"], [["\x1b[31mbuty", "a"], ["x", "b\nc"]])
    assert capsys.readouterr().out.splitlines() == ["name       for", " [31mbuty  a", "x          b c"]
