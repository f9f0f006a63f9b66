"""The console with many line items: what pages ask the database and send does not grow with the catalogue."""

import gzip
import re
from collections.abc import AsyncIterator

import pytest

from admin.console.kinds import PAGES
from core.clock import ManualClock
from tests.bench.admin_lists import fill
from tests.kit.api import Api, running_api
from tests.kit.console import Browser, person
from tests.kit.statements import Statements

MANY = 3_000
# Statements a page may need, the session's own included.
MOST_STATEMENTS = 25
MOST_BYTES = 60_000
CHARTS = ("/", "/line-items/100/delivery")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('many') / 'grosz.sqlite'}"


@pytest.fixture
async def many(directory: str, valkey: str, clock: ManualClock) -> AsyncIterator[Api]:
    async with running_api(directory, valkey, clock) as api:
        if not (await api.store.catalogue(0)).line_items:  # of one in fifty the catalogue has nothing: it is archived
            await fill(api.store, clock, MANY)
        yield api


async def test_no_page_reads_the_whole_catalogue(many: Api) -> None:
    """A row that SQLite looks at costs it about ten steps; the overview sums by an index, and says so here."""
    browser = await person(many, email="steps@szpilka.example")
    statements = Statements(many.store.database)
    bounds = dict.fromkeys(("/line-items", "/line-items?status=active&sort=name", "/campaigns"), 60000)
    bounds |= {"/line-items/100": 30_000, "/line-items/new": 40_000, "/start": 10_000, "/": 15 * MANY}
    for path, bound in bounds.items():
        statements.start()
        answer = await browser.get(path)
        assert answer.status == 200, answer.text
        assert statements.count <= MOST_STATEMENTS, path
        assert statements.steps <= bound, path


async def test_a_page_weighs_less_than_sixty_kilobytes_without_its_rows(many: Api) -> None:
    """As it travels: packed, with every script and style that it loads; lists are of a search that finds nothing."""
    browser = await person(many, email="weight@szpilka.example")
    empty = [f"/{name}?q=nothing+fits" for name in PAGES]
    for path in ("/", "/start", "/explain", "/account", *CHARTS, *empty, *(f"/{name}/new" for name in PAGES)):
        assert await weight(browser, path) < MOST_BYTES, path


async def weight(browser: Browser, path: str) -> int:
    answer = await browser.get(path)
    assert answer.status == 200, path
    total = len(gzip.compress(answer.text.encode()))
    for address in set(re.findall(r'(?:src|href)="(/console/[^"]+)"', answer.text)):
        total += len(gzip.compress((await browser.get(address)).text.encode()))
    return total
