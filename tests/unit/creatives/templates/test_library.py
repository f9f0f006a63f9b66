"""A folder is a template; what is wrong with it, or with a creative that uses it, is told."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from core.model import Creative, Format, ProductChoice, TemplateUse
from creatives.formats.table import check_creative
from creatives.templates.engine import TemplateError
from creatives.templates.library import OWN, AdTemplate, template_of, templates
from tests.kit.catalogues import creative

SIZES = {"300x250", "300x600", "728x90", "160x600", "320x50", "320x100", "970x250", "336x280", "1080x1080"}


def ad(name: str = "grid", size: tuple[int, int] = (300, 250), **parameters: str) -> Creative:
    use = TemplateUse(name=name, parameters=parameters)
    return creative(1, 1, size, html="", products=ProductChoice(), template=use)


def test_there_are_four_of_banners_in_nine_sizes() -> None:
    banners = [each for each in templates().values() if each.schema.format is Format.BANNER]
    assert len(banners) >= 4
    assert all(set(each.schema.sizes) == SIZES for each in banners)


def test_a_creative_with_a_template_is_sound() -> None:
    for name, template in templates().items():
        if template.schema.format is Format.BANNER:
            assert check_creative(ad(name, shop="Szpilka", accent="#c9184a", show_discount="no")) == []


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        (ad("nothing"), "/template/name"),
        (ad(size=(301, 250)), "/width"),
        (ad(colour="red"), "/template/parameters/colour"),
        (ad(accent="red"), "/template/parameters/accent"),
        (ad(logo="javascript:x"), "/template/parameters/logo"),
        (ad(show_discount="maybe"), "/template/parameters/show_discount"),
        (ad(call="x" * 30), "/template/parameters/call"),
        (ad(text="#888888"), "/template/parameters/text"),
        (msgspec.structs.replace(ad(), products=None), "/products"),
        (msgspec.structs.replace(ad(), html="<b>${CLICK_URL}"), "/html"),
    ],
)
def test_what_is_wrong_with_a_creative_is_told(wrong: Creative, pointer: str) -> None:
    assert [fault.pointer for fault in check_creative(wrong)] == [pointer]


def changed(folder: Path, name: str, text: str) -> Path:
    copy = folder / "own"
    shutil.copytree(OWN / "grid", copy)
    (copy / name).write_text(text)
    return copy


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ad.html", "<script></script>"), ("ad.html", "{{ nobody }}"), ("style.css", "a{background:url(x)}"),
        ("product.html", "{{ title.x }}"), ("template.json", "{}"), ("template.json", "no"), ("ad.html", "x" * 70_000),
        ("ad.html", "{% if width %}" * 1_000 + "{% endif %}" * 1_000),
    ],
)  # fmt: skip
def test_a_folder_that_is_no_template_is_refused(name: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(TemplateError):
        AdTemplate(changed(tmp_path, name, text))


def test_a_default_is_one_that_a_creative_could_set(tmp_path: Path) -> None:
    schema: dict[str, Any] = json.loads((OWN / "grid" / "template.json").read_text())
    schema["parameters"]["background"]["default"] = "red"
    with pytest.raises(TemplateError, match="default of the parameter background is no colour"):
        AdTemplate(changed(tmp_path, "template.json", json.dumps(schema)))


@pytest.mark.parametrize(
    "name", ["title", "price", "width", "true", "none", "if", "range", "self", "a-b", "1st", "", "ż"]
)
def test_a_parameter_does_not_take_the_place_of_what_is_filled_in_already(name: str, tmp_path: Path) -> None:
    schema: dict[str, Any] = json.loads((OWN / "grid" / "template.json").read_text())
    schema["parameters"][name] = {"kind": "text", "about": "a text"}
    with pytest.raises(TemplateError, match=f"no parameter may be called {name}"):
        AdTemplate(changed(tmp_path, "template.json", json.dumps(schema)))


def test_a_file_without_an_end_is_not_waited_for(tmp_path: Path) -> None:
    folder = changed(tmp_path, "style.css", "")
    (folder / "style.css").unlink()
    os.mkfifo(folder / "style.css")
    with pytest.raises(TemplateError, match="is no file"):
        AdTemplate(folder)


def test_folders_of_other_programs_are_no_templates_and_a_missing_one_is_told(tmp_path: Path) -> None:
    changed(tmp_path, "style.css", "")
    (tmp_path / ".git").mkdir()
    (tmp_path / "..data").symlink_to(tmp_path / "own")
    assert set(templates(str(tmp_path))) - set(templates()) == {"own"}
    with pytest.raises(TemplateError, match="cannot be read: No such file"):
        templates(str(tmp_path / "away"))


def test_a_shop_has_templates_of_its_own(tmp_path: Path) -> None:
    schema: dict[str, Any] = json.loads((OWN / "grid" / "template.json").read_text())
    schema["parameters"]["motto"] = {"kind": "text", "about": "ours"}
    changed(tmp_path, "template.json", json.dumps(schema))
    found = templates(str(tmp_path))
    assert found["own"].values({"motto": "x"})["motto"] == "x"
    assert found["grid"].name == "grid"
    assert template_of("own") is None  # until the process is told of the folder
