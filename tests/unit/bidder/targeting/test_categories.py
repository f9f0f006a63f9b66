import pytest

from bidder.targeting.categories import (
    OF_WHO_MADE_IT,
    UNCATEGORISED,
    advertised,
    category_and_parents,
    perhaps_categories,
    refused_categories,
    taxonomies,
)


def narrow(taxonomy: int, *codes: str) -> set[str]:
    return set(category_and_parents([(taxonomy, codes)]))


def wide(taxonomy: int, *codes: str) -> set[str]:
    return set(perhaps_categories([(taxonomy, codes)]))


def refused(
    blocked: tuple[str, ...] = (), allowed: tuple[str, ...] = (), taxonomy: int | None = None, *, admits: bool = False
) -> set[str]:
    return set(refused_categories(blocked, allowed, taxonomy, admits))


def test_categories_come_with_their_parents() -> None:
    assert set(category_and_parents(("iab18-3", " IAB1"))) == {"IAB18-3", "IAB18", "IAB1"}


def test_the_tables_are_whole() -> None:
    tables = taxonomies()
    assert len(tables.names[1]) == 392
    assert {taxonomy for taxonomy, _code in tables.parents} == {1, 2, 3, 5, 6, 7, 8, 9}
    assert all(parent == "" or (taxonomy, parent) in tables.parents for (taxonomy, _), parent in tables.parents.items())


def test_a_page_of_another_taxonomy_is_about_what_it_surely_means() -> None:
    """Content 2.0 `211` is mapped to IAB8-5 (Cocktails/Beer) and IAB8-18 (Wine): in neither, but in IAB8."""
    assert narrow(2, "211") == {"IAB8"}
    assert wide(2, "211") >= {"IAB8", "IAB8-5", "IAB8-18"}


@pytest.mark.parametrize("taxonomy", [2, 5, 6, 7, 9])
def test_content_taxonomies_since_2_share_their_ids(taxonomy: int) -> None:
    assert narrow(taxonomy, "1") == {"IAB2"}
    assert narrow(taxonomy, "IAB18-3") == {"IAB18-3", "IAB18"}, "what looks like 1.0 is 1.0"


@pytest.mark.parametrize("taxonomy", [3, 4, 500, -1])
def test_a_taxonomy_without_mapping_says_nothing_of_a_page(taxonomy: int) -> None:
    assert narrow(taxonomy, "1", "2") == wide(taxonomy, "1", "2") == set()


def test_a_blocked_category_covers_what_is_below_it() -> None:
    assert refused(("IAB18",)) >= {"IAB18", "IAB18-3", UNCATEGORISED}
    assert "IAB18" not in refused(("iab18-3",))
    assert refused((" IAB18-3 ",)) == {"IAB18-3", UNCATEGORISED}


def test_blocks_of_another_taxonomy_are_read_wide() -> None:
    assert refused(("1",), taxonomy=2) >= {"IAB2", "IAB2-1", "IAB2-18"}, "Automotive, with all of IAB2"
    assert refused(("211",), taxonomy=2) >= {"IAB8-5", "IAB8-18"}
    assert refused(("1000",), taxonomy=8) >= {"IAB25"}
    assert refused(("no such id",), taxonomy=7) == {UNCATEGORISED}


@pytest.mark.parametrize("taxonomy", [3, 4, 500])
def test_nothing_can_be_shown_to_comply_with_a_taxonomy_that_cannot_be_read(taxonomy: int) -> None:
    assert refused(("1",), taxonomy=taxonomy) == {UNCATEGORISED, *taxonomies().names[1]}
    assert refused((), ("1",), taxonomy=taxonomy) == {UNCATEGORISED, *taxonomies().names[1]}


def test_of_allowed_categories_only_what_they_surely_cover_is_admitted() -> None:
    left = taxonomies().names[1] - refused((), ("IAB18",))
    assert left == {code for code in taxonomies().names[1] if code.split("-")[0] == "IAB18"}
    assert taxonomies().names[1] - refused((), ("1",), taxonomy=2) >= {"IAB2", "IAB2-1"}
    assert "IAB18" in refused((), ("1",), taxonomy=2)


def test_an_exchange_may_admit_ads_without_categories() -> None:
    assert UNCATEGORISED not in refused(("IAB18",), admits=True)
    assert UNCATEGORISED not in refused((), ("IAB18",), admits=True)
    assert refused() == set(), "who blocks nothing has nothing against them"


def test_an_ad_is_known_by_codes_that_the_taxonomy_has() -> None:
    assert advertised(("IAB18-3", " iab22 ")) == {"IAB18-3", "IAB22"}
    assert advertised(()) == advertised(("shoes",)) == {UNCATEGORISED}
    assert advertised(("IAB18-99",)) == {"IAB18-99", "IAB18", UNCATEGORISED}


def test_what_is_too_long_to_be_a_code_is_none() -> None:
    assert refused(("IAB" + "1" * 10_000,)) == {UNCATEGORISED}
    assert refused(("x" * 10_000,), taxonomy=7) == {UNCATEGORISED}


def test_what_a_page_is_about_comes_from_several_taxonomies() -> None:
    listed = ("IAB18-3", (None, ("IAB1",)), (2, ("1", "IAB7")))
    assert set(category_and_parents(listed)) == {"IAB18-3", "IAB18", "IAB1", "IAB2", "IAB7"}


def test_what_a_publisher_is_about_denies_its_pages_and_admits_none() -> None:
    listed = ("IAB18-3", (None, ("IAB7",), OF_WHO_MADE_IT), (2, ("1",), OF_WHO_MADE_IT))
    assert set(category_and_parents(listed)) == {"IAB18-3", "IAB18"}
    assert set(perhaps_categories(listed)) >= {"IAB18-3", "IAB18", "IAB7", "IAB2"}
