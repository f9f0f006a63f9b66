"""What documents, docstrings and comments point at is there: files, modules and their members, sections of pages."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.config import Settings
from tests.kit.fixtures import REPOSITORY

PACKAGES = ("core", "bidder", "segments", "pacing", "creatives", "journal", "admin", "loadtest")
PAGES = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")])
SOURCES = sorted(
    path for folder in (*PACKAGES, "tests", "scripts") for path in (REPOSITORY / folder).rglob("*.py")
    if "__pycache__" not in path.parts
)  # fmt: skip

# Decisions and the change log say what was true on their day.
HISTORY = {REPOSITORY / "CHANGELOG.md", *(REPOSITORY / "docs" / "decisions").glob("*.md")}

LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
PAGE_NAMED = re.compile(r"\b(docs/[\w/-]+\.(?:md|svg)|[A-Z_]+\.md)\b")
SECTION_NAMED = re.compile(r'\b(docs/[\w/-]+\.md), "([^"]+)"')
FILE_NAMED = re.compile(rf"(?<![\w/.])((?:{'|'.join(PACKAGES)}|tests|scripts)/[\w/.-]+\.(?:py|lua|toml|json|js|sh))\b")
MODULE_NAMED = re.compile(rf"(?<![\w/.:@])((?:{'|'.join(PACKAGES)})(?:\.[a-zA-Z_]\w*)+)")


def anchor(heading: str) -> str:
    """The anchor of a heading, as code hosts make it: lower case, punctuation away, blanks to hyphens."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def headings(page: Path) -> list[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [re.sub(r"[`*]", "", heading) for heading in HEADING.findall(text)]


def broken_links(page: Path) -> Iterator[str]:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, section = target.partition("#")
        linked = (page.parent / name).resolve() if name else page
        if not linked.exists():
            yield f"{page.name}: {target}"
        elif section and section not in {anchor(heading) for heading in headings(linked)}:
            yield f"{page.name}: {target} names no section"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    assert list(broken_links(page)) == []


def texts() -> Iterator[tuple[Path, str]]:
    for path in (*PAGES, *SOURCES):
        if path not in HISTORY and path != Path(__file__):
            yield path.relative_to(REPOSITORY), path.read_text(encoding="utf-8")


def test_pages_and_files_that_are_named_exist() -> None:
    missing = [
        f"{path}: {name}"
        for path, text in texts()
        for pattern in (PAGE_NAMED, FILE_NAMED)
        for name in pattern.findall(text)
        if "..." not in name and "NAME" not in name and not (REPOSITORY / name).exists()
    ]
    assert missing == []


def test_sections_that_are_named_exist() -> None:
    missing = [
        f"{path}: {page}, {section}"
        for path, text in texts()
        for page, section in SECTION_NAMED.findall(text)
        if not any(heading.startswith(section) for heading in headings(REPOSITORY / page))
    ]
    assert missing == []


def resolves(name: str) -> bool:
    """Whether `a.b.c` is a module, or a member of one."""
    parts = name.split(".")
    component = Settings.__annotations__.get(parts[0])
    if len(parts) == 2 and component is not None and parts[1] in component.__struct_fields__:
        return True  # a setting, as configuration files name it
    for length in range(len(parts), 0, -1):
        place = REPOSITORY.joinpath(*parts[:length])
        if not place.is_dir() and not place.with_suffix(".py").is_file():
            continue
        found: object = importlib.import_module(".".join(parts[:length]))
        for member in parts[length:]:
            if not hasattr(found, member) and member not in getattr(found, "__annotations__", {}):
                return False
            found = getattr(found, member, None)
        return True
    return False


# `bidder.log` is a file, `segments.eu` a host: what only looks like a module.
NO_MODULES = re.compile(r"\.(?:example|log|lock|remainder|toml|py|lua|json|service|sock|pid)\b|\.\*")


def prose(path: Path, text: str) -> str:
    """Of a source the comments and docstrings, of a page the text in backticks."""
    if path.suffix == ".md":
        return "\n".join(re.findall(r"`([^`\n]+)`", text))
    return "\n".join([*re.findall(r'"""(.*?)"""', text, re.DOTALL), *re.findall(r"#( .*)$", text, re.MULTILINE)])


def test_modules_that_are_named_exist() -> None:
    named = {
        (str(path), name)
        for path, text in texts()
        if path.parts[0] not in ("tests", "scripts")
        for name in MODULE_NAMED.findall(prose(path, text))
        if not NO_MODULES.search(name)
    }
    assert sorted(f"{path}: {name}" for path, name in named if not resolves(name)) == []
