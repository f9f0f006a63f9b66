"""What is to be done, for people in a browser: other texts name commands and files, for which the console has pages."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from admin.console.fields import N_
from admin.console.words import Words
from admin.diagnosis.findings import Finding
from admin.diagnosis.told import TOLD


class Cure(NamedTuple):
    """What to do, and the page where it is done: its label and path, "" where there is none.

    `parts` fill in what stands in braces in `text`; None: it was said with everything in it.
    """

    text: str
    link: str = ""
    path: str = ""
    parts: Mapping[str, str | int] | None = None

    def said(self, words: Words) -> str:
        """The text in the language of the words."""
        return words.text(self.text) if self.parts is None else words.said(self.text, self.parts)


_SHOP: Final = "/advertisers/{advertiser}/shop"
_ADD_RATE: Final = Cure(N_("add the rate"), N_("Exchange rates"), "/rates")
_EXCHANGES: Final = Cure("", N_("Exchanges"), "/exchanges")
_EXPLAIN: Final = Cure("", N_("Explain a request"), "/explain")
_UNSAID: Final = Cure("")

CURES: Final[Mapping[str, Cure]] = {
    "audience.empty": Cure(
        N_("people come and leave, as buyers do; if nobody comes, check that the shop's pages send events, and "
           "the segment's rule"),
        N_("Tags, segments, products"), _SHOP),
    "exchange_rates.old": _ADD_RATE,
    "exchanges.no_request": Cure(N_("have an exchange send them"), N_("Exchanges"), "/exchanges"),
    "exchanges.none_active": Cure(N_("add one, or resume one"), N_("New exchange"), "/exchanges/new"),
    "last_hour.no_size": Cure(
        N_("add creatives in the sizes that are asked for; most common are {sizes}"), N_("New creative"),
        "/creatives/new"),
    "last_hour.nothing_offered": _EXCHANGES,
    "line_items.none_active": Cure(
        N_("make one, or resume one with its campaign and advertiser"), N_("New campaign"), "/start"),
    "prices.unknown_currency": _ADD_RATE,
    "problem.feed_is_loading": Cure(N_("wait for it"), N_("Feeds"), "/feeds"),
    "problem.no_such_exchange": _EXCHANGES,
    "problem.no_such_object": _UNSAID,
    "products.feed_failed": Cure("", N_("Runs"), "/feeds/{id}/runs"),
    "products.ids_unknown": Cure(N_("such as {words}"), N_("Tags, segments, products"), "/advertisers/{id}/shop"),
    "products.no_feed": Cure(N_("ads then show no products"), N_("New feed"), "/feeds/new"),
    "reason.currency": _ADD_RATE,
    "reason.invalid_impression": _ADD_RATE,
    "reason.nobody_bids": _EXPLAIN,
    "reason.not_approved": Cure(
        N_("pending, rejected with a reason, or expired"), N_("Approvals"), "/approvals"),
    "reason.not_targeted": _EXPLAIN,
    "reason.unknown_exchange": Cure(N_("check the key in the bid address"), N_("Exchanges"), "/exchanges"),
    "warning.no_rate": _ADD_RATE,
    "warning.not_agreed": Cure(N_("ask it"), N_("Saved reports"), "/reports/saved"),
    "warning.segment_empty": Cure("", N_("Tags, segments, products"), _SHOP),
}  # fmt: skip
"""Code of an advice -> what it means in the console. An advice without a cure is said here as everywhere.

Codes are those of findings, and `reason.NAME` (of a reason without a bid), `warning.CODE` and `problem.CODE`.
"""


def cure_of(
    code: str, advice: str, advertiser_id: int | None = None, parts: Mapping[str, str | int] | None = None
) -> Cure:
    """What an advice means in the console; itself where it has no cure.

    A page of an advertiser is linked to where it is known which.
    """
    cure = CURES.get(code)
    if cure is None:
        return Cure(advice, parts=parts)
    filled = {"advertiser": advertiser_id} | dict(parts or {})
    is_known = filled["advertiser"] is not None or "{advertiser}" not in cure.path
    path = cure.path.format_map(filled) if is_known else ""
    return Cure(cure.text, cure.link if path else "", path, parts or {})


def cure_of_finding(finding: Finding, advertiser_id: int | None = None) -> Cure:
    """What the advice of a finding means in the console."""
    told = TOLD.get(finding.advice_code)
    if told is None and finding.advice_code not in CURES:
        return Cure(finding.advice)
    return cure_of(finding.advice_code, told.advice if told else "", advertiser_id, finding.parts)


def finding_text(finding: Finding, words: Words) -> str:
    """What was found, in the language of the words."""
    told = TOLD.get(finding.code)
    text = words.text(finding.text) if told is None else words.said(told.text, finding.parts)
    if not finding.more:
        return text
    return words.text(N_("{finding} (and {more} more)")).format(finding=text, more=finding.more)
