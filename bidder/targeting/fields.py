"""The table of targeting fields, and the members of targeting that are decided elsewhere than by a field."""

from typing import Any, NamedTuple

from bidder.targeting import inventory, normalise, shapes
from bidder.targeting.categories import BLOCKED_CATEGORY, category_and_parents, perhaps_categories, refused_categories
from bidder.targeting.field import MAX_LIST, Field, Part
from core.reasons import NoBid
from core.supply import plain_seller

FIELDS: tuple[Field, ...] = (
    Field(
        name="exchange", part=Part.EXCHANGE, reads=("exchange.id",), allow="exchanges", reason=NoBid.EXCHANGE,
        item=shapes.Id, refers="exchanges", about="exchanges that send the request",
    ),
    Field(
        name="blocked_advertiser", part=Part.EXCHANGE, reads=("request.badv",), values=normalise.blocked_domains,
        ads="domains", reason=NoBid.ADVERTISER_BLOCKED, about="`badv`: advertiser domains that the publisher blocks",
    ),
    Field(
        name=BLOCKED_CATEGORY, part=Part.EXCHANGE,
        reads=("request.bcat", "request.acat", "request.cattax", "exchange.admits_uncategorised"),
        values=refused_categories, ads="categories", reason=NoBid.CATEGORY_BLOCKED,
        about="`bcat` and `acat`: advertised categories that the publisher blocks or does not allow",
    ),
    Field(
        name="review", part=Part.EXCHANGE, reads=("exchange.id",), ads="unapproved", reason=NoBid.NOT_APPROVED,
        about="exchanges that have not approved any of the ads, or have rejected all (docs/approvals.md)",
    ),
    Field(
        name="country", part=Part.PLACE, reads=("place.country",), allow="countries", reason=NoBid.COUNTRY,
        item=shapes.Country, about="country, ISO 3166 alpha-3",
    ),
    Field(
        name="region", part=Part.PLACE, reads=("place.country", "place.region"), values=normalise.region_of,
        allow="regions", reason=NoBid.REGION, item=shapes.Region, about="country and ISO 3166-2 suffix: `POL/MZ`",
    ),
    Field(
        name="city", part=Part.PLACE, reads=("place.city",), values=normalise.lower, allow="cities",
        normal=str.casefold, reason=NoBid.CITY, item=shapes.LowerText, about="city, as exchanges spell it, lower case",
    ),
    Field(
        name="postcode", part=Part.PLACE, reads=("place.postcode",), values=normalise.postcode_prefixes,
        allow="postcodes", normal=normalise.normal_postcode, reason=NoBid.POSTCODE, item=shapes.Postcode,
        about="beginnings of postcodes, without spaces and dashes",
    ),
    Field(
        name="radius", part=Part.POINT, reads=("place.point", "place.accuracy_km"), matches=normalise.in_circle,
        allow="radii", parsed=normalise.circle_of, reason=NoBid.RADIUS, item=shapes.RadiusDocument, most=100,
        about="circles on the map; a point that is less exact than the circle is large is in none",
        shown=normalise.point_shown,
    ),
    Field(
        name="device_type", part=Part.DEVICE, reads=("request.device.devicetype",), allow="device_types",
        reason=NoBid.DEVICE_TYPE, item=shapes.DeviceType, most=8,
        about="AdCOM device types: 1 mobile or tablet, 2 PC, 3 connected TV, 4 phone, 5 tablet, 6 connected device, "
        "7 set-top box, 8 screen out of home",
    ),
    Field(
        name="operating_system", part=Part.DEVICE, reads=("request.device.os", "request.device.ua"),
        values=normalise.operating_system, allow="operating_systems", normal=str.casefold,
        reason=NoBid.OPERATING_SYSTEM, item=shapes.LowerText, most=100,
        about="family of the operating system: `android`, `ios`, `windows`, `macos`, `linux`, ...",
    ),
    Field(
        name="browser", part=Part.DEVICE, reads=(inventory.agent,), values=normalise.browser, allow="browsers",
        normal=str.casefold, reason=NoBid.BROWSER, item=shapes.LowerText, most=100,
        about="family of the browser: `chrome`, `safari`, `firefox`, `edge`, `opera`, `samsung internet`, ...",
    ),
    Field(
        name="connection", part=Part.DEVICE, reads=("request.device.connectiontype",), allow="connections",
        reason=NoBid.CONNECTION, item=shapes.Connection, most=7,
        about="AdCOM connection types: 1 ethernet, 2 wifi, 3 cellular, 4 2G, 5 3G, 6 4G, 7 5G",
    ),
    Field(
        name="language", part=Part.DEVICE, reads=("request.device.language", "request.device.langb"),
        values=normalise.primary_language, allow="languages", normal=str.casefold, reason=NoBid.LANGUAGE,
        item=shapes.Language, most=200, about="language of the device, its primary subtag: `pl`",
    ),
    Field(
        name="environment", part=Part.INVENTORY, reads=(inventory.environment,), allow="environments",
        reason=NoBid.ENVIRONMENT, item=shapes.Environment, most=3, about="`site`, `app` or `dooh`",
    ),
    Field(
        name="domain", part=Part.INVENTORY, reads=(inventory.domain,), values=normalise.domain_suffixes,
        allow="domains_allow", deny="domains_deny", normal=normalise.normal_domain, reason=NoBid.DOMAIN,
        item=shapes.Domain, about="domain of the site, with all its subdomains",
    ),
    Field(
        name="app", part=Part.INVENTORY, reads=(inventory.app,), values=normalise.lower, allow="apps_allow",
        deny="apps_deny", normal=str.casefold, reason=NoBid.APP, item=shapes.Bundle, about="bundle or store id",
    ),
    Field(
        name="publisher", part=Part.INVENTORY, reads=("exchange.key", inventory.publisher),
        values=normalise.publisher_of, allow="publishers_allow", deny="publishers_deny", reason=NoBid.PUBLISHER,
        item=shapes.Publisher, about="the exchange's id of the publisher: `815` on any exchange, `demo/815` on one",
    ),
    Field(
        name="seller", part=Part.INVENTORY, reads=(inventory.sellers,), values=normalise.sender_of,
        deny_values=normalise.names_of_all, allow="sellers_allow", deny="sellers_deny", normal=plain_seller,
        reason=NoBid.SELLER, item=shapes.Seller,
        about="seller in the supply chain: `ssp.example`, or `ssp.example/4711` for one account there; allowed is the "
        "sender of the request, denied anybody in the chain",
    ),
    Field(
        name="category", part=Part.INVENTORY, reads=(inventory.categories,), values=category_and_parents,
        deny_values=perhaps_categories, allow="categories", deny="categories_deny", reason=NoBid.CATEGORY,
        item=shapes.Category, most=500,
        about="IAB Content Taxonomy 1.0, `IAB18` covers `IAB18-3`; exchanges' other taxonomies are translated",
    ),
    Field(
        name="venue", part=Part.INVENTORY, reads=(inventory.venues,), values=normalise.venue_and_parents,
        allow="venues", reason=NoBid.VENUE, item=shapes.Venue, most=500,
        about="OpenOOH venue types of screens out of home: `transit` covers `transit.airports`, `1` covers `101`",
    ),
    Field(
        name="page_path", part=Part.PAGE, reads=("request.site.page",), matches=normalise.path_matches,
        allow="page_paths", normal=normalise.normal_path, reason=NoBid.PAGE_PATH, item=shapes.PathPattern, most=1_000,
        about="glob over the path of the page's URL: `/buty/*`; of an address above 2,048 characters the beginning "
        "counts",
    ),
    Field(
        name="page_keyword", part=Part.WORDS, reads=(inventory.page_text,), values=normalise.phrases,
        allow="page_keywords", deny="page_keywords_deny", normal=normalise.normal_phrase, reason=NoBid.PAGE_KEYWORD,
        item=shapes.Keyword, most=1_000,
        about="words or phrases of the page's URL, title and keywords: whole words, case does not matter",
    ),
    Field(
        name="size", part=Part.IMPRESSION, reads=("offer.shapes",), finds=normalise.fitting_shapes, ads="shapes",
        must_offer=True, reason=NoBid.SIZE, about="formats and sizes that the impression offers",
        shown=normalise.shapes_shown,
    ),
    Field(
        name="position", part=Part.IMPRESSION, reads=("offer.placement",), allow="positions", reason=NoBid.POSITION,
        item=shapes.Position, most=8,
        about="AdCOM placement position: 1 above the fold, 3 below, 4 header, 5 footer, 6 sidebar, 7 full screen",
    ),
    Field(
        name="tag_id", part=Part.IMPRESSION, reads=("imp.tagid",), allow="tag_ids_allow",
        deny="tag_ids_deny", reason=NoBid.TAG_ID, item=shapes.Token,
        about="`tagid`: the exchange's id of the placement",
    ),
    Field(
        name="gpid", part=Part.IMPRESSION, reads=("imp.ext.gpid",), values=normalise.gpid_and_parents,
        allow="gpids_allow", deny="gpids_deny", reason=NoBid.GPID, item=shapes.Token,
        about="global placement id: `/1234/news/top` covers `/1234/news/top#2`, `/1234/news` covers both",
    ),
    Field(
        name="placement_type", part=Part.IMPRESSION, reads=("imp.video.plcmt",), allow="placement_types",
        reason=NoBid.PLACEMENT_TYPE, item=shapes.PlacementType, most=9,
        about="AdCOM video placement: 1 in-stream, 2 accompanying content, 3 interstitial, 4 standalone, ...",
    ),
    Field(
        name="pod_slot", part=Part.IMPRESSION,
        reads=("imp.video.slotinpod", "imp.video.poddur", "imp.audio.slotinpod", "imp.audio.poddur"),
        values=normalise.pod_slots, allow="pod_slots", reason=NoBid.POD_SLOT, item=shapes.PodSlot, most=4,
        about="`slotinpod`, the place that is sold in a pod: 1 the first, -1 the last, 2 the first or the last, 0 any",
    ),
    Field(
        name="pod_break", part=Part.IMPRESSION, reads=("imp.video.podseq", "imp.audio.podseq"), values=normalise.said,
        allow="pod_breaks", reason=NoBid.POD_BREAK, item=shapes.PodBreak, most=3,
        about="`podseq`, the place of the pod in the content: 1 the first break, -1 the last, 0 any",
    ),
    Field(
        name="interstitial", part=Part.IMPRESSION, reads=("imp.instl",), values=normalise.flag,
        allow="interstitial", reason=NoBid.INTERSTITIAL, item=shapes.Flag, most=2,
        about="`instl`: 1 for full-screen impressions, 0 for all others",
    ),
    Field(
        name="rewarded", part=Part.IMPRESSION, reads=("imp.rwdd",), values=normalise.flag, allow="rewarded",
        reason=NoBid.REWARDED, item=shapes.Flag, most=2,
        about="`rwdd`: 1 where the user is rewarded for watching, 0 for all others",
    ),
)  # fmt: skip
"""All fields, in the order in which explanations give their reasons."""

FIELD_BY_NAME = {field.name: field for field in FIELDS}


class Special(NamedTuple):
    """A member of targeting that no field decides: by the clock, by deals, or by what the user's profile says."""

    member: str
    reason: NoBid
    item: Any
    most: int
    about: str
    refers: str = ""


SPECIAL: tuple[Special, ...] = (
    Special(
        "hours_of_week", NoBid.DAYPART, shapes.HourOfWeek, 168,
        "hours of the week in the advertiser's time zone: 0 is Monday 00:00 to 01:00",
    ),
    Special(
        "lists_allow", NoBid.DOMAIN, shapes.Id, 100,
        "reusable lists, whose values join those of the fields of their kind", "lists",
    ),
    Special(
        "lists_deny", NoBid.DOMAIN, shapes.Id, 100,
        "none of these: reusable lists, whose values join those of the fields of their kind", "lists",
    ),
    Special("deals", NoBid.DEAL, shapes.Id, MAX_LIST, "deals; bids only on impressions that offer one", "deals"),
    Special("segments_any", NoBid.SEGMENT, shapes.Id, MAX_LIST, "the user is in one of these segments", "segments"),
    Special("segments_all", NoBid.SEGMENT, shapes.Id, MAX_LIST, "the user is in all of these segments", "segments"),
    Special(
        "segments_none", NoBid.EXCLUDED_SEGMENT, shapes.Id, MAX_LIST, "the user is in none of these segments",
        "segments",
    ),
)  # fmt: skip
