"""What a request says of the page, app or screen that its impressions are on, from wherever it says it."""

from bidder.openrtb.enums import CONTENT_1_0
from bidder.openrtb.types import App, Dooh, Site
from bidder.request.auction import Auction
from bidder.targeting.categories import OF_WHO_MADE_IT, Listed
from bidder.targeting.normalise import TEXT_BREAK, sellers_of, store_id


def environment(auction: Auction) -> str | None:
    """`site`, `app` or `dooh`."""
    request = auction.request
    return "site" if request.site else "app" if request.app else "dooh" if request.dooh else None


def domain(auction: Auction) -> str | None:
    """Domain of a site: its own, otherwise that of the page or the publisher."""
    site = auction.request.site
    if site is None:
        return None
    return site.domain or site.page or (site.publisher.domain if site.publisher is not None else None)


def app(auction: Auction) -> str | None:
    """Bundle or store id of an app, also from the address in its store; otherwise the exchange's id of it."""
    found = auction.request.app
    if found is None:
        return None
    return found.bundle or store_id(found.storeurl) or found.id


def publisher(auction: Auction) -> str | None:
    """The exchange's id of the publisher."""
    place = _place(auction)
    return place.publisher.id if place is not None and place.publisher is not None else None


def categories(auction: Auction) -> tuple[Listed, ...]:
    """Category codes of the place, its section, page and content, and of its publisher and the content's producer.

    Each speaks the taxonomy of its own `cattax`; without one it is the first (OpenRTB 2.6 sections 3.2.13 to 3.2.17).
    """
    request = auction.request
    place = request.site or request.app
    if place is None:
        return _of_makers(request.dooh) if request.dooh is not None else ()
    plain = place.cattax is None or place.cattax == CONTENT_1_0
    publisher = place.publisher
    if plain and not (place.sectioncat or place.pagecat or place.content) and (publisher is None or not publisher.cat):
        return place.cat or ()
    own = (*(place.cat or ()), *(place.sectioncat or ()), *(place.pagecat or ()))
    found: tuple[Listed, ...] = own if plain else ((place.cattax, own),)
    return found + _of_makers(place)


def _of_makers(place: Site | App | Dooh) -> tuple[Listed, ...]:
    """Categories of a place's content, and of its publisher and the content's producer, which only deny."""
    content, publisher = place.content, place.publisher
    found: tuple[Listed, ...] = ()
    if content is not None and content.cat:
        found += ((content.cattax, content.cat),)
    if publisher is not None and publisher.cat:
        found += ((publisher.cattax, publisher.cat, OF_WHO_MADE_IT),)
    producer = content.producer if content is not None else None
    if producer is not None and producer.cat:
        found += ((producer.cattax, producer.cat, OF_WHO_MADE_IT),)
    return found


def page_text(auction: Auction) -> str:
    """All words by which a publisher describes the page: URL, keywords, content title and keywords."""
    place = _place(auction)
    if place is None:
        return ""
    site = auction.request.site
    page = site.page if site is not None else None
    texts: list[str | None] = [page, _listed(place.keywords), *(place.kwarray or ())]
    content = place.content
    if content is not None:
        texts += [content.title, _listed(content.keywords), *(content.kwarray or ())]
    return TEXT_BREAK.join([text for text in texts if text])


def _place(auction: Auction) -> Site | App | Dooh | None:
    request = auction.request
    return request.site or request.app or request.dooh


def _listed(keywords: str | None) -> str | None:
    """A comma-separated list with its entries kept apart."""
    return keywords.replace(",", TEXT_BREAK) if keywords else None


def sellers(auction: Auction) -> tuple[tuple[str, str], ...]:
    """(system, account) of the sellers in the supply chain (OpenRTB 2.6 section 3.2.25), the sender last."""
    source = auction.request.source
    return sellers_of(source.schain) if source is not None else ()


def venues(auction: Auction) -> tuple[str, ...]:
    """Venue types of a screen out of home (OpenRTB 2.6 section 3.2.31), in whichever member the sender puts them."""
    dooh = auction.request.dooh
    if dooh is None:
        return ()
    return (*(dooh.venuetype or ()), *(dooh.venuetypeid or ()))


def agent(auction: Auction) -> str | tuple[str, ...] | None:
    """The user agent; without one, the brands of the structured one (OpenRTB 2.6 section 3.2.29)."""
    device = auction.request.device
    if device is None:
        return None
    if device.ua or device.sua is None or not device.sua.browsers:
        return device.ua
    return tuple([each.brand for each in device.sua.browsers if each.brand])
