import msgspec

from loadtest.measure.tally import LATENCY, MAX_EXAMPLES, BillKey, BillLine, Delta, Tally


def filled() -> Tally:
    tally = Tally()
    tally.offered, tally.answered = 3, 2
    tally.counts["won"] += 1
    tally.histograms[LATENCY].record(0.004)
    tally.violate("size", "1x1", "{}", "{}")
    tally.owe(BillKey("70", "PLN"), BillLine(exact_micros=5, impressions=1))
    return tally


def test_what_is_taken_adds_up_elsewhere_and_nothing_stays_behind() -> None:
    tally, total = filled(), Tally()
    for _ in range(2):
        delta = msgspec.json.decode(msgspec.json.encode(tally.take(1.0, 0.5, 1.0)), type=Delta)
        total.add(delta)
        tally.offered += 4
    assert (total.counts["offered"], total.counts["answered"], total.counts["won"]) == (7, 2, 1)
    assert total.histograms[LATENCY].total == 1
    assert (total.violations["size"], len(total.examples)) == (1, 1)
    assert total.bill == {"70:PLN": BillLine(exact_micros=5, impressions=1)}


def test_violations_are_counted_in_full_and_shown_in_part() -> None:
    tally = Tally()
    for kind in range(20):
        for _ in range(30):
            tally.violate(f"kind-{kind}", "", "", "")
    assert tally.violations.total() == 600
    assert len(tally.examples) == MAX_EXAMPLES


def test_lines_of_one_account_add_up() -> None:
    tally = Tally()
    for line in (
        BillLine(exact_micros=5, impressions=1),
        BillLine(low_micros=1, high_micros=3, unpriced=1, impressions=1),
    ):
        tally.owe(BillKey("70", "PLN"), line)
    assert tally.bill["70:PLN"] == BillLine(exact_micros=5, impressions=2, unpriced=1, low_micros=1, high_micros=3)
    assert BillKey.parse("campaign-7:PLN") == BillKey("campaign-7", "PLN")
