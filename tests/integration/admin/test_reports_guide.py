"""docs/reports.md, from top to bottom: its commands are run, its questions asked, and every answer is one."""

import asyncio
import collections
import json
import re
import shlex
from pathlib import Path

from typer.testing import CliRunner

from admin.cli import app
from core.clock import ManualClock
from core.network.headers import Edge
from tests.integration.admin.conftest import make_shop
from tests.kit.api import running_api
from tests.kit.journal_rows import JournalFolder

PAGE = (Path(__file__).parents[3] / "docs" / "reports.md").read_text(encoding="utf-8")
# In the order of the page: a command, a question with its body, or a path that is read.
STEPS = re.compile(
    r"^    grosz (?P<command>report.*)$|^    POST (?P<path>\S+)\n(?P<body>(?:    .*\n)+)|`GET (?P<read>/v1/[^{`]*)`",
    re.MULTILINE,
)


async def test_what_the_page_asks_is_answered(valkey: str, clock: ManualClock, tmp_path: Path) -> None:
    journal = JournalFolder(tmp_path / "journal", clock)
    database = f"sqlite+aiosqlite:///{tmp_path / 'grosz.sqlite'}"
    edge = Edge("https://dsp.example")
    async with running_api(database, valkey, clock, archive=journal.archive, edge=edge) as api:
        await make_shop(api, "shoes")
        owner = await api.caller()
        secret = owner.headers["Authorization"].removeprefix("Bearer ")
        access = ["--url", str(api.client.make_url("/")), "--key", secret]
        done = collections.Counter[str]()
        for step in STEPS.finditer(PAGE):
            done[str(step.lastgroup)] += 1
            if step["command"]:
                arguments = [*shlex.split(step["command"]), *access]
                ran = await asyncio.to_thread(CliRunner().invoke, app, arguments)
                assert ran.exit_code == 0, (arguments, ran.output, ran.exception)
                continue
            if step["path"]:
                answer = await owner.post(step["path"], json.loads(step["body"]))
            else:
                answer = await owner.get(step["read"])
            assert answer.status in (200, 201), (step[0], answer.body)
        assert done["command"] >= 20
        assert done["body"] >= 2
        assert done["read"] >= 2
        assert PAGE.count("\n    grosz ") == done["command"]
    journal.close()
