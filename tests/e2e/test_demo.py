"""`grosz demo` shows what it promises: bids, money that is audited, and a shop that was made through the API alone."""

import re
from pathlib import Path

import pytest

from admin.cli.demo_shop import SHOP
from tests.kit.processes import grosz


@pytest.mark.timeout(240)
def test_the_shop_that_the_demo_makes_through_the_api_bids_also_when_it_is_run_again(tmp_path: Path) -> None:
    # Settings that are exported in the same shell: the demo takes none of them and touches none of their servers.
    settings = {"GROSZ_TRACK_PUBLIC_URL": "https://track.example", "GROSZ_REDIS_URL": "redis://127.0.0.1:1"}
    for _ in range(2):  # the second time in the same data directory, where the first administrator and the shop are
        done = grosz("demo", "--duration", "8", "--data", str(tmp_path), environ={"COLUMNS": "120", **settings})
        log = (tmp_path / "demo.log").read_text(errors="replace")[-3000:]
        assert done.returncode == 0, done.stdout + done.stderr + log
        row = re.search(rf"{SHOP} \(by the API\)\W+([\d,]+) bids, ([\d,]+) impressions", done.stdout)
        assert row is not None, done.stdout
        assert int(row[1].replace(",", "")) > 0
        assert "every counter agrees with the ledger" in done.stdout
