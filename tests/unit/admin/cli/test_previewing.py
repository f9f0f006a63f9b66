import pytest

from admin.cli.previewing import page_with
from admin.products.documents import view_of
from core.errors import InputError
from core.model import ProductChoice, TemplateUse
from creatives.preview.page import ad_page
from creatives.templates.samples import USUAL
from tests.kit.catalogues import creative

DYNAMIC = creative(
    1,
    1,
    html="",
    language="pl",
    products=ProductChoice(),
    template=TemplateUse(name="grid", parameters={"shop": "Szpilka"}),
)


def test_the_products_of_a_user_are_shown_as_the_ad_shows_them() -> None:
    page = page_with(DYNAMIC, [view_of(each, 1) for each in USUAL[:4]], 1)
    for word in ("Szpilki lakierowane", "199,99", "249,99", "Botki"):
        assert word in page
    assert "@" not in page.replace("@media", "").replace("@font-face", "").replace("@keyframes", "")


def test_without_a_product_it_is_the_shop_s_name() -> None:
    for page in (page_with(DYNAMIC, [], 1), ad_page(DYNAMIC)):
        assert "Szpilka" in page
        assert "<img" not in page


def test_an_ad_that_is_the_same_for_everybody_has_no_user() -> None:
    with pytest.raises(InputError, match="shows the same to everybody"):
        page_with(creative(1, 1), [], 1)
