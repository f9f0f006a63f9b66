"""Whether an exchange's requests are worth bidding on at all: who sells, what is sold, and to whom it is shown.

Only asked where the exchange's settings say so (`Speaker.is_choosy`). The address is judged before identifiers are
taken away: finding fraud needs no consent (special purpose 1 of the TCF), and nothing of it is kept. What a table does
not know is decided by the setting, never guessed.

Sources: OpenRTB 2.6, section 3.2.25 (supply chain), list "No-Bid Reason Codes"; ads.txt 1.1; sellers.json 1.0.
"""

import bisect
import ipaddress
from collections.abc import Iterable

from bidder.openrtb.types import BidRequest, Device, SupplyChain
from bidder.request.auction import Auction
from bidder.targeting.normalise import (
    MAX_NODES,
    domain_suffixes,
    names_of_all,
    normal_domain,
    sellers_of,
    sender_of,
    store_id,
)
from core.agents import Agent, agent_of
from core.model import SellerCheck
from core.reasons import NoBid
from core.supply import SupplyFile, SupplyTable, seller_name

Sellers = tuple[tuple[str, str], ...]
"""(system, account) of each node of a supply chain, the sender last."""


class AddressRanges:
    """Networks as sorted ranges of numbers: a look-up in ten thousand is a microsecond."""

    def __init__(self, networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network] = ()) -> None:
        networks = list(networks)
        self._ranges: dict[int, tuple[list[int], list[int]]] = {}
        for version in (4, 6):
            own = [network for network in networks if network.version == version]
            ranges = sorted((int(each.network_address), int(each.broadcast_address)) for each in own)
            starts, ends = list[int](), list[int]()
            for start, end in ranges:
                if ends and start <= ends[-1] + 1:
                    ends[-1] = max(ends[-1], end)
                else:
                    starts.append(start)
                    ends.append(end)
            self._ranges[version] = starts, ends

    def holds(self, address: str) -> bool:
        """Whether an address lies in one of the networks; what is no address lies nowhere."""
        try:
            parsed = ipaddress.ip_address(address.strip())
        except ValueError:
            return False
        if isinstance(parsed, ipaddress.IPv6Address):
            parsed = parsed.ipv4_mapped or parsed
        starts, ends = self._ranges[parsed.version]
        at = bisect.bisect_right(starts, int(parsed)) - 1
        return at >= 0 and int(parsed) <= ends[at]


class Quality:
    """What is known of supply and of data centres, beside the catalogue; `supply` is replaced while bids are made."""

    __slots__ = ("data_centres", "supply")

    def __init__(self, data_centres: AddressRanges | None = None) -> None:
        self.data_centres = data_centres or AddressRanges()
        self.supply = SupplyTable()  # of files that were read lately enough (`core.supply.current`)


def refusal(auction: Auction, quality: Quality) -> NoBid | None:
    """Why the settings of its exchange keep us from bidding on a request; None where nothing is against it."""
    speaker, request = auction.speaker, auction.request
    exchange = auction.exchange
    if speaker.inventory_deny and _is_denied(request, speaker.inventory_deny):
        return NoBid.INVENTORY_BLOCKED
    if exchange.humans_only and request.device is not None:
        reason = _not_human(request.device, quality.data_centres)
        if reason is not None:
            return reason
    chain = request.source.schain if request.source is not None else None
    if exchange.complete_chains and not _is_complete(chain):
        return NoBid.CHAIN_INCOMPLETE
    sellers = sellers_of(chain)
    if not _may_sell(sellers, speaker.sellers_allow, speaker.sellers_deny):
        return NoBid.SELLER_BLOCKED
    if exchange.seller_check is SellerCheck.OFF:
        return None
    if not sellers:
        sellers = _direct_seller(request, exchange.ads_system)
    return _unauthorised(request, sellers, quality.supply, required=exchange.seller_check is SellerCheck.REQUIRED)


def _is_complete(chain: SupplyChain | None) -> bool:
    """Whether a chain says that it is whole and each of its nodes names its seller."""
    if chain is None or not chain.complete or not chain.nodes or len(chain.nodes) > MAX_NODES:
        return False
    return all(node.asi and node.sid for node in chain.nodes)


def _may_sell(sellers: Sellers, allowed: frozenset[str], denied: frozenset[str]) -> bool:
    """Whether the sender of the request is allowed, and nobody in the chain denied. An unknown one is not allowed."""
    if denied and not denied.isdisjoint(names_of_all(sellers)):
        return False
    return not allowed or not allowed.isdisjoint(sender_of(sellers))


def _direct_seller(request: BidRequest, system: str) -> Sellers:
    """The seller without a chain: the exchange sells for the publisher itself, if its name as a `system` is known."""
    place = request.site or request.app or request.dooh
    publisher = place.publisher.id if place is not None and place.publisher is not None else None
    return ((normal_domain(system), publisher.strip()),) if system and publisher else ()


def _unauthorised(request: BidRequest, sellers: Sellers, supply: SupplyTable, *, required: bool) -> NoBid | None:
    """The reason if known files speak against the sellers, or if files are missing that are `required`."""
    for system, account in sellers:
        listed = supply.systems.get(system)
        if listed is not None and not listed.names(account):
            return NoBid.SELLER_BLOCKED
    if request.dooh is not None:
        return None  # there is no such file for screens out of home
    file = _file_of(request, supply)
    if file is None or not sellers:
        return NoBid.ADS_TXT_UNKNOWN if required else None
    if not all(file.names(seller_name(*seller)) for seller in sellers):
        return NoBid.ADS_TXT_VIOLATION
    return None


def _file_of(request: BidRequest, supply: SupplyTable) -> SupplyFile | None:
    """The ads.txt of a site or the app-ads.txt of an app's developer: of the domain, otherwise of the one above it."""
    app, site = request.app, request.site
    files = supply.apps if app is not None else supply.sites
    publisher = app.publisher if app is not None else site.publisher if site is not None else None
    domain = app.domain if app is not None else (site.domain or site.page) if site is not None else None
    domain = domain or (publisher.domain if publisher is not None else None)
    for name in domain_suffixes(domain):
        file = files.get(name)
        if file is not None:
            return file
    return None


def _is_denied(request: BidRequest, denied: frozenset[str]) -> bool:
    app, site = request.app, request.site
    if app is not None:
        names = {each.strip().casefold() for each in (app.bundle, store_id(app.storeurl)) if each}
        return not denied.isdisjoint(names) or not denied.isdisjoint(domain_suffixes(app.domain))
    return site is not None and not denied.isdisjoint(domain_suffixes(site.domain or site.page))


def _not_human(device: Device, data_centres: AddressRanges) -> NoBid | None:
    agent = device.ua
    if agent:
        kind = agent_of(agent)
        if kind is Agent.CRAWLER:
            return NoBid.CRAWLER
        if kind is Agent.PROGRAM:
            return NoBid.SUSPICIOUS_AGENT
    if any(data_centres.holds(address) for address in (device.ip, device.ipv6) if address):
        return NoBid.DATA_CENTRE
    return None
