"""What is read of ads.txt, app-ads.txt and sellers.json, as publishers and systems really write them."""

import pytest

from admin.supply.crawling import Declared, declared_in
from admin.supply.reading import FileKind, read_file, sellers_in
from core.errors import InputError

ADS = """# ads.txt of a newspaper
ssp.example, 4711, DIRECT, f08c47fec0942fa0 # our own account
SSP.example,4712,reseller;ext
 reseller.example ,  Ab 9 , RESELLER , \r
OWNERDOMAIN=wydawca.example
contact=ads@wydawca.example
broken line
ssp.example, , DIRECT
ssp.example, 13, PARTNER
"""


def test_records_are_read_and_everything_else_is_passed_over() -> None:
    assert list(sellers_in(ADS.splitlines())) == ["ssp.example/4711", "ssp.example/4712", "reseller.example/Ab 9"]


def test_a_page_is_no_file() -> None:
    with pytest.raises(InputError, match="web page"):
        read_file(FileKind.ADS_TXT, b"\n <!doctype html><title>404</title>", 1)


def test_a_byte_order_mark_and_bad_bytes_lose_no_record() -> None:
    file = read_file(FileKind.ADS_TXT, b"\xef\xbb\xbfssp.example,1,DIRECT\n\xff\xfe\nssp.example,2,DIRECT", 9)
    assert (file.read_ms, file.count, file.names("ssp.example/1"), file.names("ssp.example/2")) == (9, 2, True, True)


def test_sellers_are_known_by_their_ids_as_text_or_number() -> None:
    text = b'{"version": "1.0", "sellers": [{"seller_id": "4711", "name": "A"}, {"seller_id": 12}, {"name": "?"}]}'
    file = read_file(FileKind.SELLERS_JSON, text, 1)
    assert (file.count, file.names("4711"), file.names("12"), file.names("?")) == (2, True, True, False)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"sellers": 5}', b"\xff", b"[" * 100_000])
def test_what_is_no_list_of_sellers_is_refused(content: bytes) -> None:
    with pytest.raises(InputError, match=r"no sellers\.json"):
        read_file(FileKind.SELLERS_JSON, content, 1)


def test_a_file_beyond_its_bound_is_refused() -> None:
    with pytest.raises(InputError, match="larger than 4 MiB"):
        read_file(FileKind.ADS_TXT, b"#" * (4 * 1024**2 + 1), 1)


def test_a_list_of_domains_names_files() -> None:
    lines = [
        "# ours",
        "Buty.example",
        "app-ads.txt gry.example # games",
        "",
        "sellers.json ssp.example",
        "buty.example",
    ]
    assert declared_in(lines) == [
        Declared(FileKind.ADS_TXT, "buty.example"),
        Declared(FileKind.APP_ADS_TXT, "gry.example"),
        Declared(FileKind.SELLERS_JSON, "ssp.example"),
    ]


@pytest.mark.parametrize(
    "line", ["http://buty.example/ads.txt", "localhost", "ads.txt", "robots.txt buty.example", "a.example b.example"]
)
def test_what_is_no_domain_is_said_with_its_line(line: str) -> None:
    with pytest.raises(InputError) as caught:
        declared_in(["buty.example", line])
    assert [fault.pointer for fault in caught.value.faults] == ["line 2"]
