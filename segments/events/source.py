"""Where a visit came from: campaign parameters of the landing page first, then the referrer."""

import urllib.parse
from typing import Final

from segments.facts.event import Source

# Search engines and the query parameter that carries the phrase; most send none nowadays, some still do.
_SEARCH_ENGINES: Final = {
    "google": "q", "bing": "q", "duckduckgo": "q", "yahoo": "p", "yandex": "text", "ecosia": "q", "qwant": "q",
    "seznam": "q", "onet": "qt", "szukaj": "q",
}  # fmt: skip
_SOCIAL: Final = {
    "facebook": "facebook", "fb": "facebook", "instagram": "instagram", "t.co": "x", "twitter": "x", "x.com": "x",
    "linkedin": "linkedin", "lnkd": "linkedin", "pinterest": "pinterest", "tiktok": "tiktok", "youtube": "youtube",
    "reddit": "reddit", "wykop": "wykop",
}  # fmt: skip
_CLICK_IDS: Final = {"gclid": ("google", "cpc"), "msclkid": ("bing", "cpc"), "fbclid": ("facebook", "social")}
_MAX_CHARS: Final = 80
# The parameters that are kept of an address that is too long: those that `source_of` reads. Only the first _MAX_READ
# characters are searched for them, and values are cut as they would be anyway.
_KEPT: Final = frozenset(
    {"utm_source", "utm_medium", "utm_campaign", "utm_term", *_CLICK_IDS, *_SEARCH_ENGINES.values()}
)
_MAX_KEPT_VALUE: Final = 160
_MAX_READ: Final = 65_536


def path_of(url: str, limit: int = 120) -> str:
    """Path of a URL without query and fragment, percent-decoded, cut at `limit` characters; '' if there is none."""
    try:
        path = urllib.parse.urlsplit(url).path
    except ValueError:  # "http://[": a broken IPv6 address
        return ""
    return urllib.parse.unquote(path)[:limit]


def shortened(url: str, limit: int) -> str:
    """A URL within `limit` characters: of a longer one the query keeps only what says where the visit came from."""
    if len(url) <= limit:
        return url
    address, _, rest = url.partition("?")
    kept = {name: value[:_MAX_KEPT_VALUE] for name, value in _query(f"?{rest[:_MAX_READ]}").items() if name in _KEPT}
    query = urllib.parse.urlencode(kept)
    if not query or len(query) >= limit:
        return url[:limit]
    return f"{address.partition('#')[0][: limit - len(query) - 1]}?{query}"


def host_of(url: str) -> str:
    """Host name of a URL in lower case without "www."; '' if there is none."""
    try:
        host = urllib.parse.urlsplit(url).hostname or ""
    except ValueError:
        return ""
    return host.removeprefix("www.")


def source_of(url: str, referrer: str, own_domain: str) -> Source | None:
    """How a page was reached; None when it was reached from the shop's own pages or nothing is known.

    `own_domain` covers its subdomains; without it the page's own host stands for the shop.
    """
    query = _query(url)
    if query.get("utm_source"):
        return Source(
            _clean(query["utm_source"]),
            _clean(query.get("utm_medium", "")),
            _clean(query.get("utm_campaign", "")),
            _clean(query.get("utm_term", "")),
            explicit=True,
        )
    for parameter, (name, medium) in _CLICK_IDS.items():
        if parameter in query:
            return Source(name, medium, explicit=True)
    host = host_of(referrer)
    if not host:
        return None
    own = own_domain.removeprefix("www.") or host_of(url)
    if own and (host == own or host.endswith("." + own)):
        return None
    return _from_referrer(host, referrer)


def _from_referrer(host: str, referrer: str) -> Source:
    labels = host.split(".")
    for name, parameter in _SEARCH_ENGINES.items():
        if name in labels[:-1]:
            return Source(name, "organic", phrase=_clean(_query(referrer).get(parameter, "")))
    for mark, name in _SOCIAL.items():
        if host == mark or mark in labels[:-1]:
            return Source(name, "social")
    return Source(host[:_MAX_CHARS], "referral")


def _query(url: str) -> dict[str, str]:
    try:
        # 100 fields: a landing page has a handful; the bound stops a hostile URL.
        return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query, max_num_fields=100))
    except ValueError:
        return {}


def _clean(text: str) -> str:
    return " ".join(text.split()).lower()[:_MAX_CHARS]
