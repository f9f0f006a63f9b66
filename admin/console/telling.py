"""Ready-made audiences in words, with the values that were chosen: what their rules mean to those who read no code."""

from collections.abc import Mapping
from typing import Final

from admin.console.fields import N_
from admin.console.words import Words
from core.money import format_micros
from segments.audiences.ready_made import READY_MADE, Parameter, ParameterKind, ParameterValue

_TOLD: Final[Mapping[str, str]] = {
    "all_visitors": N_("They came to the shop in the last: {within}."),
    "category_viewers": N_(
        "They looked at the categories {categories} and bought nothing of them. Looked back: {within}."
    ),
    "product_viewers": N_("They looked at the products {products} and bought none of them. Looked back: {within}."),
    "high_margin_viewers": N_(
        "They looked at products of the margin {margins} and bought none. Looked back: {within}."
    ),
    "reduced_viewers": N_(
        "They looked at products that are reduced now, at least so many: {at_least}, and did not buy them. "
        "They came in the last: {within}."
    ),
    "searchers": N_("They searched the shop for {phrases}. Looked back: {within}."),
    "cart_abandoners": N_("They left a cart and have not bought since. Time since then: {delay} to {until}."),
    "cart_abandoners_at_stage": N_(
        "They left a cart at the step {stage} and have not bought since. Time since then: {delay} to {until}."
    ),
    "checkout_abandoners": N_(
        "They began to check out, left and have not bought since. Time since then: {delay} to {until}."
    ),
    "buyers": N_("They bought in the last: {within}."),
    "repeat_buyers": N_("They bought at least so many times: {at_least}."),
    "high_value": N_("At their rhythm they spend at least {at_least} a year."),
    "lapsed": N_("Their last purchase is longer ago than {after}, their last visit longer than {silent}."),
    "cross_sell": N_("They bought something of {bought} and never anything of {missing}."),
    "up_sell": N_(
        "Their average purchase is below {below}, the last one is longer ago than {after}, and they looked at products "
        "in the last: {within}."
    ),
    "discount_seekers": N_(
        "They opened pages such as {pages} at least twice, or searched for {phrases}. Looked back: {within}."
    ),
    "about_to_reorder": N_(
        "By their own rhythm the next purchase is due soon: from {before} before that day to {overdue} after it."
    ),
    "new_from_campaign": N_(
        "They came for the first time, through the campaign {campaigns}, and have not bought yet. "
        "Looked back: {within}."
    ),
}
_BOUNDS: Final = {
    ("cart_abandoners", "at_least"): N_("The cart is worth at least {at_least}."),
    ("cart_abandoners", "below"): N_("The cart is worth less than {below}."),
}
_STAGES: Final = {"cart": N_("cart"), "form": N_("form"), "shipping": N_("shipping"), "payment": N_("payment")}


def told(key: str, values: Mapping[str, ParameterValue], currency: str, words: Words) -> str:
    """A ready-made audience in words; `values` are those of its parameters that are not as usual."""
    ready = READY_MADE[key]
    shown = {one.name: _shown(one, values.get(one.name, one.default), currency, words) for one in ready.parameters}
    sentences = [_TOLD[key]]
    sentences += [
        sentence
        for (audience, name), sentence in _BOUNDS.items()
        if audience == key and name in values and values[name] != _default(key, name)
    ]
    return " ".join(words.text(sentence).format(**shown) for sentence in sentences)


def _default(key: str, name: str) -> ParameterValue | None:
    return next(one.default for one in READY_MADE[key].parameters if one.name == name)


def _shown(parameter: Parameter, value: ParameterValue | None, currency: str, words: Words) -> str:
    match parameter.kind, value:
        case ParameterKind.MONEY, int():
            return words.money({"amount": format_micros(value), "currency": currency})
        case ParameterKind.DURATION, int():
            return words.duration(value)
        case ParameterKind.STAGE, str():
            return words.text(_STAGES.get(value, value))
        case _, tuple():
            return ", ".join(words.quoted(one) for one in value)
        case _:
            return words.number(value) if isinstance(value, int) else str(value)
