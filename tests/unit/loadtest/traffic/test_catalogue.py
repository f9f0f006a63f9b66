import json

import pytest

from admin.catalogue.file import parse
from loadtest.traffic.catalogue import make_catalogue


@pytest.mark.parametrize("line_items", [1, 250])
def test_the_catalogue_can_be_imported(line_items: int) -> None:
    parsed = parse(json.dumps(make_catalogue(line_items)).encode(), {})
    assert len(parsed.objects["line-items"]) == line_items
    assert len(parsed.objects["exchanges"]) == 1


def test_about_as_many_line_items_are_open_as_asked_for() -> None:
    document = make_catalogue(5_000, eligible=100)
    items = document["line_items"]
    assert isinstance(items, list)
    assert sum("domains_allow" not in item["targeting"] for item in items) == pytest.approx(100, abs=35)
    assert len({item["id"] for item in items}) == 5_000
