from pathlib import Path

import pytest

from loadtest.judging import audit as auditing
from loadtest.judging.audit import LedgerLine, audit, ledger_of_command, load_ledger, read_ledger, settled_audit
from loadtest.judging.books import Books
from loadtest.measure.tally import BillKey, BillLine
from loadtest.traffic.scenario import ScenarioError

BILL = {
    "70:PLN": BillLine(exact_micros=4_520, impressions=3),
    "71:PLN": BillLine(exact_micros=1_010, impressions=1),
}
LEDGER = {BillKey("70", "PLN"): LedgerLine(4_520, 3), BillKey("71", "PLN"): LedgerLine(1_010, 1)}


def test_a_ledger_that_says_the_same_agrees() -> None:
    report = audit(BILL, LEDGER)
    assert report.agrees
    assert report.summary == "2 accounts, 0.005530 PLN in the ledger, every one agrees"


@pytest.mark.parametrize("difference", [-1, 1])
def test_a_difference_of_one_micro_fails(difference: int) -> None:
    ledger = LEDGER | {BillKey("71", "PLN"): LedgerLine(1_010 + difference, 1)}
    report = audit(BILL, ledger)
    assert not report.agrees
    assert [line.account for line in report.lines if not line.agrees] == ["71"]
    assert "1 DIFFER" in report.summary


@pytest.mark.parametrize(
    "ledger",
    [
        {},
        {BillKey("70", "PLN"): LedgerLine(4_520, 3)},
        LEDGER | {BillKey("72", "PLN"): LedgerLine(1, 1)},
        LEDGER | {BillKey("70", "PLN"): LedgerLine(4_520, 4)},
        {BillKey("70", "EUR"): LedgerLine(4_520, 3), BillKey("71", "PLN"): LedgerLine(1_010, 1)},
    ],
    ids=["empty", "a line missing", "a line too many", "an impression too many", "another currency"],
)
def test_every_other_difference_fails_too(ledger: dict[BillKey, LedgerLine]) -> None:
    assert not audit(BILL, ledger).agrees


def test_what_was_in_the_ledger_before_is_not_billed_to_this_run() -> None:
    before = {BillKey("70", "PLN"): LedgerLine(100, 1), BillKey("9", "PLN"): LedgerLine(7, 1)}
    after = {key: LedgerLine(line.micros, line.impressions) for key, line in LEDGER.items()}
    after[BillKey("70", "PLN")] = LedgerLine(4_620, 4)
    after[BillKey("9", "PLN")] = LedgerLine(7, 1)
    assert audit(BILL, after, before).agrees


@pytest.mark.parametrize(("micros", "agrees"), [(1_009, False), (1_010, True), (2_000, True), (3_001, False)])
def test_an_impression_without_a_price_must_lie_between_floor_and_bid(micros: int, agrees: bool) -> None:
    bill = {"70:PLN": BillLine(impressions=1, unpriced=1, low_micros=1_010, high_micros=3_000)}
    assert audit(bill, {BillKey("70", "PLN"): LedgerLine(micros, 1)}).agrees is agrees


@pytest.mark.parametrize(("line", "agrees"), [((0, 0), True), ((2_000, 1), True), ((2_000, 2), False)])
def test_a_bill_in_doubt_may_be_settled_or_not(line: tuple[int, int], agrees: bool) -> None:
    bill = {"70:PLN": BillLine(doubtful=1, high_micros=3_000)}
    report = audit(bill, {BillKey("70", "PLN"): LedgerLine(*line)})
    assert report.agrees is agrees
    assert "1 unanswered notices" in report.summary


def test_line_items_that_bids_do_not_tell_apart_are_added_up() -> None:
    bill = {"70+71:PLN": BillLine(exact_micros=5_530, impressions=4), "72:PLN": BillLine(exact_micros=9, impressions=1)}
    ledger = LEDGER | {BillKey("72", "PLN"): LedgerLine(9, 1)}
    books = Books({}, {"70": "70+71", "71": "70+71", "72": "72"}, {}, {})
    assert audit(bill, ledger, books=books).agrees
    assert not audit(bill, ledger, books=Books({}, {"70": "70+71", "71": "71+73", "72": "72"}, {}, {})).agrees
    assert audit(bill, ledger, {BillKey("71", "PLN"): LedgerLine(1, 0)}, books).lines[0].ledger == 5_529


def test_a_bid_of_an_unknown_campaign_fails_the_audit_and_says_what_is_missing() -> None:
    report = audit({"campaign-7:PLN": BillLine(exact_micros=5_530, impressions=4)}, LEDGER)
    assert not report.agrees
    assert "campaign-7; give the bidder's present catalogue" in report.summary


def test_amounts_of_several_currencies_are_not_added_up() -> None:
    ledger = {BillKey("70", "PLN"): LedgerLine(1_000_000, 1), BillKey("71", "EUR"): LedgerLine(2_000_000, 1)}
    assert "2.000000 EUR, 1.000000 PLN in the ledger" in audit({}, ledger).summary


CSV = """day,advertiser_id,line_item_id,exchange_id,impressions,charge,currency
2026-11-01,1,70,1,3,0.004520,PLN
2026-11-01,1,71,1,1,0.001010,PLN
"""
SEVERAL_ROWS = """[{"line_item_id":70,"currency":"PLN","impressions":2,"charge_micros":4000},
{"line_item_id":70,"currency":"PLN","impressions":1,"charge_micros":520},
{"line_item_id":71,"currency":"PLN","impressions":1,"charge_micros":1010}]"""
ONE_OBJECT = """{"lines":[{"line_item":"70","currency":"PLN","impressions":3,"charge":"0.00452"},
{"line_item":"71","currency":"PLN","impressions":1,"charge":"0.00101"}]}"""
JSON_LINES = """{"line_item_id":70,"currency":"PLN","impressions":3,"charge_micros":4520}
{"line_item_id":71,"currency":"PLN","impressions":1,"charge_micros":1010}
"""


@pytest.mark.parametrize(
    "text",
    [CSV, SEVERAL_ROWS, ONE_OBJECT, JSON_LINES],
    ids=["csv", "json", "json object", "json lines"],
)
def test_an_export_is_read_to_the_micro(text: str) -> None:
    assert read_ledger(text) == LEDGER


def test_an_empty_ledger_is_one() -> None:
    assert read_ledger(CSV.splitlines()[0] + "\n") == {} == read_ledger("[]")


@pytest.mark.parametrize(
    "text", ["a,b\n1,2\n", '[{"line_item_id":1}]', CSV.replace("0.004520", "0.0045201"), CSV.replace("0.004520", "x")]
)
def test_an_export_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ScenarioError, match="cannot be read"):
        read_ledger(text)


def test_files_are_read_or_refused(tmp_path: Path) -> None:
    (tmp_path / "ledger.csv").write_text(CSV)
    assert load_ledger(tmp_path / "ledger.csv") == LEDGER
    with pytest.raises(ScenarioError, match="cannot be read"):
        load_ledger(tmp_path / "none")


async def test_the_ledger_of_a_command_is_what_it_prints(tmp_path: Path) -> None:
    (tmp_path / "ledger.csv").write_text(CSV)
    assert await ledger_of_command(f"cat '{tmp_path}/ledger.csv'") == LEDGER
    with pytest.raises(ScenarioError, match="ended with 3"):
        await ledger_of_command("exit 3")


async def test_a_ledger_command_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditing, "LEDGER_COMMAND_S", 0.05)
    with pytest.raises(ScenarioError, match="took longer"):
        await ledger_of_command("sleep 600 | cat")


async def test_a_ledger_that_is_written_a_moment_later_is_waited_for_and_one_that_never_agrees_is_not() -> None:
    reads = [{}, {BillKey("70", "PLN"): LedgerLine(4_520, 3)}, LEDGER]

    async def read() -> dict[BillKey, LedgerLine]:
        return reads.pop(0) if len(reads) > 1 else reads[0]

    assert (await settled_audit(BILL, read, {}, pause_s=0.0)).agrees
    reads[:] = [{}]
    assert not (await settled_audit(BILL, read, {}, attempts=3, pause_s=0.0)).agrees
