"""docs/events.md does what it says: every command on it, in order, and its page in a real browser."""

import functools
import http.server
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.kit.fixtures import REPOSITORY
from tests.kit.guides import PATIENT
from tests.kit.processes import RunningGrosz, clean_environment

GROSZ = f"""
set -euo pipefail
{PATIENT}
touch terminal
. ./terminal
grosz() {{ (export PYTHONPATH="{REPOSITORY}"; "$PYTHON" -m admin.cli "$@"); }}
"""
FRESH_S = 60.0


class Quiet(http.server.SimpleHTTPRequestHandler):
    """`python3 -m http.server` without its log."""

    def log_message(self, format: str, *args: object) -> None:
        pass


class Guide:
    """A newcomer's terminal."""

    def __init__(self, folder: Path, running: RunningGrosz) -> None:
        self._folder = folder
        text = (REPOSITORY / "docs" / "events.md").read_text(encoding="utf-8")
        self.blocks = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        self._environ = clean_environment() | {
            "TRACK": running.urls["track"], "ADMIN": running.urls["admin"], "PYTHON": sys.executable,
            "GROSZ_DATA_DIRECTORY": str(folder / "data"),
        }  # fmt: skip

    def run(self, *blocks: str) -> str:
        """What the commands print; what they export is there for the next ones, as in one terminal."""
        keep = "export -p | grep -E ' (SHOP|KEY)=' >terminal || true"
        done = subprocess.run(
            ["bash", "-c", "\n".join((GROSZ, *blocks, keep))], cwd=self._folder, env=self._environ, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def open_page(self) -> None:
        """Serve the folder and look at its page."""
        handler = functools.partial(Quiet, directory=str(self._folder))
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            url = f"http://127.0.0.1:{server.server_address[1]}/"
            subprocess.run(
                ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000",
                 f"--user-data-dir={self._folder / 'browser'}", "--dump-dom", url],
                capture_output=True, check=False, timeout=60,
            )  # fmt: skip
            server.shutdown()

    def until(self, block: str, *wanted: str) -> str:
        """Look again until the commands print this, as somebody does who waits for the worker."""
        deadline = time.monotonic() + FRESH_S
        while True:
            printed = self.run(block)
            if all(re.search(text, printed, re.MULTILINE) for text in wanted):
                return printed
            assert time.monotonic() < deadline, printed


@pytest.mark.needs_package("chromium")
@pytest.mark.needs_package("curl")
@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", [(), ("--seed", "demo")], ids=["empty", "seeded"])
def test_the_guide_leads_a_newcomer_from_nothing_to_a_segment_that_fills(tmp_path: Path, seed: tuple[str, ...]) -> None:
    with RunningGrosz(tmp_path / "data", *seed) as running:
        guide = Guide(tmp_path, running)
        begin, page, look, server, files, webhook = guide.blocks
        printed = guide.run(begin, page)
        assert "cart_abandoners: " in printed
        assert len(re.findall(r"segment \d+ is made", printed)) == 2
        guide.open_page()
        printed = guide.until(look, r"Product viewers +1$", r"Cart abandoners by value +1$")
        for event in ("page_view", "login", "view_item", "add_to_cart"):
            assert re.search(rf"^{event} +\d{{4}}", printed, re.MULTILINE), printed
        assert printed.rstrip().endswith("\n1"), "the rule that is no segment yet"
        printed = guide.run(server, files, webhook)
        assert '{"results":[{"status":"accepted"}]}' in printed
        assert "accepted 1, unmatched 0, dropped 0, invalid 0" in printed
        assert "Checkout abandoners" in printed
        guide.until(look, r"Product viewers +0$", r"Cart abandoners by value +0$", r"^purchase ")
