"""Every dialect against its exchange, played by a simulator that knows nothing of the bidder's code: no answer breaks a
rule of that exchange, and the bill of all of them agrees with the ledger to the micro.
"""

import asyncio
import json
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec
import pytest

from core.dialects import DIALECTS, GENERIC
from loadtest.exchange.dialects import ENCRYPTION_KEY, INTEGRITY_KEY, MANNERS, SEATS, as_exchange
from loadtest.traffic.scenario import Scenario
from tests.e2e.test_scenarios import REGISTERED, Ran, assert_right, audited, shortened, side_by_side
from tests.kit.processes import RunningGrosz, grosz
from tests.kit.waiting import wait_until

PLAYED = sorted(set(MANNERS) - {GENERIC})


def exchange(number: int, name: str) -> dict[str, Any]:
    """How somebody would set such an exchange up."""
    made: dict[str, Any] = {"id": number, "key": name, "name": name, "dialect": name, "seat": SEATS[name]}
    if name == "xandr":
        made["review"] = "none"  # no review service is played here
    if name in ("google", "openx"):
        made |= {"encryption_key": ENCRYPTION_KEY, "integrity_key": INTEGRITY_KEY}
    return made


def played(name: str, up: RunningGrosz, catalogue: Path) -> Scenario:
    scenario = as_exchange(shortened("steady", up.urls, name, catalogue), name)
    notices = msgspec.structs.replace(scenario.notices, unreplaced_share=0.05)
    return msgspec.structs.replace(scenario, name=name, notices=notices)


def is_known(url: str, name: str) -> bool:
    """Whether the bidder has heard of an exchange: what is no request is 400 then, and 404 or 401 before."""
    request = urllib.request.Request(f"{url}/openrtb2/{name}", b"{", {"Content-Type": "application/json"})
    try:
        urllib.request.urlopen(request).close()
    except urllib.error.HTTPError as refusal:
        return refusal.code == HTTPStatus.BAD_REQUEST
    return True


@pytest.fixture(scope="module")
def exchanges() -> Iterator[Ran]:
    """One Grosz with the demo's shops, and all exchanges at once."""
    with tempfile.TemporaryDirectory(prefix="grosz-") as directory:
        data = Path(directory) / "data"
        with RunningGrosz(data, "--seed", "demo", environ=REGISTERED) as up:
            catalogue = data / "exported.json"
            done = grosz("catalogue", "export", str(catalogue), "--data", str(data))
            assert done.returncode == 0, done.stderr
            document = json.loads(catalogue.read_text())
            document["exchanges"] += [exchange(number, name) for number, name in enumerate(PLAYED, 11)]
            catalogue.write_text(json.dumps(document))
            done = grosz("catalogue", "import", str(catalogue), "--data", str(data))
            assert done.returncode == 0, done.stderr + done.stdout
            wait_until(lambda: all(is_known(up.urls["bid"], name) for name in PLAYED))
            reports = asyncio.run(side_by_side(*(played(name, up, catalogue) for name in PLAYED)))
            yield Ran(up.urls, reports, asyncio.run(audited(reports, data, catalogue)), data)


@pytest.mark.slow
@pytest.mark.parametrize("name", PLAYED)
def test_an_exchange_finds_nothing_wrong_with_the_answers_in_its_dialect(exchanges: Ran, name: str) -> None:
    report = exchanges.reports[name]
    assert_right(report)
    assert report.count("bids") > 10
    assert report.count("billed") > 3


@pytest.mark.slow
def test_the_bill_of_all_exchanges_agrees_to_the_micro(exchanges: Ran) -> None:
    assert exchanges.audit.agrees, exchanges.audit
    assert sum(line.ledger_impressions for line in exchanges.audit.lines) > 50


def test_every_dialect_is_played() -> None:
    assert set(MANNERS) == set(DIALECTS)
