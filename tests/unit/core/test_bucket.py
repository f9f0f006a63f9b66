"""What a store may answer that no store should: it is told in a sentence, and nothing is taken without end."""

import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core import bucket as bucket_module
from core.bucket import Bucket, BucketPlace, BucketUse
from core.errors import UnavailableError

SECRET = "the-secret-of-the-store"
MOST = 100_000


class OddStore:
    """An HTTP server whose answer to every request a test chooses."""

    def __init__(self) -> None:
        self.status, self.body, self.is_endless, self.says_length = 200, b"", False, 0
        store = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.close_connection = True
                self.send_response(store.status)
                if not store.is_endless:
                    self.send_header("Content-Length", str(store.says_length or len(store.body)))
                self.end_headers()
                try:
                    self.wfile.write(store.body)
                    while store.is_endless:
                        self.wfile.write(bytes(65_536))
                except OSError:
                    return  # whoever asked has heard enough

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def odd() -> Iterator[OddStore]:
    store = OddStore()
    yield store
    store.stop()


@pytest.fixture
def bucket(odd: OddStore) -> Bucket:
    place = BucketPlace("shops", odd.endpoint, "us-east-1", "a-key", SECRET, "grosz/")
    return Bucket(place, BucketUse("the store of tests", "tests."))


def told(ask: Callable[[], object]) -> str:
    """What the fault says; never whose keys were used, nor more than fits a line."""
    with pytest.raises(UnavailableError, match="the store of tests") as fault:
        ask()
    said = f"{fault.value.message} {fault.value.hint}"
    assert SECRET not in said
    assert "\n" not in said
    assert len(said) < 700
    return said


def listing(more: str) -> bytes:
    return f"<ListBucketResult><Contents><Key>grosz/a</Key></Contents>{more}</ListBucketResult>".encode()


DATED = listing("<Contents><Key>b</Key><LastModified>soon</LastModified></Contents><IsTruncated>false</IsTruncated>")


@pytest.mark.parametrize("body", [b"<html><p>Sign in to the network" + b" " * 5_000, b"\x00\n{}", DATED])
def test_a_listing_that_cannot_be_read_is_told_in_a_line(odd: OddStore, bucket: Bucket, body: bytes) -> None:
    odd.body = body
    told(lambda: list(bucket.names()))


@pytest.mark.parametrize("body", [b"", b"<html><p>Sign in to the network</p></html>", listing("")])
def test_a_listing_that_is_none_is_no_empty_bucket(odd: OddStore, bucket: Bucket, body: bytes) -> None:
    odd.body = body
    assert "no answer of such a store" in told(lambda: list(bucket.names()))


@pytest.mark.parametrize("status", [403, 500])
def test_a_refusal_that_is_no_xml_is_told_in_a_line(odd: OddStore, bucket: Bucket, status: int) -> None:
    odd.status, odd.body = status, b"<html>\n<p>not today" + b"x" * 5_000
    assert str(status) in told(lambda: bucket.read("a"))


def test_a_refusal_in_many_lines_is_told_in_one(odd: OddStore, bucket: Bucket) -> None:
    odd.status, odd.body = 403, b"<Error><Code>Nope</Code><Message>one\ntwo" + b"x" * 5_000 + b"</Message></Error>"
    assert "Nope" in told(lambda: bucket.read("a"))


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "more", ["<IsTruncated>true</IsTruncated>",
             "<IsTruncated>true</IsTruncated><NextContinuationToken>same</NextContinuationToken>"],
)  # fmt: skip
def test_a_listing_that_does_not_go_on_ends(odd: OddStore, bucket: Bucket, more: str) -> None:
    odd.body = listing(more)
    assert "no answer of such a store" in told(lambda: list(bucket.names()))


def test_a_listing_without_names_of_objects_is_told(odd: OddStore, bucket: Bucket) -> None:
    odd.body = listing("<Contents><Size>1</Size></Contents><IsTruncated>false</IsTruncated>")
    assert "no answer of such a store" in told(lambda: list(bucket.names()))


@pytest.mark.timeout(60)
def test_a_content_without_end_is_not_taken_into_memory(
    odd: OddStore, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket_module, "READ_BYTES", MOST)
    odd.is_endless = True
    assert f"more than {MOST} bytes" in told(lambda: bucket.read("a"))


@pytest.mark.timeout(60)
def test_a_file_without_end_does_not_fill_the_disk(odd: OddStore, bucket: Bucket, tmp_path: Path) -> None:
    odd.is_endless = True
    assert f"more than {MOST} bytes" in told(lambda: bucket.get("a", tmp_path / "a", MOST))
    assert (tmp_path / "a").stat().st_size <= MOST


def test_a_content_of_the_size_that_is_allowed_is_taken(odd: OddStore, bucket: Bucket, tmp_path: Path) -> None:
    odd.body = b"x" * MOST
    assert bucket.get("a", tmp_path / "a", MOST)
    assert (tmp_path / "a").read_bytes() == odd.body
    assert bucket.read("a") == odd.body


def test_a_content_that_is_cut_short_is_told(odd: OddStore, bucket: Bucket, tmp_path: Path) -> None:
    odd.body, odd.says_length = b"PAR1", 100
    told(lambda: bucket.read("a"))
    told(lambda: bucket.get("a", tmp_path / "a", MOST))
