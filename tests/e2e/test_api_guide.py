"""docs/api.md does what it says: every command on it, in order, from the setup link to the bid."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.fixtures import REPOSITORY
from tests.kit.guides import PATIENT
from tests.kit.processes import RunningGrosz, clean_environment, grosz

GUIDE = REPOSITORY / "docs" / "api.md"

# A bid has a fifth of a second, which may pass where other tests have the processor: it is asked for again then.
ASKING = """
curl() {
  local answer tries
  case $* in */openrtb2/*) tries="1 2 3 4 5" ;; *) command curl "$@"; return ;; esac
  for _ in $tries; do
    answer=$(command curl "$@") || return
    [ -z "$answer" ] || break
  done
  printf '%s\\n' "$answer"
}
"""

FIELD = """
set -euo pipefail
field() { "$PYTHON" -c '
import json, sys
value = json.load(sys.stdin)[sys.argv[1]]
print(value if isinstance(value, str) else json.dumps(value))' "$1"; }
"""


def commands() -> str:
    """The shell blocks of the guide, one after the other."""
    blocks = re.findall(r"^```sh\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 8
    return PATIENT + ASKING + FIELD + "\n".join(blocks)


@pytest.mark.needs_package("curl")
@pytest.mark.timeout(180)
def test_the_guide_leads_a_newcomer_to_a_bid_for_an_abandoned_cart(tmp_path: Path) -> None:
    with RunningGrosz(tmp_path / "data") as running:
        link = grosz("setup-link", "--data", str(tmp_path / "data")).stdout
        token = re.search(r"http://\S+/setup\?token=(\S+)", link)
        assert token is not None
        environ = clean_environment() | {
            "ADMIN": running.urls["admin"],
            "TRACK": running.urls["track"],
            "BID": running.urls["bid"],
            "SETUP_TOKEN": token[1],
            "PYTHON": sys.executable,
        }
        done = subprocess.run(
            ["bash", "-c", commands()], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        (seat,) = json.loads((tmp_path / "bid.json").read_text())["seatbid"]
        (bid,) = seat["bid"]
        assert bid["price"] > 12, "the cart raises the bid"
        assert "Your shoes are waiting" in bid["adm"]
        # Nobody has been at the shop yet when the line item is made, and the guide says so.
        warned = json.loads((tmp_path / "line-item-made.json").read_text())["warnings"]
        assert [warning["code"] for warning in warned] == ["segment_empty"]
        again = subprocess.run(
            ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", f"{environ['ADMIN']}/v1/me"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert again.stdout == "401", "nothing is told without a key"
