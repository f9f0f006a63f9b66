"""A row of a feed becomes a product, whatever stands in its fields."""

import pytest

from creatives.feeds.columns import FeedDialect
from creatives.feeds.faults import FaultLog
from creatives.feeds.normalise import Normaliser


@pytest.mark.parametrize(
    ("days", "availability"),
    [
        ("3", "in_stock"),
        ("30", "backorder"),
        ("2026-12-24", "preorder"),
        ("", "out_of_stock"),
        ("\u00b2", "preorder"),  # a superscript two: a digit to Python, and no number
        ("9" * 5_000, "preorder"),
    ],
)
def test_days_until_delivery_say_whether_a_product_is_there(days: str, availability: str) -> None:
    row = {
        "id": "a", "title": "Shoe", "link": "https://shop.example/a", "image_link": "https://shop.example/a.jpg",
        "price": "10.00 PLN", "delivery_days": days,
    }  # fmt: skip
    product = Normaliser(FaultLog(), FeedDialect(items=(), paths={}), "PLN").product(row, 1)
    assert product is not None
    assert product.availability.name.lower() == availability
