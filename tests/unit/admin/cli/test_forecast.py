"""What `grosz forecast` and `grosz what-if` print of an answer."""

import io

import msgspec
from rich.console import Console

from admin.cli.forecast import show
from admin.diagnosis.forecasting import (
    Forecast,
    ForecastFigures,
    ForecastHour,
    ForecastOrders,
    ForecastPoint,
    LosingLineItem,
)

FIGURES = ForecastFigures(100, 40, 30, 2, "1.50", "37.50")
ANSWER = Forecast(
    "PLN", 0.5, 10, 200, 1.0, FIGURES, None, (ForecastPoint(2.0, 60, 40, "3.00"),),
    (ForecastHour(1_790_000_000_000, 9, 4, "0.20", 0.5),), (LosingLineItem(7, 5, "0.40"),),
    ForecastOrders("campaign 3", 4, "not enough data: 4 orders, 20 are needed"), 900, ("mind this",),
)  # fmt: skip


def printed(answer: Forecast) -> str:
    out = io.StringIO()
    show(answer, Console(file=out, width=160))
    return out.getvalue()


def test_an_answer_is_printed_with_its_notes() -> None:
    text = printed(ANSWER)
    for part in (
        "10 recorded requests stand for 200 in 12.00 hours", "forecast", "1.50 PLN", "x 2", "multiplier 0.50",
        "line item 7 loses 5 impressions, 0.40 of spend", "not enough data: 4 orders, 20 are needed (by campaign 3)",
        "note: mind this",
    ):  # fmt: skip
        assert part in text, part
    assert "as it is" not in text


def test_a_change_is_shown_beside_what_is_and_orders_with_their_interval() -> None:
    orders = ForecastOrders("line item 7", 44, "", 4.0, 2.5, 5.5, "400.00", "0.38", "0.27", "0.60")
    text = printed(msgspec.structs.replace(ANSWER, days=2.0, before=FIGURES, orders=orders))
    for part in ("as it is", "as asked", "2.0 days", "orders: 4.0 (2.5 to 5.5)", "0.38 (0.27 to 0.60), by line item 7"):
        assert part in text, part
