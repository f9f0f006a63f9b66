"""What bidders say of the catalogue that they run."""

import pytest

from core.catalogue.version_report import MAX_REASON_CHARS, VersionReport, decode_report, encode_report


@pytest.mark.parametrize(
    "report",
    [
        VersionReport(7, 1_790_000_000_000),
        VersionReport(-1, 0),
        VersionReport(7, 1_790_000_000_000, 8, "line item 3 refers to campaign 4, which is unknown"),
    ],
)
def test_a_report_comes_back_as_it_was_sent(report: VersionReport) -> None:
    assert decode_report(encode_report(report).encode()) == report


def test_a_report_of_an_older_bidder_and_a_very_long_reason_are_read() -> None:
    assert decode_report(b"17") == VersionReport(17, 0)
    long = decode_report(encode_report(VersionReport(1, 2, 3, "x" * 10_000)).encode())
    assert len(long.reason) == MAX_REASON_CHARS
