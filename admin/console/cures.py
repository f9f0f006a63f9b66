"""What is to be done, for people in a browser: other texts name commands and files, for which the console has pages."""

import re
from typing import Final, NamedTuple

from admin.console.fields import N_


class Cure(NamedTuple):
    """What to do, and the page where it is done: its label and path, "" where there is none."""

    text: str
    link: str = ""
    path: str = ""


_SHOP: Final = "/advertisers/{advertiser}/shop"
_TABLE: Final = (
    (
        r"add one \(`grosz exchange create`\), or resume one",
        Cure(N_("add one, or resume one"), N_("New exchange"), "/exchanges/new"),
    ),
    (
        r"create one \(`grosz line-item create`\), or resume one with its campaign and advertiser",
        Cure(N_("make one, or resume one with its campaign and advertiser"), N_("New campaign"), "/start"),
    ),
    (
        r"people come and leave, as buyers do; if nobody comes, .* rule; `grosz segment show` has it",
        Cure(
            N_(
                "people come and leave, as buyers do; if nobody comes, check that the shop's pages send events, and "
                "the segment's rule"
            ),
            N_("Tags, segments, products"),
            _SHOP,
        ),
    ),
    (r"see the tag's health", Cure("", N_("Tags, segments, products"), _SHOP)),
    (r"have an exchange send them to .*", Cure(N_("have an exchange send them"), N_("Exchanges"), "/exchanges")),
    (r"see the findings about exchanges", Cure("", N_("Exchanges"), "/exchanges")),
    (r"check the key in the bid URL against `grosz exchange list`", Cure(
        N_("check the key in the bid address"), N_("Exchanges"), "/exchanges")),
    (r"see `grosz exchange list`", Cure("", N_("Exchanges"), "/exchanges")),
    (
        r"ask it: Saved reports in the console, or /v1/reports/recipients",
        Cure(N_("ask it"), N_("Saved reports"), "/reports/saved"),
    ),
    (r"wait for it, or see `grosz feed show`", Cure(N_("wait for it"), N_("Feeds"), "/feeds")),
    (r"see docs/feeds.md; ads then show no products", Cure(
        N_("ads then show no products"), N_("New feed"), "/feeds/new")),
    (r"see `grosz feed report (?P<feed>[0-9]+)`", Cure("", N_("Runs"), "/feeds/{feed}/runs")),
    (r"(?P<such>such as .*); see `grosz products match (?P<advertiser>[0-9]+)`", Cure(
        "{such}", N_("Tags, segments, products"), _SHOP)),
    (r"see `grosz explain`( for each line item's reasons)?", Cure("", N_("Explain a request"), "/explain")),
    (r"see `grosz creative approvals`: pending, rejected with a reason, or expired", Cure(
        N_("pending, rejected with a reason, or expired"), N_("Approvals"), "/approvals")),
    (r"add creatives in the sizes that `grosz explain` shows; most common are (?P<sizes>.*)", Cure(
        N_("add creatives in the sizes that are asked for; most common are {sizes}"), N_("New creative"),
        "/creatives/new")),
    ((r"(set admin.fx_source to 'ecb', or run `grosz fx refresh` each working day|add the currency to the rate table"
     r"|add the rate to the catalogue's fx_rates|add its currency to the rate table)"), Cure(
        N_("add the rate"), N_("Exchange rates"), "/rates")),
    (r"see GET /v1/(?P<kind>[a-z-]+)", Cure("", N_("All of them"), "/{kind}")),
)  # fmt: skip
_MORE: Final = re.compile(r" \(and ([0-9]+) more: `grosz doctor --line-item [0-9]+`\)")


def cure_of(advice: str, advertiser_id: int | None = None) -> Cure:
    """What an advice means in the console; itself where it names nothing that only a terminal has.

    A page of an advertiser is linked to where it is known which.
    """
    for form, cure in _TABLE:
        if found := re.fullmatch(form, advice):
            parts = {"advertiser": advertiser_id} | found.groupdict()
            is_known = parts["advertiser"] is not None or "{advertiser}" not in cure.path
            path = cure.path.format(**parts) if is_known else ""
            return Cure(cure.text.format(**parts), cure.link if path else "", path)
    return Cure(advice)


def finding_text(text: str) -> str:
    """The text of a finding, without the command that would list more."""
    return _MORE.sub(r" (and \1 more)", text)
