from fractions import Fraction
from math import floor
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.judging.books import Books, load_books
from loadtest.judging.checks import Bid
from loadtest.measure.tally import BillKey
from loadtest.traffic.scenario import ScenarioError


def books(tmp_path: Path, creatives: dict[int, list[int]], *, currency: str = "PLN") -> Books:
    """Books by a catalogue of one campaign: creatives of each of its line items."""
    document = {
        "fx_rates": {"EUR": "4.27", "USD": "3.64"},
        "advertisers": [{"id": 1, "currency": currency}],
        "campaigns": [{"id": 7, "advertiser_id": 1}],
        "line_items": [{"id": item, "campaign_id": 7, "creative_ids": ids} for item, ids in creatives.items()],
    }
    file = tmp_path / "catalogue.json"
    file.write_bytes(orjson.dumps(document))
    return load_books(file)


def account(found: Books, creative: int, **members: str) -> str:
    return found.key(Bid(cid="7", adid=str(creative), **members), "PLN").account


def test_a_creative_of_one_line_item_names_it(tmp_path: Path) -> None:
    found = books(tmp_path, {70: [1], 71: [2, 3]})
    assert [account(found, creative) for creative in (1, 2, 3)] == ["70", "71", "71"]
    assert found.account_of_line_item == {"70": "70", "71": "71"}


def test_line_items_that_a_chain_of_creatives_joins_are_one_account(tmp_path: Path) -> None:
    found = books(tmp_path, {70: [1], 71: [1, 2], 72: [2], 73: [3]})
    assert {account(found, creative) for creative in (1, 2)} == {"70+71+72"}
    assert account(found, 3) == "73"
    assert found.account_of_line_item == {"70": "70+71+72", "71": "70+71+72", "72": "70+71+72", "73": "73"}


def test_a_large_account_is_named_by_its_first_line_item(tmp_path: Path) -> None:
    assert account(books(tmp_path, {number: [1] for number in range(8, 28)}), 1) == "8+19 more"


def test_a_tactic_names_the_line_item_whatever_shares_its_creative(tmp_path: Path) -> None:
    assert account(books(tmp_path, {70: [1], 71: [1]}), 1, tactic="71") == "71"


def test_what_the_catalogue_does_not_know_is_billed_to_its_campaign(tmp_path: Path) -> None:
    assert account(books(tmp_path, {70: [1]}), 9) == "campaign-7"


def test_a_shop_pays_in_its_own_currency_where_there_is_a_rate(tmp_path: Path) -> None:
    found = books(tmp_path, {70: [1]}, currency="EUR")
    assert found.key(Bid(cid="7", adid="1"), "USD") == BillKey("70", "EUR")
    assert found.key(Bid(cid="7", adid="1"), "XXX") == BillKey("70", "XXX")


GROSZES = st.integers(min_value=1, max_value=200_000)


@given(GROSZES, GROSZES, st.sampled_from(("PLN", "EUR", "USD", "JPY")), st.sampled_from(("PLN", "EUR", "USD", "JPY")))
def test_a_charge_is_the_price_at_the_rate_within_what_the_bid_reserved(
    first: int, second: int, currency: str, owner: str
) -> None:
    rates = {"PLN": 1_000_000, "EUR": 4_270_000, "USD": 3_640_000, "JPY": 24_500}
    price, bid = sorted((first * 10_000, second * 10_000))
    charge = Books({}, {}, {}, rates).charge(price, bid, currency, owner)
    exact = Fraction(price * rates[currency], 1000 * rates[owner])
    most = Fraction(bid * rates[currency], 1000 * rates[owner])
    assert charge <= -(-most // 1)
    if currency == owner:
        assert charge == exact
    else:
        # the reservation is rounded up by less than a micro, and the charge is its part to the nearest micro
        assert floor(exact) <= charge <= exact + Fraction(3, 2)


def test_a_catalogue_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    for name in ("broken.json", "none.json"):
        with pytest.raises(ScenarioError, match="cannot be read"):
            load_books(tmp_path / name)
