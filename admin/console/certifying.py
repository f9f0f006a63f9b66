"""The checks of a certification in words, and what to do about those that did not pass."""

import re
from collections.abc import Callable
from typing import Final

from admin.console.fields import N_

TITLES: Final = {
    "readiness": N_("The bidder says that it is ready"),
    "no bid below an impossible floor": N_("No bid below a floor that nobody reaches"),
    "no bid on a banner of 17 x 3": N_("No bid on a size that nobody has"),
    "no bid for a seat that is not invited": N_("No bid for a seat that is not invited"),
    "400 on half a request": N_("Half a request is refused"),
    "400 on no JSON at all": N_("What is no JSON is refused"),
    "no bid without an impression": N_("No bid without an impression"),
    "requests after a malformed one are answered": N_("After a broken request the next one is answered"),
    "blocked advertisers stay away": N_("Blocked advertisers stay away"),
    "unknown members are tolerated": N_("Members that nobody knows do no harm"),
    "the test ends in time": N_("The test ends in time"),
    "the connection stays open": N_("The connection stays open"),
    "twenty answers in a row are in time": N_("Twenty answers in a row are in time"),
    "bids of an answer have ids of their own": N_("Bids of one answer have ids of their own"),
}
_FORMATS: Final = {
    "display": N_("display"), "native": N_("native"), "video": N_("video"), "audio": N_("audio"),
}  # fmt: skip
_WAITED_FOR: Final = re.compile("(?<=while it waited for: ).+")
_SAMPLE: Final = re.compile(r"(\w+)(?: (\d+)|: bids)")


def title_of(name: str, translate: Callable[[str], str]) -> str:
    """The name of a check, in the visitor's language; a check that is new keeps its own."""
    sample = _SAMPLE.fullmatch(name)
    if sample is None or sample[1] not in _FORMATS:
        return translate(TITLES.get(name, name))
    what = translate(N_("The answer to a sample keeps all rules") if sample[2] else N_("A sample is bid on"))
    return f"{what}: {translate(_FORMATS[sample[1]])} {sample[2] or ''}".rstrip()


def detail_of(detail: str, translate: Callable[[str], str]) -> str:
    """What came of a check, in the visitor's language; of several broken rules, each by itself."""
    pieces = (_WAITED_FOR.sub(lambda name: title_of(name[0], translate), piece) for piece in detail.split("; "))
    return "; ".join(map(translate, pieces))


def advice_of(name: str, outcome: str, detail: str) -> str:
    """What to do about a check, to be translated; "" where it has passed."""
    if outcome == "passed":
        return ""
    if outcome != "failed":
        if name.endswith(": bids"):
            return N_(
                "Needs an active line item without an audience, with a creative of this format and a budget; "
                "without ads of it nothing is to be done."
            )
        return N_("Could not be asked: samples that are bid on come first.")
    statuses = (
        ("status 404", N_("The bidder does not know the exchange yet: wait some seconds, then run it again.")),
        ("status 403", N_("The exchange may send from its own networks alone: this machine is none of them.")),
        (
            "status 401",
            N_("The token or header of the exchange has just changed: wait some seconds, then run it again."),
        ),
        ("status 429", N_("More requests a second than the exchange's bound: raise the bound, or run it later.")),
    )
    if found := next((advice for mark, advice in statuses if detail.startswith(mark)), ""):
        return found
    if detail.startswith(("late", "slowest")):
        return N_("The machine is too busy: see what needs attention, and run it again when it is calm.")
    if name == "the test ends in time" or "no answer after" in detail:
        return N_("The bidder hangs or is too slow: see its log, start it again, then run the test again.")
    if name == "readiness":
        return N_("See what needs attention: it says what the bidder waits for.")
    return N_("A fault of the bidder: send request and answer, which are beside this, to who looks after it.")
