"""Whatever texts an advertiser writes, every version of VAST is valid by the IAB's schema and says these texts."""

import functools
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import msgspec
import pytest
import xmlschema
from hypothesis import given, settings
from hypothesis import strategies as st

from core.model import Creative
from core.spot import Companion, MediaFile, Spot, Verification
from creatives.formats import spots
from creatives.formats.vast import NAMESPACE, VERSIONS
from creatives.macros import TOKEN
from tests.kit.spots import TRACKER, audio_creative, player, video_creative

SCHEMAS = {
    2: "vast_2.0.1.xsd", 3: "vast3_draft.xsd", 7: "vast4.xsd", 11: "vast_4.1.xsd", 13: "vast_4.2.xsd",
}  # fmt: skip

TEXTS = st.text(max_size=40)
# What an address may have: anything but white space and what it cannot have at all, as the check at saving demands.
ADDRESSES = st.text(st.characters(categories=("L", "N", "P", "S"), exclude_characters="\u2028\u2029"), max_size=30).map(
    lambda tail: f"https://cdn.example/{tail.replace('%', '')}"
)
FILES = st.builds(
    MediaFile,
    url=ADDRESSES,
    mime=st.just("video/mp4"),
    width=st.integers(1, 4_000),
    height=st.integers(1, 4_000),
    bitrate_kbps=st.integers(0, 10_000),
)
COMPANIONS = st.one_of(
    st.builds(Companion, width=st.just(300), height=st.just(250), image_url=ADDRESSES, alt_text=TEXTS),
    st.builds(Companion, width=st.just(728), height=st.just(90), html=TEXTS.filter(lambda text: bool(text.strip()))),
    st.builds(Companion, width=st.just(320), height=st.just(50), frame_url=ADDRESSES),
)
SPOTS = st.builds(
    Spot,
    duration_ms=st.integers(1, 600_000),
    media=st.lists(FILES, min_size=1, max_size=8).map(tuple),
    skip_after_s=st.none() | st.integers(0, 599),
    companions=st.lists(COMPANIONS, max_size=4).map(tuple),
    verifications=st.lists(
        st.builds(
            Verification, vendor=TEXTS, url=ADDRESSES, parameters=TEXTS, not_executed_url=ADDRESSES | st.just("")
        ),
        max_size=2,
    ).map(tuple),
    universal_ad_id=TEXTS,
    universal_ad_registry=TEXTS,
)


@functools.cache
def schema(folder: Path, protocol: int) -> xmlschema.XMLSchema:
    return xmlschema.XMLSchema(str(folder / "vast" / SCHEMAS[protocol]))


def markup_of(creative: Creative, protocol: int) -> str:
    kind = creative.format.value
    ad = spots.render(creative, player(kind, protocols=(protocol,), mimes=("video/mp4", "audio/mpeg")), TRACKER)
    assert ad.markup
    return ad.markup.replace(TOKEN, "AbC-_1")


def faults(folder: Path, creative: Creative, protocol: int) -> list[str]:
    found = schema(folder, protocol).iter_errors(markup_of(creative, protocol))
    return [f"{fault.path}: {fault.reason}" for fault in found]


@pytest.fixture(scope="session")
def schemas(corpus: Path) -> Path:
    """The folder of the corpus, with the IAB's schemas in it."""
    missing = [name for name in SCHEMAS.values() if not (corpus / "vast" / name).is_file()]
    assert not missing, f"{corpus}/vast lacks {missing}"
    return corpus


@pytest.mark.parametrize("protocol", VERSIONS)
@settings(max_examples=40, deadline=None)
@given(spot=SPOTS, name=TEXTS, advertiser=TEXTS, landing=ADDRESSES, privacy=ADDRESSES | st.just(""))
def test_every_version_is_valid_whatever_is_written(
    schemas: Path, protocol: int, spot: Spot, name: str, advertiser: str, landing: str, privacy: str
) -> None:
    creative = video_creative(
        spot=spot, name=name, advertiser_domain=advertiser, landing_url=landing, privacy_url=privacy
    )
    assert faults(schemas, creative, protocol) == []


@pytest.mark.parametrize("protocol", [each for each in VERSIONS if each != 2])
@settings(max_examples=20, deadline=None)
@given(spot=SPOTS, name=TEXTS)
def test_sound_is_valid_too(schemas: Path, protocol: int, spot: Spot, name: str) -> None:
    files = tuple(msgspec.structs.replace(each, mime="audio/mpeg", width=0, height=0) for each in spot.media)
    creative = audio_creative(spot=msgspec.structs.replace(spot, media=files), name=name)
    assert faults(schemas, creative, protocol) == []


@pytest.mark.parametrize("protocol", VERSIONS)
def test_the_schemas_refuse_what_is_wrong(schemas: Path, protocol: int) -> None:
    markup = markup_of(video_creative(), protocol)
    assert list(schema(schemas, protocol).iter_errors(markup.replace("Duration>", "Length>")))
    assert list(schema(schemas, protocol).iter_errors(markup.replace('delivery="progressive"', 'delivery="fast"')))


@pytest.mark.parametrize("protocol", VERSIONS)
@settings(deadline=None)
@given(spot=SPOTS, name=TEXTS, advertiser=TEXTS)
def test_nothing_that_is_written_becomes_markup_or_is_empty(
    protocol: int, spot: Spot, name: str, advertiser: str
) -> None:
    creative = video_creative(spot=spot, name=name, advertiser_domain=advertiser, privacy_url="https://x.example/?a&b")
    markup = markup_of(creative, protocol)
    root = ElementTree.fromstring(markup)  # noqa: S314 - our own
    space = f"{{{NAMESPACE}}}" if protocol >= 7 else ""
    files = [element.text for element in root.iter(f"{space}MediaFile")]
    assert set(files) <= {each.url for each in spot.media}
    assert len(files) == min(len(spot.media), 6)
    for element in root.iter():
        assert len(element) or (element.text or "").strip(), element.tag
    known = {
        "VAST", "Ad", "InLine", "AdSystem", "AdTitle", "Advertiser", "Error", "Impression", "ViewableImpression",
        "Viewable", "NotViewable", "ViewUndetermined", "AdServingId", "AdVerifications", "Verification",
        "JavaScriptResource", "TrackingEvents", "Tracking", "VerificationParameters", "Creatives", "Creative", "Linear",
        "Duration", "MediaFiles", "MediaFile", "VideoClicks", "ClickThrough", "UniversalAdId", "CompanionAds",
        "Companion", "StaticResource", "HTMLResource", "IFrameResource", "AltText", "CompanionClickThrough",
        "Extensions", "Extension", "Icons", "Icon", "IconClicks", "IconClickThrough",
    }  # fmt: skip
    assert {element.tag.removeprefix(space) for element in root.iter()} <= known
