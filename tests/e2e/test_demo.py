"""`grosz demo` shows what it promises: bids, money that is audited, and a shop that was made through the API alone."""

import json
import re
from pathlib import Path

import pytest

from admin.cli.demo_shop import REPORTED, SHOP
from tests.kit.processes import grosz

SPEND, MONEY = REPORTED.index("spend"), ("spend", "cost_of_order", "cpa")


def shops_of_table(output: str) -> dict[str, list[str]]:
    """Figures of the demo's table of shops, by name of the shop."""
    lines = output.partition("What an order cost")[2].splitlines()
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if line.startswith("│")]
    return {name: figures for name, *figures in rows}


def shops_of_report(data: Path) -> dict[str, list[str]]:
    """The same of `grosz report`, written as the table writes them."""
    asked = [argument for measure in REPORTED for argument in ("--measure", measure)]
    done = grosz("report", "--by", "advertiser", *asked, "--json", "--data", str(data))
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    return {
        answer["names"]["advertiser"][str(row[0])]: [
            written(measure, value, row[1]) for measure, value in zip(REPORTED, row[2:], strict=True)
        ]
        for row in answer["rows"]
    }


def written(measure: str, value: object, currency: str) -> str:
    if value is None:
        return "-"
    if measure in MONEY:
        return f"{float(str(value)):.2f} {currency}"
    return f"{value:.2f}" if measure == "roas" else str(value)


def demo_in(data: Path) -> str:
    """What a demo prints that went well."""
    # Settings that are exported in the same shell: the demo takes none of them and touches none of their servers.
    settings = {"GROSZ_TRACK_PUBLIC_URL": "https://track.example", "GROSZ_REDIS_URL": "redis://127.0.0.1:1"}
    done = grosz("demo", "--duration", "8", "--data", str(data), environ={"COLUMNS": "120", **settings})
    log = (data / "demo.log").read_text(errors="replace")[-3000:]
    assert done.returncode == 0, done.stdout + done.stderr + log
    row = re.search(rf"{SHOP} \(by the API\)\W+([\d,]+) bids, ([\d,]+) impressions", done.stdout)
    assert row is not None, done.stdout
    assert int(row[1].replace(",", "")) > 0
    assert "every counter agrees with the ledger" in done.stdout
    return done.stdout


@pytest.mark.timeout(300)
def test_the_shop_that_the_demo_makes_through_the_api_bids_also_when_it_is_run_again(tmp_path: Path) -> None:
    demo_in(tmp_path)
    shown = demo_in(tmp_path)  # in the same data directory, where the first administrator and the shop are
    shops = shops_of_table(shown)
    assert float(shops[SHOP][SPEND].split()[0]) > 0
    assert shops == shops_of_report(tmp_path)
    # By the server that wrote the data: the demo takes no setting that names another.
    done = grosz("audit", "--data", str(tmp_path), environ={"GROSZ_REDIS_PROGRAM": ""})
    audited = done.stdout
    assert re.search(r"the journal, .*, is compared up to its newest bill, of .*; 0 newer rows .* wait\n", audited), (
        done.stderr
    )
