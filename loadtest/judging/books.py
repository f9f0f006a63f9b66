"""Our side of the bill: whom a bid is billed to, in which currency, and what its price comes to there.

A bid that names its line item (`tactic`) is billed to it. One that names only its campaign and creative is billed to
all line items that it may stand for: those that a chain of shared creatives joins are one account, "103+104+105".
Nothing finer can be told from outside.

An advertiser pays in its own currency. The bid, converted at the catalogue's rates and rounded up to the micro, is the
most that an impression may cost; the price is charged as its part of that, half a micro rounded up.
"""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from loadtest.judging.checks import Bid
from loadtest.measure.tally import BillKey
from loadtest.traffic.catalogue import read_catalogue
from loadtest.traffic.facts import MICROS, listed, mapping, number, objects, text

CAMPAIGN = "campaign-"
"""Prefix of an account that stands for a campaign, where no catalogue tells line items apart."""

# The catalogue's rates are micros of this currency for one unit of another.
BASE_CURRENCY = "PLN"

# The most line items in an account's name: more are unreadable, and the first one is in no other account.
_NAMES_SHOWN = 5

Pair = tuple[str, str]
"""The campaign and creative that a bid names."""


class Books:
    """Finds the account of a bid. Without a catalogue each campaign has one, in the currency of the auction."""

    def __init__(
        self,
        account_of_pair: Mapping[Pair, str],
        account_of_line_item: Mapping[str, str],
        currency_of_campaign: Mapping[str, str],
        rates: Mapping[str, int],
        campaign_of_line_item: Mapping[str, str] | None = None,
    ) -> None:
        self._campaign_of_line_item = campaign_of_line_item or {}
        self._account_of_pair = account_of_pair
        self.account_of_line_item = account_of_line_item
        self._currency_of_campaign = currency_of_campaign
        self._rates = {BASE_CURRENCY: MICROS, **rates}

    def key(self, bid: Bid, currency: str) -> BillKey:
        """The account of a bid made in `currency`."""
        campaign = text(bid.cid)
        pair = (campaign, text(bid.adid))
        account = text(bid.tactic) or self._account_of_pair.get(pair, f"{CAMPAIGN}{campaign}")
        # An exchange may want its own billing id in the place of our campaign.
        campaign = self._campaign_of_line_item.get(text(bid.tactic), campaign)
        owner = self._currency_of_campaign.get(campaign, currency)
        return BillKey(account, owner if {owner, currency} <= self._rates.keys() else currency)

    def charge(self, price: int, bid: int, currency: str, owner: str) -> int:
        """What one impression costs at a price, in micros of the owner's currency, for a bid in `currency`; price and
        bid are CPM micros."""
        if owner == currency:
            return price // 1000
        most = -(-bid * self._rates[currency] // (1000 * self._rates[owner]))
        return min(most, (2 * price * most + bid) // (2 * bid))


NO_BOOKS = Books({}, {}, {}, {})


def load_books(path: Path) -> Books:
    """Books by a `grosz catalogue export` file. Raises ScenarioError."""
    catalogue = read_catalogue(path)
    rates = {name: round(number(rate) * MICROS) for name, rate in mapping(catalogue.get("fx_rates")).items()}
    currency_of = {
        text(entry.get("id")): text(entry.get("currency")) for entry in objects(catalogue.get("advertisers"))
    }
    currencies = {
        text(campaign.get("id")): currency_of.get(text(campaign.get("advertiser_id"))) or BASE_CURRENCY
        for campaign in objects(catalogue.get("campaigns"))
    }
    users: defaultdict[Pair, list[str]] = defaultdict(list)
    for item in objects(catalogue.get("line_items")):
        for creative in listed(item.get("creative_ids")):
            users[text(item.get("campaign_id")), text(creative)].append(text(item.get("id")))
    accounts = _accounts(users)
    campaigns = {text(item.get("id")): text(item.get("campaign_id")) for item in objects(catalogue.get("line_items"))}
    by_pair = {pair: accounts[items[0]] for pair, items in users.items()}
    return Books(by_pair, accounts, currencies, rates, campaigns)


def _accounts(users: Mapping[Pair, list[str]]) -> dict[str, str]:
    """The account of each line item: one for all that share a creative in a campaign, directly or through others."""
    group_of: dict[str, list[str]] = {}
    for items in users.values():
        largest = max((group_of.setdefault(item, [item]) for item in items), key=len)
        for item in items:
            group = group_of[item]
            if group is not largest:
                largest += group
                group_of.update(dict.fromkeys(group, largest))
    names = {id(group): _name(group) for group in group_of.values()}
    return {item: names[id(group)] for item, group in group_of.items()}


def _name(group: list[str]) -> str:
    ordered = sorted(group, key=lambda name: (len(name), name))
    if len(ordered) <= _NAMES_SHOWN:
        return "+".join(ordered)
    return f"{ordered[0]}+{len(ordered) - 1} more"
