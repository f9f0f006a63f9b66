import re

import msgspec
import pytest

from core.model import Creative
from creatives.preview.page import ad_page, framed, preview_name, preview_path, preview_size
from creatives.preview.store import NAME
from tests.kit.catalogues import NATIVE, creative, native_creative
from tests.kit.spots import audio_creative, video_creative

ALL = (creative(1, 1), native_creative(2, 1), video_creative(), audio_creative())


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.format.value)
def test_a_name_is_of_a_version_and_its_looks(one: Creative) -> None:
    name = preview_name(one)
    assert NAME.fullmatch(name)
    assert preview_path(one) == f"/preview/{name}.png"
    assert preview_name(msgspec.structs.replace(one, name="x", notes="y")) == name
    assert preview_name(msgspec.structs.replace(one, version=2)) != name
    assert preview_name(msgspec.structs.replace(one, landing_url="https://x.example/")) != name


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.format.value)
def test_every_format_has_a_page_and_a_size(one: Creative) -> None:
    page = ad_page(one)
    assert page.startswith("<!doctype html>")
    assert "/t/imp/" not in page
    assert "/n/win/" not in page
    assert min(preview_size(one)) > 0


def test_nothing_of_a_text_becomes_markup() -> None:
    assets = msgspec.structs.replace(NATIVE, titles=("<script>1</script>",), price='"><img>', sale_price="2")
    assert "<script>" not in ad_page(native_creative(2, 1, native=assets))
    assert "<img>" not in ad_page(native_creative(2, 1, native=assets))
    assert "<b>" not in ad_page(audio_creative(name="<b>"))


def test_the_frame_has_no_origin_and_leads_nowhere() -> None:
    page = framed(preview_name(ALL[0]), (300, 250))
    (frame,) = re.findall(r"<iframe [^>]*>", page)
    assert 'sandbox="allow-scripts"' in frame
    assert 'width="300" height="250"' in frame
