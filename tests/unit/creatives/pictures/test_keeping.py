"""Scaled pictures are kept within a bound: those that were shown last."""

from pathlib import Path

from creatives.pictures.keeping import FRESH_S, MAX_AGE_S, PictureFolder


def test_what_is_kept_is_found_fresh_then_stale_then_not(tmp_path: Path) -> None:
    folder = PictureFolder(tmp_path)
    folder.keep("a", b"picture")
    made_s = next(tmp_path.glob("*/*")).stat().st_mtime
    assert folder.find("a", made_s + 1) == (b"picture", True)
    assert folder.find("a", made_s + FRESH_S + 1) == (b"picture", False)
    assert folder.find("a", made_s + MAX_AGE_S + 1) is None
    assert folder.find("b", made_s) is None


def test_the_longest_unseen_go_first(tmp_path: Path) -> None:
    folder = PictureFolder(tmp_path, most_bytes=1_000)
    for number in range(8):
        folder.keep(str(number), b"x" * 100)
    made_s = max(path.stat().st_mtime for path in tmp_path.glob("*/*"))
    for number in range(8):
        folder.find(str(number), made_s + 10 + number)
    folder.find("0", made_s + 100)  # seen last
    for number in range(8, 13):
        folder.keep(str(number), b"x" * 100)
        folder.find(str(number), made_s + 200 + number)
    folder.make_room(made_s + 300)
    kept = {number for number in range(13) if folder.find(str(number), made_s + 300)}
    assert sum(path.stat().st_size for path in tmp_path.glob("*/*")) <= 1_000
    assert {0, 11, 12} <= kept
    assert 1 not in kept


def test_what_is_too_old_goes_and_leftovers_with_it(tmp_path: Path) -> None:
    folder = PictureFolder(tmp_path)
    folder.keep("a", b"x")
    (next(tmp_path.glob("*")) / "b.part").write_bytes(b"half")
    made_s = next(tmp_path.glob("*/*")).stat().st_mtime
    assert folder.make_room(made_s + MAX_AGE_S + 10) == 2
