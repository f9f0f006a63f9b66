"""TC strings of any content: read as written, refused when cut, and read alike by both readers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidder.openrtb.consent.permission import Vendor, permits, read_view, view
from bidder.openrtb.consent.tcf import TcError, TcString, decode
from tests.kit.tc_strings import TcFields, core_bits, tc_string, text_of_bits

LETTERS = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=2, max_size=2)


def numbers(highest: int, size: int = 12) -> st.SearchStrategy[tuple[int, ...]]:
    return st.sets(st.integers(1, highest), max_size=size).map(lambda found: tuple(sorted(found)))


VENDORS = numbers(20) | numbers(1500)

FIELDS = st.builds(
    TcFields,
    created=st.integers(0, 2**36 - 1),
    updated=st.integers(0, 2**36 - 1),
    cmp_id=st.integers(0, 4095),
    cmp_version=st.integers(0, 4095),
    consent_screen=st.integers(0, 63),
    consent_language=LETTERS,
    vendor_list_version=st.integers(0, 4095),
    policy_version=st.integers(0, 63),
    service_specific=st.booleans(),
    non_standard_texts=st.booleans(),
    special_features=numbers(12),
    purpose_consents=numbers(24, 24),
    purpose_interests=numbers(24, 24),
    purpose_one_treatment=st.booleans(),
    publisher_country=LETTERS,
    vendor_consents=VENDORS,
    vendor_interests=VENDORS,
    restrictions=st.lists(st.tuples(st.integers(1, 24), st.integers(0, 3), VENDORS), max_size=4).map(tuple),
    disclosed_vendors=st.none() | VENDORS,
    allowed_vendors=st.none() | VENDORS,
    publisher_purposes=st.none() | st.tuples(numbers(24), numbers(24)),
    custom_purposes=st.integers(0, 63),
    as_ranges=st.booleans(),
    segment_order=st.permutations([1, 2, 3]).map(tuple),
)


def written(tc: TcString, fields: TcFields) -> TcFields:
    """The fields a decoded string says it was written from."""
    purposes = None
    if tc.publisher_consents is not None and tc.publisher_interests is not None:
        purposes = tuple(sorted(tc.publisher_consents)), tuple(sorted(tc.publisher_interests))
    return TcFields(
        created=tc.created,
        updated=tc.updated,
        cmp_id=tc.cmp_id,
        cmp_version=tc.cmp_version,
        consent_screen=tc.consent_screen,
        consent_language=tc.consent_language,
        vendor_list_version=tc.vendor_list_version,
        policy_version=tc.policy_version,
        service_specific=tc.service_specific,
        non_standard_texts=tc.non_standard_texts,
        special_features=tuple(sorted(tc.special_features)),
        purpose_consents=tuple(sorted(tc.purpose_consents)),
        purpose_interests=tuple(sorted(tc.purpose_interests)),
        purpose_one_treatment=tc.purpose_one_treatment,
        publisher_country=tc.publisher_country,
        vendor_consents=tuple(tc.vendor_consents),
        vendor_interests=tuple(tc.vendor_interests),
        restrictions=tuple((r.purpose, r.type, tuple(r.vendors)) for r in tc.restrictions),
        disclosed_vendors=None if tc.disclosed_vendors is None else tuple(tc.disclosed_vendors),
        allowed_vendors=None if tc.allowed_vendors is None else tuple(tc.allowed_vendors),
        publisher_purposes=purposes,
        custom_purposes=fields.custom_purposes,
        as_ranges=fields.as_ranges,
        segment_order=fields.segment_order,
    )


@settings(max_examples=100, deadline=None)
@given(fields=FIELDS)
def test_what_is_written_is_read(fields: TcFields) -> None:
    assert written(decode(tc_string(fields)), fields) == fields


@settings(max_examples=100, deadline=None)
@given(fields=FIELDS, vendor_id=st.integers(0, 25) | st.integers(0, 65_535))
def test_both_readers_see_the_same(fields: TcFields, vendor_id: int) -> None:
    text = tc_string(fields)
    assert read_view(text, vendor_id) == view(decode(text), vendor_id)


@settings(max_examples=100, deadline=None)
@given(fields=FIELDS, cut=st.integers(1, 10_000))
def test_a_string_cut_at_any_bit_is_refused(fields: TcFields, cut: int) -> None:
    bits = core_bits(fields)
    whole = len(bits) - len(bits) % 8
    length = (whole - cut) // 8 * 8
    if length < 8:
        length = 8
    for reader in (decode, lambda text: read_view(text, 7)):
        with pytest.raises(TcError):
            reader(text_of_bits(bits[:length]))


@settings(max_examples=150, deadline=None)
@given(fields=FIELDS, data=st.data())
def test_a_damaged_string_is_refused_by_both_readers_or_by_neither(fields: TcFields, data: st.DataObject) -> None:
    characters = list(tc_string(fields))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(characters) - 1))
        characters[place] = data.draw(st.sampled_from("AQgw_-z9.=é"))
    text = "".join(characters[: data.draw(st.integers(0, len(characters)))])
    try:
        full = decode(text)
    except TcError:
        with pytest.raises(TcError):
            read_view(text, 7)
    else:
        assert read_view(text, 7) == view(full, 7)


@settings(max_examples=100, deadline=None)
@given(fields=FIELDS, purpose=st.integers(1, 24), data=st.data())
def test_a_restriction_never_adds_a_permission(fields: TcFields, purpose: int, data: st.DataObject) -> None:
    purposes = frozenset(range(1, 12))
    interest = data.draw(st.sets(st.sampled_from(sorted(purposes))))
    vendor = Vendor(id=7, consent_purposes=purposes - interest, interest_purposes=frozenset(interest))
    fields.restrictions = ()
    free = permits(read_view(tc_string(fields), 7), vendor, purpose)
    fields.restrictions = ((purpose, data.draw(st.integers(0, 3)), (7,)),)
    restricted = permits(read_view(tc_string(fields), 7), vendor, purpose)
    assert free or not restricted
