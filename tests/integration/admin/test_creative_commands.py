"""`grosz creative preview`, `scan`, `approvals`, `decide` and `submit`, on a database of their own."""

import json
from pathlib import Path

import pytest

from admin.cli.previewing import offer_of, size_of
from core.errors import InputError
from tests.kit.catalogues import creative, native_creative
from tests.kit.media import picture
from tests.kit.openrtb import body_of, raw_request
from tests.kit.processes import grosz

REQUEST = {"id": "1", "imp": [{"id": "1", "banner": {"w": 300, "h": 250}}]}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation with a shop, a banner, and an exchange that reviews."""
    folder = tmp_path_factory.mktemp("grosz")
    shop = grosz("advertiser", "create", "--set=name=Szpilka", "--set=domain=szpilka.example", "--data", str(folder))
    assert shop.returncode == 0, shop.stderr
    document = {
        "advertiser_id": 1, "name": "red", "width": 300, "height": 250, "landing_url": "http://127.0.0.1:9/",
        "html": '<a href="${CLICK_URL}"><video src="http://cdn.example/a"></video></a>',
        "advertiser_domain": "szpilka.example",
    }  # fmt: skip
    (folder / "ad.json").write_text(json.dumps(document))
    made = grosz("creative", "create", "--file", str(folder / "ad.json"), "--data", str(folder))
    assert made.returncode == 0, made.stderr
    assert {"insecure", "undeclared_video", "other_domain"} <= set(_codes(folder))
    exchange = grosz("exchange", "create", "--set=key=ssp", "--set=review=before", "--data", str(folder))
    assert exchange.returncode == 0, exchange.stderr
    return folder


def _codes(folder: Path) -> list[str]:
    shown = grosz("creative", "show", "1", "--json", "--data", str(folder))
    return [warning["code"] for warning in json.loads(shown.stdout)["warnings"]]


def test_an_ad_is_written_as_page_picture_and_markup(data: Path, tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text(json.dumps(REQUEST))
    # Without a browser on the way, a plain card is the picture.
    done = grosz(
        "creative", "preview", "1", "--request", str(tmp_path / "request.json"), "--out", str(tmp_path / "out"),
        "--json", "--data", str(data), environ={"PATH": "/nowhere"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    written = json.loads(done.stdout)
    assert written["is_drawn"] is True
    assert Path(written["page"]).read_text().startswith("<!doctype html>")
    assert Path(written["picture"]).read_bytes().startswith(b"\x89PNG")
    assert "/t/click/preview?to=" in Path(written["markup"]).read_text()


def test_what_does_not_fit_is_said() -> None:
    assert offer_of(creative(1, 1), body_of(raw_request())).format == "banner"
    for broken in (b"{", body_of(raw_request(imp=[{"id": "1", "banner": {"w": 1, "h": 1}}]))):
        with pytest.raises(InputError):
            offer_of(creative(1, 1), broken)
    with pytest.raises(InputError, match="does not fit"):
        offer_of(native_creative(1, 1), body_of(raw_request()))
    assert size_of("300x250") == (300, 250)
    with pytest.raises(InputError, match="no size"):
        size_of("300")
    assert size_of("4096X1") == (4096, 1)
    for text in ("0x0", "300x0", "4097x1", "99999x99999", "9" * 5_000 + "x1", "-1x5", "٣x٤", "300x250 ", ""):
        with pytest.raises(InputError, match="no size of an ad"):
            size_of(text)


def test_a_scan_with_findings_fails(data: Path) -> None:
    done = grosz("creative", "scan", "1", "--json", "--data", str(data))
    assert done.returncode == 1
    found = {finding["code"] for finding in json.loads(done.stdout)["findings"]}
    assert {"insecure", "undeclared_video", "other_domain", "broken"} <= found


def test_decisions_are_noted_and_listed(data: Path) -> None:
    said = grosz("creative", "decide", "1", "1", "rejected", "--reason", "no", "--data", str(data))
    assert said.returncode == 0, said.stderr
    listed = grosz("creative", "approvals", "--state", "rejected", "--json", "--data", str(data))
    assert [(one["crid"], one["reason"]) for one in json.loads(listed.stdout)["items"]] == [("1-1", "no")]
    refused = grosz("creative", "submit", "1", "1", "--data", str(data))
    assert refused.returncode == 2
    assert "no interface" in refused.stderr


def test_files_are_uploaded_and_named_by_their_content(data: Path, tmp_path: Path) -> None:
    (tmp_path / "heels.png").write_bytes(picture())
    done = grosz("media", "upload", "1", str(tmp_path / "heels.png"), "--json", "--data", str(data))
    assert done.returncode == 0, done.stderr
    (kept,) = json.loads(done.stdout)
    name = kept["url"].rpartition("/")[2]
    assert (data / "media" / name).read_bytes() == picture()
    (tmp_path / "bad.png").write_bytes(b"<svg/>")
    refused = grosz("media", "upload", "1", str(tmp_path / "bad.png"), "--data", str(data))
    assert (refused.returncode, "bad.png: SVG" in refused.stderr) == (2, True)
    assert grosz("media", "upload", "9", str(tmp_path / "heels.png"), "--data", str(data)).returncode == 2
