"""Texts of other parts that the console shows, so that they can be translated: those at forms here, others in `said`.

The API, the doctor and explanations speak English. A part in braces stands for what they put there: a name, a number, a
value. `tests/unit/admin/console/test_sayings.py` finds the texts in their code and holds these tables complete.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from admin.console.fields import N_
from admin.console.said import ads, answers, certification, doctor, feeds, refusals, rules
from admin.diagnosis.told import TEXTS
from admin.reports.inviting import QUESTION, SUBJECT

_OF_FORMS: Final = (
    N_("or"),
    N_("and"),
    N_("the input is not valid"),
    N_("'{field}' is missing"),
    N_("there is no field '{field}'"),
    N_("did you mean '{field}'?"),
    N_("{value} has the wrong form"),
    N_("{value} is not one of the allowed values"),
    N_("at least {count} characters are needed"),
    N_("at most {count} characters are allowed"),
    N_("at least {count} entries are needed"),
    N_("at most {count} entries are allowed"),
    N_("the least is {least}"),
    N_("the most is {most}"),
    N_("expected `{wanted}`, got `{given}`"),
    N_("Absolute http or https URL."),
    N_("http, https or data URL of an image."),
    N_("Name for people. for example 'Autumn'"),
    N_("ISO 4217 code. for example 'PLN'"),
    N_("Decimal number with six decimals at most. for example '12.50'"),
    N_("Seconds, a year at most."),
    N_("Name in the bid URL. for example 'demo'"),
    N_(
        "Where bid requests have the id that cookie sync binds: ifa, eids:SOURCE or data:PROVIDER. for "
        "example 'eids:ssp.example'"
    ),
    N_("Instead of a URL: an address that has agreed to mails of this advertiser."),
    N_("write an amount like 12.50"),
    N_("write a whole number"),
    N_("write a date and time like 2026-11-30 18:00"),
    N_(
        "write caps like 12/1d, 3/1h video: impressions, then days, hours, minutes or seconds; then banner, native, "
        "video or audio where one format alone counts"
    ),
    N_("this is not JSON: {fault}"),
    N_("JSON is malformed: {fault} (byte {count})"),
    N_("Input data was truncated"),
    N_("invalid character"),
    N_("invalid number"),
    N_("trailing characters"),
    N_("expected {wanted}"),
    N_("object keys must be strings"),
    N_("the end is not after the start"),
    N_("the time lies outside of 2000 to 2100"),
    N_("'{zone}' is not a time zone"),
    N_("for example Europe/Warsaw"),
    N_("money is counted exactly up to {most} only"),
    N_("for no limit, set null"),
    N_("the bid must be above zero"),
    N_("to stop bidding, pause the line item"),
    N_("the maximum CPM must be above zero"),
    N_("the minimum CPM is above the maximum"),
    N_("the shares add up to more than 100 percent"),
    N_("two shares name the same segment"),
    N_("a creative is named twice"),
    N_("two caps have the same window"),
    N_("two caps of one format have the same window"),
    N_("exchanges want the advertiser's domain with every bid"),
    N_("there is no {kind} {id}"),
    N_("{field} cannot change after creation"),
    N_("copy the object instead"),
    N_("the advertiser's currency is {own}, this amount says {named}"),
    N_("leave it out"),
    N_("a banner has one of html, frame_url, image_url and template"),
    N_("set one of the four"),
    N_("the markup does not count clicks"),
    N_('link to "{macro}"'),
    N_("a banner has a width and a height in pixels"),
    N_("set both"),
    N_("not a URL"),
    N_("only http and https URLs are called"),
    N_("a host without user name and password is needed"),
    N_("a webhook has a URL or a mail address, not both"),
    N_("make two webhooks"),
    N_("is no mail address"),
    N_("addresses are kept in lower case"),
    N_("write {address}"),
    N_("encrypted prices need the key"),
    N_("the exchange's support gives it"),
    N_("this encryption needs the integrity key too"),
    N_("{kind} {id} was changed by somebody else"),
    N_("read it again and repeat your change"),
    N_("{kind} {id} is archived"),
    N_("copy it to use it again"),
    N_("somebody else has just taken the same key, address or id"),
    N_("there is no change to take back"),
    N_("archiving cannot be taken back"),
    N_("copy the object to use it again"),
    N_("this needs the scope '{scope}'"),
    N_("this needs access to all advertisers"),
    N_("ask an administrator for it"),
    N_("ask an administrator"),
    N_("the form's token is missing or old"),
    N_("load the page again, then send the form"),
    N_("load the page again"),
    N_("there is no such page"),
    N_("go back to the overview"),
    N_("too many requests"),
    N_("the account rests"),
    N_("the address or the password is wrong"),
    N_("after five failures the account rests"),
    N_("this is not your password"),
    N_("the database does not answer"),
    N_("choose an advertiser"),
    N_("or make a new one here"),
    N_("choose an advertiser first"),
    N_("choose a creative and an exchange"),
    N_("there is no such audience"),
    N_("choose one of the list"),
    N_("write the size of the ad like 300x250"),
    N_("no row is chosen"),
    N_("tick the rows that shall change, then press the button"),
    N_("a new advertiser has no traffic yet"),
    N_("there is no forecast before the advertiser has an ad of this size"),
    N_("start the campaign, then look at its forecast"),
    N_("come back when its campaign has run"),
    N_("the report says nothing yet"),
    N_("choose at least one figure"),
    N_("the {kind} is paused"),
    N_("resume it when it is ready"),
    N_("the advertiser does not bid"),
    N_("resume the advertiser"),
    N_("the advertiser's balance is zero: nothing can bid"),
    N_("raise it, or set null for credit"),
    N_("the budget is zero: nothing can be bought"),
    N_("raise it"),
    N_("the campaign does not bid"),
    N_("resume the campaign"),
    N_("there is no creative: nothing can be shown"),
    N_("add one"),
    N_("no creative is active: no size can be filled"),
    N_("resume one, or name another"),
    N_("no creative is of the format {format}: the cap has no effect"),
    N_("name a format of its creatives"),
    N_("the creative is archived"),
    N_("remove it"),
    N_("it has no category that can be checked: publishers who block or allow categories refuse it"),
    N_("say what it advertises, for example IAB18-3"),
    N_("below the price of one impression ({price}): nothing can be bought"),
    N_("raise the budget"),
    N_("the day's budget is above the total"),
    N_("lower it"),
    N_("the bid is above max_cpm and will be cut to it"),
    N_("raise max_cpm"),
    N_("the bid is below min_cpm: nothing can be bid"),
    N_("lower min_cpm"),
    N_("a segment is both wanted and excluded: nobody can match"),
    N_("remove it from one of the lists"),
    N_("segment {name} has nobody in it now"),
    N_("see the tag's health"),
    N_("the end has passed: nothing can be bid"),
    N_("move the end"),
    N_("the start is still to come"),
    N_("wait, or move it"),
    N_("at this bid about {share} of the daily budget can be spent: pacing does not hold it back"),
    N_("an address begins with http://: https pages, which are nearly all, do not load it, and get no bid"),
    N_("serve it by https, or upload it"),
    N_("the landing page is on {landing}, the advertised domain is {own}: reviewers reject that"),
    N_("name the domain that the click ends at"),
    N_("this address has not agreed to mails of the advertiser itself: it gets them only if it wants all"),
    N_("ask it: Saved reports in the console, or /v1/reports/recipients"),
    N_("{fault}: it is called only where worker.private_webhooks is set"),
    N_("lies in a private network"),
    N_("use an https address that the internet can reach"),
    N_("the bidder does not answer"),
    N_("it took too long and was ended"),
    N_("the bidder is not on this machine"),
    N_("run grosz certify beside it"),
    N_("the exchange is paused: the bidder does not answer it"),
    N_("resume it first"),
    N_("a certification runs already"),
    N_("wait for its end, a minute at most"),
    N_("no loss notice"),
)

SAYINGS: Final = (
    *_OF_FORMS, *TEXTS, *rules.SAYINGS, *answers.SAYINGS, *doctor.SAYINGS, *feeds.SAYINGS, *ads.SAYINGS,
    *refusals.SAYINGS, *certification.SAYINGS, SUBJECT, QUESTION,
)  # fmt: skip

_PART: Final = re.compile(r"\{(\w+)\}")

_NUMBERS: Final = frozenset(
    {
        "all",
        "bid",
        "bids",
        "budget",
        "clicks",
        "column",
        "count",
        "floor",
        "id",
        "impressions",
        "left",
        "line",
        "more",
        "percent",
        "seconds",
        "spent",
        "version",
        "wins",
    }
)
"""Parts of these names are numbers."""

_NUMBER: Final = "[0-9][0-9,.]*"

_VERBATIM: Final = frozenset(
    {"dialect", "fact", "field", "key", "name", "other", "rule", "url", "verb", "where", "word"}
)
"""Parts of these names are what somebody has written, or code: a fact that is called `campaign` keeps its name."""

_LISTS: Final = frozenset({"denied", "losses", "wanted", "words"})
"""Parts of these names are lists, of which each element is said by itself, behind its number where it has one."""

_COUNT: Final = re.compile(r"[0-9]+ (?=.)", re.DOTALL)
_BETWEEN: Final = re.compile(r"(, | or | and )")

# A finding has a line item's finding in it, that a budget, that an amount.
_DEEPEST: Final = 5


class Sayings:
    """Sayings with parts, and how one language says them."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts
        # Those that say most come first: "segment 7 has 3 users" also has the form "{kind} has {count} users".
        known = sorted((one for one in SAYINGS if "{" in one and one in texts), key=_said_by_itself, reverse=True)
        self._forms = [(*_ends(saying), _form(saying), texts[saying]) for saying in known]

    def said(self, text: str) -> str:
        """The text in this language, and those of its parts that are texts too; itself where no saying has its form."""
        return self._said(text, _DEEPEST)

    def filled(self, saying: str, parts: Mapping[str, str | int]) -> str:
        """A saying in this language with its parts, of which those that are texts are translated too."""
        texts = {name: str(part) for name, part in parts.items()}
        return "".join(self._filled(self._texts.get(saying, saying), texts, _DEEPEST))

    def _said(self, text: str, deeper: int) -> str:
        shown = self._known(text, deeper)
        if shown is not None:
            return shown
        pieces = [self._known(piece, deeper) for piece in text.split(", ")] if deeper else []
        return ", ".join(piece for piece in pieces if piece is not None) if pieces and None not in pieces else text

    def _known(self, text: str, deeper: int) -> str | None:
        exact = self._texts.get(text)
        if exact is not None or not deeper:
            return exact
        for begin, end, form, translated in self._forms:
            if text.startswith(begin) and text.endswith(end) and (found := form.fullmatch(text)):
                return "".join(self._filled(translated, found.groupdict(), deeper - 1))
        return None

    def _filled(self, translated: str, found: Mapping[str, str], deeper: int) -> Iterator[str]:
        for at, piece in enumerate(_PART.split(translated)):
            if at % 2 == 0 or piece in _VERBATIM:
                yield found[piece] if at % 2 else piece
            elif piece in _LISTS:
                yield self._listed(found[piece], deeper)
            else:
                yield self._said(found[piece], deeper)

    def _listed(self, text: str, deeper: int) -> str:
        shown = self._known(text, deeper)
        return shown if shown is not None else "".join(self._elements(text, deeper))

    def _elements(self, text: str, deeper: int) -> Iterator[str]:
        for at, piece in enumerate(_BETWEEN.split(text)):
            if at % 2 == 0:
                count = _COUNT.match(piece)
                number = count[0] if count else ""
                yield number + self._said(piece.removeprefix(number), deeper)
            else:
                yield piece.replace(piece.strip(), self._texts.get(piece.strip(), piece.strip()))


def _said_by_itself(saying: str) -> int:
    return len(_PART.sub("", saying))


def _ends(saying: str) -> tuple[str, str]:
    """How a text of the form begins and ends: asked first, since most texts have none of the forms."""
    pieces = _PART.split(saying)
    return pieces[0], pieces[-1]


def _form(saying: str) -> re.Pattern[str]:
    """What a saying matches. Parts are as short as can be: a saying has few of them, and texts are short."""
    written: list[str] = []
    known: set[str] = set()
    for at, piece in enumerate(_PART.split(saying)):
        if at % 2 == 0:
            written.append(re.escape(piece))
        elif piece in known:
            written.append(f"(?P={piece})")
        else:
            written.append(f"(?P<{piece}>{_NUMBER if piece in _NUMBERS else '.+?'})")
            known.add(piece)
    return re.compile("".join(written), re.DOTALL)
