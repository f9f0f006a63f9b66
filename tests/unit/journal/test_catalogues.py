"""Kept catalogues: whole or not at all, the nearest one for a version, and gone when they are old."""

import os
from pathlib import Path

from journal.catalogues import CatalogueFiles
from tests.kit.catalogues import catalogue, line_item

DAY_S = 86_400


def test_a_version_is_kept_once_and_read_back(tmp_path: Path) -> None:
    files = CatalogueFiles(tmp_path / "catalogues")
    assert files.versions() == []
    assert files.nearest(3) is None
    found = catalogue(line_item(1), version=3)
    assert files.keep(found)
    assert not files.keep(found)
    assert files.read(3) == found
    assert [path.stat().st_mode & 0o077 for path in (tmp_path / "catalogues").iterdir()] == [0]


def test_the_version_before_stands_for_one_that_is_missing(tmp_path: Path) -> None:
    files = CatalogueFiles(tmp_path)
    for version in (3, 7):
        files.keep(catalogue(line_item(1), version=version))
    assert [files.nearest(version) for version in (1, 3, 5, 7, 9)] == [3, 3, 3, 7, 7]


def test_old_versions_go_but_for_the_one_that_was_in_force(tmp_path: Path) -> None:
    files = CatalogueFiles(tmp_path)
    for version, days in ((1, 30), (2, 20), (3, 5), (4, 1)):
        files.keep(catalogue(line_item(1), version=version))
        os.utime(tmp_path / f"{version:012d}.catalogue", (100 * DAY_S - days * DAY_S,) * 2)
    assert files.tidy(100 * DAY_S * 1000, 14) == 1
    assert files.versions() == [2, 3, 4]
