"""What the API, the doctor and explanations say, in the console's languages."""

import re
from collections.abc import Iterator
from typing import Final

import pytest

from admin.console.certifying import TITLES
from admin.console.sayings import SAYINGS
from admin.console.words import Words, catalogue, words_of
from admin.diagnosis.findings import Severity
from admin.diagnosis.told import TOLD
from segments.rules.happenings import SOURCES
from segments.rules.vocabulary import FACTS, fact_named, names
from tests.kit.fixtures import REPOSITORY
from tests.kit.said_texts import FILLED, Said, modules, said_in

SAID_TO_PEOPLE: Final = modules(
    *(f"segments/rules/{name}.py" for name in ("check", "errors", "lexer", "parser", "vocabulary", "happenings")),
    "segments/audiences",
    "bidder/diagnosis/consent_words.py",
    *(f"bidder/openrtb/consent/{name}.py" for name in ("permission", "tcf")),
    "bidder/diagnosis/explain.py",
    "bidder/diagnosis/near_misses.py",
    "bidder/request/consent.py",
    "pacing/caps.py",
    "pacing/notices/loss_codes.py",
    *(path for path in modules("admin/diagnosis") if not path.endswith("told.py")),
    "admin/validation",
    "admin/reviews",
    "admin/console/pages",
    *(f"admin/console/{name}.py" for name in ("app", "browser", "desk", "entering", "fields", "modifiers")),
    *(
        f"admin/api/{name}.py"
        for name in ("checks", "explanations", "listing", "password_links", "reading", "sessions")
    ),
    *(f"creatives/formats/{name}.py" for name in ("banner", "landing", "native", "spot_check", "table")),
    "creatives/feeds",
    "creatives/templates/library.py",
    "core/money.py",
    "journal/questions.py",
    *(f"admin/reports/{name}.py" for name in ("desk", "inviting", "saved")),
    *(f"loadtest/judging/{name}.py" for name in ("checks", "native", "spots")),
    "loadtest/running/certify.py",
)
"""Modules whose messages the console shows."""

SAID_OF_IMPRESSIONS: Final = modules("bidder/request/validate.py", "bidder/openrtb/formats")
"""Modules whose messages stand behind the place in a bid request."""

WHOLE: Final = (
    "it can be compared with =, !=, in, <, >",
    "it can be compared with =, != and in (a, b)",
    "it can be compared with =, in (a, b), contains and like",
    'did you mean "a" or "b"?',
    "a product of a brand was bought",
    "a product at a price was viewed",
    "a product with a margin label was put in the cart and is still there",
    "there is no consent string in the request",
    "there is no consent string in the GPP string, or it cannot be read",
    "the consent string does not permit purposes 1, 7",
    "the consent string does not permit purpose 7",
    "it is Monday 7 in 7, next targeted Tuesday 7",
    "it is Sunday 7 in 7, and no hour is targeted",
    "now (Friday 7 in 7) is outside its hours of the week",
    "wants 7 or lists 7 and denies 7, request does not say",
    "wants one of 7 and all of 7, 7 and 7 more, user is in none",
    "line item cap 7 of 7 in 7 h, free again at 7",
    "budget share cap 7 of 7 in 7 d",
    "campaign cap 7 of 7 video impressions in 7 h, free again at 7",
    "campaign cap 7 of 7 in 7 d",
    "advertiser cap 7 of 7 in 7 d, free again at 7",
    "budget share 7 of the total budget 7 of 7 7 spent, 7 left",
    "general share of the daily budget 7 of 7 7 spent",
    "line item total budget 7 of 7 impressions spent",
    "nothing is left to spend: campaign budget 7 of 7 7 spent",
    "line item 7 is paused, campaign 7 is archived",
    "none of 7 active line items can deliver; the first is line item 7 '7', budget: no budget limits it",
    "nobody is in its audience now: segment 7 has 7 users, segment 7 has 7 users",
    "start it; see its log; `grosz up` starts a dead role again by itself",
    "the exchange rates are of 7 (7): 7 days old",
    "1 bidder process runs version 7",
    "7 bidder processes run version 7",
    "7: 7 % of 7 prices in notices are unreadable (7), and each charges the bid",
    "7: 7 % of 7 prices in notices are unreadable (7), and each charges what the house rule says",
    "feed 7 was never loaded",
    "feed 7: the feed is empty; 7 products stay",
    "feed 7 was loaded 7 hours ago",
    "they are rewritten in hot layout 7: 7, 7 of about 7; bidders read the one before as well",
    (
        "changed segment rules are brought to them: done, all 7; rules mean something else in this release, and all "
        "audiences change at 7 UTC"
    ),
    "the campaign's budget is below the price of one impression (7): nothing can be bought",
    "the campaign's end has passed: nothing can be bid",
    "the end has passed: nothing can be bid",
    "the campaign's start is still to come",
    "the start is still to come",
    "7 bids for 7 impressions, none reported as won (7 lost to a higher bid, 7 below the auction floor)",
    "no bid: on 7 of 7 impressions price is below the floor",
    "GDPR applies (the country is inside) and the consent string is not for this service alone",
    "the consent string cannot be read: it has 7 characters: a string has 7 to 7",
    "the consent string cannot be read: it ends at bit 7, inside the fixed part",
    "status missing: no answer after 7 s",
    "asset 7 has no picture",
    "asset 7 is smaller than 7x7",
    "asset 7 has no text",
    "asset 7 has 7 characters of 7",
    "the markup is no VAST: a document type",
)
"""Texts that code puts together of pieces, as they are said."""

PIECES: Final = frozenset(
    {
        "=, != and in (a, b)",
        "=, in (a, b), contains and like",
        "did you mean ",
        "was viewed",
        "was bought",
        "was put in the cart and is still there",
        "the consent string does not permit 7 7",
        "there is no consent string 7",
        "in the request",
        "in the GPP string, or it cannot be read",
        "it is 7 in 7",
        "7, next targeted 7",
        "7, and no hour is targeted",
        ", free again at 7",
        "budget share",
        "budget share 7",
        "general share",
        "7 of the total budget",
        "7 of the daily budget",
        "7 7 impressions spent",
        "line item 77, 7",
        "the campaign's budget is ",
        "7below the price of one impression (7): nothing can be bought",
        "the campaign's ",
        "7end has passed: nothing can be bid",
        "7start is still to come",
        "Redis is not available: ",
        "there is no 7 '7'",
        "cart.stage >= form and ",
        "half a request",
        "7; the bidder hangs or is too slow: see its log, start it again",
        "no JSON at all",
        "missing: no answer after 7 s",
        "has no picture",
        "is smaller than 7x7",
        "has no text",
        "has 7 characters of 7",
    }
)
"""Pieces of those."""

NOT_SAID: Final = re.compile(
    r"%[sd]|^[A-Z].*\.$|default-src|-src |https?:|<|^attachment|allow-|redis\.call|position:|font:|max-age|sandbox"
    r"|frame-ancestors|base-uri|form-action|^\(function|^of length$|^matching regex$|^Invalid enum value$|^gzip, "
    r"|^Grosz/|^Mozilla/"
    r"|template\.json|POST /v1/login$|^[a-z]\w+(?: [a-zA-Z_\u0080-\uffff]+)+_|prix|marque|rozmiar|couleur|marza"
    r"|disponibilit|waluta|płeć|adres_url|nazwa"
)
"""Strings for browsers, for Redis, for operators, and for matching: names of columns that feeds have."""

FOR_PROGRAMS: Final = frozenset(
    {
        "a whole ad",
        "noindex, nofollow, noarchive",
        "an address with macros",
        "one page for many ads",
        "says how a feed is read",
        "may be a whole image",
        "webhooks are few, and read whole",
        "exchanges are few, and read whole",
        "changes without a change of the object",
        "made for each answer",
        "password link",
        "forgotten password",
        "setup link",
        "none of these: 7",
        "the template 7 cannot be used",
        "7 is no file",
        "7 has more than 7 KiB",
        "7 cannot be read: 7",
        "the folder of templates 7 cannot be read: 7",
        "7 and 7 do not add up: convert one of them first",
        "is of version 7: only version 7 is read",
        "has a range of vendors that ends at 7, before its start at 7",
        "an answer of more than 7 bytes",
        "line item 7 is not in the catalogue",
        "line item 7 is not active",
        "line item 7 is outside its flight",
        "line item 7 rests on a profile that the request does not permit",
        "no line item of campaign 7 has creative 7",
    }
)
"""Why a column has no filter, names of tokens, what the folder of templates says when a role starts, faults that a
string or an answer has where it is decoded whole or judged by a catalogue."""


@pytest.mark.parametrize(
    ("english", "polish"),
    [
        ("the bid must be above zero", "stawka musi być większa od zera"),
        ("'landing_url' is missing", "brakuje pola „landing_url”"),
        ("there is no field 'nmae'", "nie ma pola „nmae”"),
        ("'x' is not one of the allowed values", "'x' nie jest jedną z dozwolonych wartości"),
        ("expected `int`, got `str`", "wymagany typ `int`, podano `str`"),
        ("there is no line item 7", "nie ma obiektu: linia 7"),
        (
            "at this bid about 40% of the daily budget can be spent: pacing does not hold it back",
            "przy tej stawce da się wydać około 40% budżetu dziennego: tempo go nie ogranicza",
        ),
        (
            "line item cap 2 of 2 native impressions in 24 h",
            "limit linii 2 z 2 wyświetleń w formacie „reklama natywna” w 24 h",
        ),
        ("this is not JSON: a\nb", "to nie jest JSON: a\nb"),
        ("nobody has ever said this", "nobody has ever said this"),
        ("", ""),
    ],
)
def test_a_text_of_the_api_is_said_in_polish_with_its_parts(english: str, polish: str) -> None:
    assert words_of("pl").text(english) == polish
    assert words_of("en").text(english) == english


def test_a_part_that_is_a_text_itself_is_translated_too() -> None:
    shown = words_of("pl").text("no bid: on 7 of 9 impressions price is below the floor")
    assert shown == "bez oferty: 7 z 9 wyświetleń, powód: cena jest poniżej ceny minimalnej"


@pytest.mark.parametrize(
    ("english", "polish"),
    [
        ('line 1, column 8: there is no fact "campain"', "wiersz 1, kolumna 8: nie ma faktu „campain”"),
        ("campaign is a moment: say how long ago", "campaign to moment: powiedz, jak dawno temu"),
        ("wants POL or lists 4, 5, request DEU", "wymaga: POL albo listy 4, 5, zapytanie: DEU"),
        ("line item daily budget 5.00 of 5.00 PLN spent", "budżet dzienny linii: wydano 5.00 z 5.00 PLN"),
        ("line item 5 is paused, campaign 3 is paused", "linia 5: wstrzymano, kampania 3: wstrzymano"),
    ],
)
def test_parts_that_somebody_wrote_stay_as_they_are(english: str, polish: str) -> None:
    assert words_of("pl").text(english) == polish


def left_over(text: str) -> str:
    """What of a text stays English in every other language: parts in quotes and code are nobody's language."""
    shown = _EMPTY.text(text)
    return re.sub(r"\"[^\"]*\"|`[^`]*`|'[^']*'", "", shown)


# A language in which every text is a dot and its parts: what is left of a text is what no saying has.
_EMPTY: Final = Words("pl", {one: "·" + "·".join(re.findall(r"(?<!\$)\{\w+\}", one)) for one in catalogue("pl")})
_ENGLISH: Final = re.compile(r"[a-z]{2,}[,:;.]? [a-z]{2,}")


def all_said() -> Iterator[Said]:
    for path in SAID_TO_PEOPLE:
        yield from said_in(path)
    for path in SAID_OF_IMPRESSIONS:
        yield from (Said(place, f"/imp/0: {text}") for place, text in said_in(path))


def test_every_message_that_the_console_can_show_has_words_in_each_language() -> None:
    aside = PIECES | FOR_PROGRAMS | TITLES.keys()
    said = [one for one in all_said() if one.text not in aside and not NOT_SAID.search(one.text)]
    assert len(said) > 500
    assert [one for one in said if _ENGLISH.search(left_over(one.text))] == []


def test_messages_of_pieces_are_translated_whole() -> None:
    assert [text for text in WHOLE if _ENGLISH.search(left_over(text))] == []
    found = {one.text for path in SAID_TO_PEOPLE for one in said_in(path)}
    assert sorted(PIECES - found) == []


def test_areas_of_the_doctor_have_words() -> None:
    areas = {
        code.partition(".")[0].replace("_", " ") for code, told in TOLD.items() if told.severity is not Severity.OK
    }
    assert {"budget", "exchanges", "last hour"} <= areas
    assert sorted(areas - catalogue("pl").keys()) == []


def test_what_rules_can_ask_is_told_in_words() -> None:
    summaries = [fact.summary for name in names() if (fact := fact_named(name))]
    summaries += [source.summary for source in SOURCES.values()]
    assert len(FACTS) > 40
    assert [one for one in summaries if _ENGLISH.search(left_over(one))] == []


def test_a_message_that_nobody_translated_is_found() -> None:
    assert _ENGLISH.search(left_over("the moon is full"))
    assert _ENGLISH.search(left_over(f"write the moon in UTF-8, {FILLED}"))


def test_no_saying_is_there_twice() -> None:
    assert len(SAYINGS) == len(set(SAYINGS))


def test_templates_translate_the_messages_that_they_show() -> None:
    """A message that stands in a page as it came is English on every page."""
    shown = re.compile(r"\{\{ [\w.\[\]0]+\.(?:text|hint|message|detail|advice|note|problem|title|summary) \}\}")
    folder = REPOSITORY / "admin" / "console" / "templates"
    found = {path.name: shown.findall(path.read_text()) for path in folder.glob("*.html")}
    # Of a feed; said before.
    named = {"shop.html": ["{{ product.title }}"], "charts.html": ["{{ one.title }}"] * 3}
    assert {name: texts for name, texts in found.items() if texts} == named
    assert shown.search("{{ loss.text }}")
    assert not shown.search("{{ _(loss.text) }}")
