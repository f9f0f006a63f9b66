"""Payloads to events, and the faults in them."""

import hashlib
import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InputError
from core.model import Advertiser
from core.money import FxTable
from segments.events.intake import Context, read_event, split_batch
from segments.events.privacy import signals_of
from segments.facts.event import MAX_BATCH, Event, Kind, order_key, person_digest

NOW_MS = 1_790_000_000_000
SHOP = Advertiser(id=1, name="Shoes", domain="buty.example")
USER = "A" * 22


def context(*, trusted: bool = False) -> Context:
    return Context(SHOP, FxTable("PLN", {"USD": 3_640_000}), NOW_MS, USER, trusted)


def event_of(row: dict[str, Any], *, trusted: bool = False) -> Event:
    incoming = read_event(row, context(trusted=trusted))
    assert incoming.event is not None, incoming.faults
    return incoming.event


def pointers(row: dict[str, Any], *, trusted: bool = False) -> list[str]:
    incoming = read_event(row, context(trusted=trusted))
    assert incoming.event is None
    return [fault.pointer for fault in incoming.faults]


def test_a_ga4_event_is_read_as_it_is() -> None:
    event = event_of(
        {"name": "purchase", "params": {"transaction_id": "A-1", "value": 640, "currency": "PLN",
                                        "items": [{"item_id": "a", "item_name": "x", "price": 320, "quantity": 2}]}}
    )  # fmt: skip
    assert (event.kind, event.order, event.value_micros) == (Kind.PURCHASE, order_key("A-1"), 640_000_000)
    assert [(item.id, item.price_micros, item.quantity) for item in event.items] == [("a", 320_000_000, 2)]


@pytest.mark.parametrize(
    ("row", "kind", "items"),
    [
        ({"event": "viewItem", "item": 123}, "view_item", ["123"]),
        ({"event": "viewList", "item": ["1", "2"]}, "view_item_list", ["1", "2"]),
        ({"event": "viewBasket", "item": [{"id": "9", "price": 5, "quantity": 1}]}, "view_cart", ["9"]),
        ({"event": "trackTransaction", "id": "o1", "item": [{"id": 9, "price": "5.50"}]}, "purchase", ["9"]),
        ({"event": "viewHome"}, "page_view", []),
    ],
)
def test_criteo_names_are_aliases(row: dict[str, Any], kind: str, items: list[str]) -> None:
    event = event_of(row)
    assert event.kind == kind
    assert [item.id for item in event.items] == items


def test_an_event_of_a_tag_managers_data_layer_keeps_what_it_says() -> None:
    event = event_of(
        {"event": "purchase", "ecommerce": {"transaction_id": "A-1", "value": 640, "currency": "PLN",
                                            "items": [{"item_id": "a", "price": 320, "quantity": 2}]}}
    )  # fmt: skip
    assert (event.order, event.value_micros, event.items[0].price_micros) == (
        order_key("A-1"), 640_000_000, 320_000_000,
    )  # fmt: skip


@pytest.mark.parametrize("address", ["AB" * 32, ["ab" * 32]])
@pytest.mark.parametrize("row", [{"name": "login", "user_data": {}}, {"event": "setHashedEmail", "email": None}])
def test_a_hashed_address_may_come_alone_or_in_a_list(row: dict[str, Any], address: object) -> None:
    filled = (
        {**row, "user_data": {"sha256_email_address": address}} if "user_data" in row else {**row, "email": address}
    )
    assert event_of(filled).person == person_digest(1, "ab" * 32)


@pytest.mark.parametrize(
    ("consent", "refuses"),
    [
        ({"ad_personalization": "DENIED", "ad_user_data": "GRANTED"}, True),
        ({"ad_personalization": "GRANTED", "ad_user_data": "DENIED"}, True),
        ({"ad_personalization": "GRANTED"}, False),
        ({}, False),
    ],
)
def test_consent_in_ga4s_words_is_understood(consent: dict[str, str], refuses: bool) -> None:
    incoming = read_event({"name": "page_view", "consent": consent}, context())
    assert incoming.event is not None
    assert (incoming.signals.consent, bool(incoming.signals.refusal)) == ("", refuses)


def test_a_wish_of_any_form_makes_no_event_wrong() -> None:
    for name in ("gdpr", "consent", "ad_personalization", "ad_storage", "npa", "gpp", "us_privacy", "coppa"):
        values: tuple[object, ...] = (True, 5, "x", [], {}, None, 1.5)
        for value in values:
            incoming = read_event({"event": "page_view", name: value}, context())
            assert incoming.event is not None, (name, value)


def test_an_item_may_name_the_currency_of_its_price() -> None:
    """As GA4's items do; each price is converted by its own, and the value by the only one that is named."""
    usd = {"item_id": "a", "price": 100, "currency": "USD"}
    assert event_of({"event": "add_to_cart", "items": [usd]}).items[0].price_micros == 364_000_000
    mixed = [usd, {"item_id": "b", "price": 100, "currency": "PLN"}, {"item_id": "c", "price": 100}]
    prices = [item.price_micros for item in event_of({"event": "add_to_cart", "items": mixed}).items]
    assert prices == [364_000_000, 100_000_000, 100_000_000]
    assert event_of({"event": "view_cart", "value": 100, "items": [usd]}).value_micros == 364_000_000
    assert event_of({"event": "view_cart", "value": 100, "items": mixed}).value_micros == 100_000_000
    explicit = event_of({"event": "view_cart", "value": 100, "currency": "PLN", "items": [usd]})
    assert (explicit.value_micros, explicit.items[0].price_micros) == (100_000_000, 364_000_000)
    assert event_of({"event": "add_to_cart", "items": [usd | {"currency": "usd"}]}).items[0].price_micros == 364_000_000


@pytest.mark.parametrize("name", ["currencyCode", "currency_code", "priceCurrency", "price_currency"])
def test_a_currency_by_its_name_in_other_shop_systems_counts(name: str) -> None:
    """`currencyCode` of Universal Analytics, which many data layers still have: 100 of it are not 100 PLN."""
    item = {"item_id": "a", "price": 100}
    for row in (
        {"event": "view_cart", "items": [item], "value": 100, name: "USD"},
        {"event": "view_cart", "ecommerce": {name: "usd", "items": [item], "value": 100}},
        {"event": "view_cart", "items": [item | {name: "USD"}], "value": 100},
    ):
        event = event_of(row)
        assert (event.value_micros, event.items[0].price_micros) == (364_000_000, 364_000_000)
    both = event_of({"event": "view_cart", "items": [{"currency": "PLN", name: "USD", **item}]})
    assert both.items[0].price_micros == 100_000_000, "our own name of a member counts, whichever comes first"


def test_an_item_s_own_id_counts_before_its_aliases() -> None:
    for item in ({"item_id": "a", "id": "b"}, {"id": "b", "item_id": "a"}, {"id": "a"}, {"item_id": None, "id": "a"}):
        assert event_of({"event": "view_item", "items": [item]}).items[0].id == "a"


def test_milliseconds_may_be_a_text() -> None:
    for written in (2_000, "2000", 2000.0, "2e3"):
        assert event_of({"event": "heartbeat", "engagement_time_msec": written}).seconds == 2
    assert pointers({"event": "heartbeat", "engagement_time_msec": "long"}) == ["/seconds"]
    assert event_of({"event": "heartbeat", "engagement_time_msec": 10**400}).seconds == 3_600


@pytest.mark.parametrize(("quantity", "price"), [(0.752, 12.99), ("0.752", "12.99")])
def test_what_is_sold_by_weight_is_one_piece_of_its_price(quantity: object, price: object) -> None:
    items = [{"item_id": "a", "quantity": quantity, "price": price}, {"item_id": "b", "quantity": 2.6}]
    incoming = read_event({"event": "purchase", "items": items}, context())
    assert incoming.event is not None
    assert [(item.quantity, item.price_micros) for item in incoming.event.items] == [(1, 9_768_480), (3, 0)]
    assert incoming.mended == ("quantity",)


@pytest.mark.parametrize("empty", [[], ""])
def test_an_empty_object_may_be_written_as_php_and_templates_do(empty: object) -> None:
    row = {"event": "page_view", "attributes": empty, "place": empty, "items": empty, "params": empty}
    assert event_of(row) == event_of({"event": "page_view"})


@pytest.mark.parametrize("written", ["undefined", "{{transaction_id}}", 0, "null", "(not set)"])
def test_orders_and_events_whose_name_was_not_filled_in_have_none(written: object) -> None:
    """Otherwise a person's second order would be a repetition of the first."""
    row = {"event": "purchase", "transaction_id": written, "event_id": written, "customer_id": written}
    incoming = read_event(row, context())
    assert incoming.event is not None
    assert (incoming.event.order, incoming.event.once, incoming.event.known_as) == (0, 0, ())
    assert incoming.mended == ("transaction_id", "event_id", "customer_id")
    assert pointers({"event": "refund", "transaction_id": written}) == ["/transaction_id"]


@pytest.mark.parametrize("typed", ["", "undefined", "NULL", "{{email}}"])
def test_the_hash_of_an_empty_field_links_nobody(typed: str) -> None:
    digest = hashlib.sha256(typed.encode()).hexdigest()
    login = {"event": "login", "email_sha256": digest, "phone_sha256": digest.upper()}
    event = event_of(login)
    assert (event.person, event.known_as) == (b"", ())
    assert event_of({"event": "login", "user_data": {"sha256_email_address": [digest]}}).person == b""
    assert pointers(login, trusted=True) == ["/user_id"]


def test_an_item_s_currency_without_a_rate_is_a_fault_of_the_item() -> None:
    items = [{"item_id": "a", "price": 1}, {"item_id": "b", "price": 1, "currency": "XXX"}]
    assert pointers({"event": "add_to_cart", "items": items}) == ["/items/1/currency"]
    assert pointers({"event": "add_to_cart", "items": [{"item_id": "b", "currency": "zloty"}]}) == ["/items/0/currency"]


def test_amounts_are_converted_into_the_advertisers_currency() -> None:
    event = event_of({"event": "purchase", "value": 10, "currency": "USD", "items": [{"item_id": "a", "price": 1}]})
    assert event.value_micros == 36_400_000
    assert event.items[0].price_micros == 3_640_000


@pytest.mark.parametrize(
    ("row", "pointer"),
    [
        ({}, "/event"),
        ({"event": "Bad Name"}, "/event"),
        ({"event": "_link"}, "/event"),
        ({"event": "view_item"}, "/items"),
        ({"event": "view_item", "items": [{"price": 1}]}, "/items/0/item_id"),
        ({"event": "view_item", "items": [{"item_id": "a", "quantity": -1}]}, "/items/0/quantity"),
        ({"event": "purchase", "value": -1}, "/value"),
        ({"event": "purchase", "value": "nan"}, "/value"),
        ({"event": "purchase", "value": "inf"}, "/value"),
        ({"event": "purchase", "value": 10**8}, "/value"),
        ({"event": "purchase", "currency": "zloty"}, "/currency"),
        ({"event": "purchase", "currency": "XXX"}, "/currency"),
        ({"event": "refund"}, "/transaction_id"),
        ({"event": "login", "email_sha256": "jan@example.pl"}, "/email_sha256"),
        ({"event": "login", "email": "jan@example.pl"}, "/email_sha256"),
        ({"event": "x", "attributes": {"Bad Name": 1}}, "/attributes/Bad Name"),
        ({"event": "x", "attributes": {"a": "x" * 500}}, "/attributes/a"),
        ({"event": "x", "attributes": {"a": 2**60}}, "/attributes/a"),
        ({"event": "x", "attributes": {"a": {"b": 1}}}, "/attributes"),
        ({"event": "x", "offline": True}, "/offline"),
    ],
)
def test_a_fault_names_its_field(row: dict[str, Any], pointer: str) -> None:
    assert pointers(row) == [pointer]


def test_faults_of_meaning_are_reported_together() -> None:
    row = {"event": "view_item", "currency": "XXX", "attributes": {"B": 1}, "offline": True}
    assert pointers(row) == ["/currency", "/items", "/attributes/B", "/offline"]


@pytest.mark.parametrize(
    "time", [1_789_999_000, 1_789_999_000_000, "1789999000", "1789999000000000", "2026-09-21T15:36:40+02:00"]
)
def test_a_trusted_sender_may_say_when(time: str | int) -> None:
    assert event_of({"event": "x", "user_id": USER, "time": time}, trusted=True).at_ms // 1000 in (
        1_789_999_000, 1_789_997_800,
    )  # fmt: skip


@pytest.mark.parametrize("time", ["yesterday", "2026-09-21T15:36:40", 1_790_001_000, 1_000_000_000, -5])
def test_a_time_that_cannot_be_is_refused(time: str | int) -> None:
    assert pointers({"event": "x", "user_id": USER, "time": time}, trusted=True) == ["/time"]


def test_a_browsers_clock_is_not_believed() -> None:
    assert event_of({"event": "x", "time": 1}).at_ms == NOW_MS


def test_a_trusted_event_needs_somebody_it_happened_to() -> None:
    assert pointers({"event": "x"}, trusted=True) == ["/user_id"]
    assert pointers({"event": "x", "user_id": "short"}, trusted=True) == ["/user_id"]
    email = "AB" * 32
    assert event_of({"event": "x", "email_sha256": email}, trusted=True).person == person_digest(1, email.lower())


def test_a_call_of_the_measurement_protocol_is_read_whole() -> None:
    call = {
        "client_id": "123.456", "user_id": USER, "timestamp_micros": str((NOW_MS - 5_000) * 1_000),
        "consent": {"ad_personalization": "GRANTED"}, "events": [{"name": "search", "params": {"search_term": "Buty"}}],
    }  # fmt: skip
    (row,) = split_batch(call)
    event = event_of(row, trusted=True)
    assert (event.kind, event.phrase, event.user_id, event.at_ms) == ("search", "buty", USER, NOW_MS - 5_000)


def test_a_batch_shares_what_stands_beside_it() -> None:
    rows = split_batch({"consent": "C", "events": [{"event": "a"}, {"event": "b", "consent": "D"}]})
    assert [row["consent"] for row in rows] == ["C", "D"]


@pytest.mark.parametrize("payload", [None, 5, [], {"events": []}, {"events": [1]}, [{}] * (MAX_BATCH + 1)])
def test_a_body_without_events_or_with_too_many_is_refused(payload: object) -> None:
    with pytest.raises(InputError) as caught:
        split_batch(payload)
    assert caught.value.faults


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
fields = st.sampled_from(
    ["event", "name", "items", "item", "value", "currency", "time", "attributes", "params", "place", "url", "referrer",
     "seconds", "engagement_time_msec", "email", "gdpr", "consent", "ecommerce", "user_data",
     "user_id", "offline", "search_term"]
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(fields, json_values, max_size=6), st.booleans())
def test_no_payload_raises(row: dict[str, Any], trusted: bool) -> None:
    incoming = read_event(row, context(trusted=trusted))
    assert (incoming.event is None) == bool(incoming.faults)


TEXTS = {
    "event": "page_view", "transaction_id": "A-1", "event_id": "e-1", "search_term": "buty", "url": "https://a.example/",
    "referrer": "https://b.example/", "currency": "PLN", "email_sha256": "ab" * 32, "ad_personalization": "granted",
    "user_id": USER,
}  # fmt: skip
BASE: dict[str, Any] = {"event": "purchase", "user_id": USER, "items": [{"item_id": "a"}]}


def placed(path: str, value: object) -> dict[str, Any]:
    """A purchase with one member set; `items/x` in its item, `place/x` in its place."""
    holder, _, member = path.rpartition("/")
    if holder == "items":
        return BASE | {"items": [{"item_id": "a", member: value}]}
    return BASE | ({"place": {member: value}} if holder == "place" else {member: value})


IDENTIFYING = ("transaction_id", "event_id", "items/item_id", "currency", "email_sha256", "event", "user_id")
ALL_TEXTS = {**TEXTS, "items/item_id": "a", "items/item_category": "shoes", "items/availability": "in_stock",
             "place/country": "POL", "place/city": "x", "place/region": "MZ"}  # fmt: skip


@pytest.mark.parametrize("mark", ["\n", "\r\n", "\x00", "\u2028", "\x85", "\ufeff"])
@pytest.mark.parametrize("path", ALL_TEXTS)
def test_a_line_end_at_a_text_is_stripped_or_refused_and_never_stored(path: str, mark: str) -> None:
    plain = event_of(placed(path, ALL_TEXTS[path]), trusted=True)
    marked = read_event(placed(path, ALL_TEXTS[path] + mark), context(trusted=True))
    assert marked.event is None or marked.event == plain


@pytest.mark.parametrize("mark", ["\n", "\x00", "\u2028"])
@pytest.mark.parametrize(
    "path", ["transaction_id", "event_id", "items/item_id", "currency", "email_sha256", "event", "user_id"]
)
def test_a_line_end_inside_of_what_identifies_is_refused(path: str, mark: str) -> None:
    text = ALL_TEXTS[path]
    assert read_event(placed(path, text[:1] + mark + text[1:] + "x"), context(trusted=True)).event is None


@pytest.mark.parametrize(
    "path",
    [
        "transaction_id",
        "items/item_id",
        "items/item_category",
        "items/availability",
        "search_term",
        "place/city",
        "url",
    ],
)
def test_numbers_are_texts_and_booleans_are_not(path: str) -> None:
    for number in (10001, 10001.0):
        assert event_of(placed(path, number), trusted=True) == event_of(placed(path, "10001"), trusted=True)
    for boolean in (True, False):
        found = read_event(placed(path, boolean), context(trusted=True)).event
        if path in ("transaction_id", "items/item_id"):
            assert found is None
        else:  # it decorates: nothing is said, and the event stays
            assert found == event_of(placed(path, ""), trusted=True)


def test_what_only_decorates_an_event_does_not_lose_it() -> None:
    incoming = read_event(
        {"event": "search", "search_term": "b" * 5000, "url": "https://buty.example/x?" + "y" * 9000, "currency": "pln",
         "seconds": 1e9, "referrer": "https://www.google.com/" + "z" * 9000, "value": "", "time": {"not": "a time"}},
        context(),
    )  # fmt: skip
    assert incoming.event is not None, incoming.faults
    assert set(incoming.mended) == {"search_term", "url", "currency", "seconds", "referrer"}
    assert incoming.event.source is not None
    assert incoming.event.source.source == "google"


def test_a_row_that_is_no_object_is_a_fault_of_its_own() -> None:
    rows = split_batch({"events": [1, {"event": "page_view"}], "gdpr": 0})
    assert [read_event(row, context()).event is None for row in rows] == [True, False]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("path", ["value", "items/price", "items/quantity"])
def test_what_is_no_number_is_refused_where_one_belongs(path: str, value: float) -> None:
    assert read_event(placed(path, value), context(trusted=True)).event is None


def test_only_who_keeps_the_books_may_correct_an_order() -> None:
    order = {"event": "purchase", "transaction_id": "A", "value": 5, "replace": True}
    assert pointers(order) == ["/replace"]
    assert event_of(order | {"user_id": USER}, trusted=True).replaces
    assert pointers({"event": "purchase", "user_id": USER, "replace": True}, trusted=True) == ["/replace"]
    assert pointers({"event": "refund", "user_id": USER, "transaction_id": "A", "replace": True}, trusted=True) == [
        "/replace"
    ]


def test_members_beside_the_events_hold_for_each_by_all_their_names() -> None:
    payload = {"events": [{"event": "page_view"}], "gdpr_consent": "C", "page_location": "https://a.example/p"}
    (row,) = split_batch(payload)
    incoming = read_event(row, context())
    assert incoming.event is not None
    assert (incoming.signals.consent, incoming.event.path) == ("C", "/p")


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        ({"non_personalized_ads": True}, {"non_personalized_ads": False}),
        ({"consent": {"ad_storage": "denied"}}, {"consent": {"ad_storage": "granted"}}),
        ({"ad_personalization": "DENIED"}, {"ad_personalization": "GRANTED"}),
        ({"us_privacy": "1YYN"}, {"us_privacy": "1YNN"}),
        ({"npa": 1}, {"npa": None}),
    ],
)
def test_a_refusal_beside_the_events_holds_whatever_one_of_them_says(
    outer: dict[str, Any], inner: dict[str, Any]
) -> None:
    for beside, inside in ((outer, inner), (inner, outer)):
        (row,) = split_batch({"events": [{"event": "page_view", **inside}], **beside})
        assert read_event(row, context()).signals.refusal


def test_gdpr_beside_the_events_holds_whatever_one_of_them_says() -> None:
    for beside, inside, applies in ((1, 0, True), (0, 1, True), (0, 0, False), ("yes", 0, True), (None, 0, False)):
        (row,) = split_batch({"events": [{"event": "page_view", "gdpr": inside}], "gdpr": beside})
        assert read_event(row, context()).signals.gdpr is applies
    (row,) = split_batch({"events": [{"event": "page_view", "consent": "INNER"}], "consent": "OUTER"})
    assert read_event(row, context()).signals.consent == "INNER"


@pytest.mark.parametrize("nothing", ["", " ", None])
@pytest.mark.parametrize("name", ["consent", "gdpr_consent", "gpp", "gpp_sid", "us_privacy"])
def test_a_wish_beside_the_events_is_not_lost_to_an_empty_one(name: str, nothing: str | None) -> None:
    value = "1YNN" if name == "us_privacy" else "7"
    (row,) = split_batch({"events": [{"event": "page_view", name: nothing}], name: value})
    assert read_event(row, context()).signals == read_event({"event": "page_view", name: value}, context()).signals
    assert row[name] == value


@pytest.mark.parametrize(
    ("beside", "inside", "string"),
    [
        ({"consent": "OUTER"}, {"consent": {"ad_storage": "granted"}}, "OUTER"),
        ({"gdpr_consent": "OUTER"}, {"consent": {"ad_storage": "granted"}}, "OUTER"),
        ({"gdpr_consent": "OUTER"}, {"consent": "INNER"}, "INNER"),
        ({"consent": "OUTER"}, {"gdpr_consent": "INNER", "consent": ""}, "INNER"),
        ({"consent": "OUTER"}, {"params": {"consent": "INNER"}}, "INNER"),
        ({"consent": "OUTER"}, {"params": {"consent": ""}}, "OUTER"),
    ],
)
def test_of_two_consent_strings_the_own_one_counts_and_words_put_none_away(
    beside: dict[str, Any], inside: dict[str, Any], string: str
) -> None:
    (row,) = split_batch({"events": [{"event": "page_view", **inside}], **beside})
    signals = read_event(row, context()).signals
    assert (signals.consent, signals.refusal) == (string, "")


WISHES: list[Any] = [None, "", [], {}, "X", "Y", {"ad_storage": "granted"}, {"ad_storage": "denied"}, {"z": 1}, 5, [1]]


@pytest.mark.parametrize("beside", ["consent", "gdpr_consent", "gpp", "gpp_sid"])
@pytest.mark.parametrize("inside", ["consent", "gdpr_consent", "gpp", "gpp_sid"])
def test_no_wish_beside_an_event_or_in_it_is_lost(beside: str, inside: str) -> None:
    for outer, inner in itertools.product(WISHES, WISHES):
        (row,) = split_batch({"events": [{"event": "page_view", inside: inner}], beside: outer})
        found, apart = signals_of(row), [signals_of({beside: outer}), signals_of({inside: inner})]
        case = f"{outer!r} beside {inner!r}"
        assert found.refusal or not any(each.refusal for each in apart), case
        assert found.refusal or found.consent or not any(each.consent for each in apart), case
        assert found.refusal or found.gpp or not any(each.gpp for each in apart), case
        assert found.refusal or found.sections or not any(each.sections for each in apart), case


@pytest.mark.parametrize(
    ("beside", "inside"),
    [
        ({"currency": "USD"}, {"currency": ""}),
        ({"currency": "USD"}, {"currency": None}),
        ({"currency": "USD"}, {"params": {"currency": None}}),
        ({"currency": "USD"}, {"params": {"currency": " "}}),
        ({"currency": "PLN"}, {"currencyCode": "USD"}),
        ({"currency": "PLN"}, {"params": {"currencyCode": "USD"}}),
        ({"currencyCode": "PLN"}, {"ecommerce": {"currency": "USD"}}),
        ({}, {"currency": "", "currencyCode": "USD"}),
        ({}, {"currency": None, "params": {"priceCurrency": "USD"}}),
        ({}, {"items": [{"item_id": "a", "price": 10, "currency": "", "currencyCode": "USD"}]}),
    ],
)
def test_the_currency_is_the_nearest_that_is_told_by_any_of_its_names(
    beside: dict[str, Any], inside: dict[str, Any]
) -> None:
    purchase = {"event": "purchase", "value": 10, "items": [{"item_id": "a", "price": 10}]}
    (row,) = split_batch({"events": [purchase | inside], **beside})
    event = event_of(row)
    assert (event.value_micros, event.items[0].price_micros) == (36_400_000, 36_400_000)


def test_the_person_of_an_event_is_its_own_whatever_it_is_called() -> None:
    mine, theirs = "ab" * 32, "cd" * 32
    (row,) = split_batch({"events": [{"event": "page_view", "email": mine}], "email_sha256": theirs})
    assert event_of(row, trusted=True).person == person_digest(1, mine)
