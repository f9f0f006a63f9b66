"""Pages of docs/ whose commands a test runs: their blocks, a shell with `grosz` in it, an API key for them."""

import json
import re
import urllib.request
from pathlib import Path

from tests.kit.fixtures import REPOSITORY
from tests.kit.processes import RunningGrosz, grosz

# A page's reader waits whole seconds for an event to come through; where other tests have the processor, that is too
# short, so such pauses are five times as long.
PATIENT = """
sleep() { case $1 in 0.*) command sleep "$1" ;; *) command sleep $((5 * $1)) ;; esac; }
"""

GROSZ = f"""
set -euo pipefail
{PATIENT}
grosz() {{ (export PYTHONPATH="{REPOSITORY}"; "$PYTHON" -m admin.cli "$@"); }}
"""
"""What a script of a page begins with."""


def blocks(page: str) -> list[str]:
    """The shell blocks of a page, in order."""
    text = (REPOSITORY / "docs" / page).read_text(encoding="utf-8")
    return re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def make_key(running: RunningGrosz, data: Path) -> str:
    """An API key, made as docs/api.md says."""
    token = re.search(r"http://\S+/setup\?token=(\S+)", grosz("setup-link", "--data", str(data)).stdout)
    assert token is not None

    def call(path: str, body: dict[str, object], headers: dict[str, str]) -> tuple[dict[str, str], str]:
        request = urllib.request.Request(
            f"{running.urls['admin']}/v1/{path}",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"} | headers,
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer), answer.headers.get("Set-Cookie", "")

    person: dict[str, object] = {"email": "ada@szpilka.example", "password": "a long enough password"}
    call("setup", person | {"token": token[1], "name": "Ada"}, {})
    session, cookie = call("login", person, {})
    headers = {"X-CSRF-Token": session["csrf_token"], "Cookie": cookie.partition(";")[0]}
    return call("api-keys", {"name": "Guide", "scopes": ["read", "trade"]}, headers)[0]["secret"]
