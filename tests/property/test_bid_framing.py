"""A byte stream means the same requests wherever the network cuts it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from bidder.door.framing import Framing, Head
from bidder.door.http import HttpRefusal
from tests.kit.bid_port import chunked, post

Seen = list[tuple[object, ...]]


class Recorder:
    """Requests as comparable values."""

    def __init__(self) -> None:
        self.seen: Seen = []

    def request_complete(self, head: Head, body: bytes | bytearray) -> None:
        self.seen.append(
            (head.method, head.route, head.refusal, head.keeps_alive, head.gzips, head.gzipped, bytes(body))
        )

    def continue_expected(self) -> None:
        self.seen.append(("continue",))


BODIES = st.binary(max_size=60) | st.just(b"POST /openrtb2/demo HTTP/1.1\r\n\r\n") | st.just(b"0\r\n\r\n")
HEADERS = st.lists(
    st.sampled_from(
        [
            ("Content-Type", "application/json"), ("Content-Type", "text/plain"), ("Accept-Encoding", "gzip"),
            ("Content-Encoding", "gzip"), ("X-Empty", ""), ("Expect", "100-continue"), ("Connection", "keep-alive"),
            ("Upgrade", "h2c"), ("Connection", "upgrade"), ("Host", "again"), ("Content-Length", "7"),
            ("Bad Name", "x"),
        ]
    ),
    max_size=3,
)  # fmt: skip
REQUEST = st.one_of(
    st.builds(post, BODIES),
    st.builds(post, BODIES, headers=HEADERS),
    st.builds(
        post, BODIES, path=st.sampled_from(["/healthz", "/openrtb2/other"]), method=st.sampled_from(["GET", "PUT"])
    ),
    st.builds(chunked, st.lists(BODIES.filter(len), max_size=3), trailer=st.sampled_from([b"", b"X-T: v\r\n"])),
    st.just(b"\r\n"),
    st.just(b"nonsense\r\n\r\n"),
)


def read(pieces: list[bytes]) -> tuple[Seen, int]:
    """The requests, and the status of the refusal that ended the stream (0: none)."""
    recorder = Recorder()
    framing = Framing(recorder)
    try:
        for piece in pieces:
            framing.feed(piece)
    except HttpRefusal as refusal:
        return recorder.seen, refusal.status
    return recorder.seen, 0


@given(st.lists(REQUEST, min_size=1, max_size=5), st.data())
@settings(max_examples=200, deadline=None)
def test_the_cuts_of_the_network_do_not_matter(requests: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(requests)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=12)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert read(pieces) == read([stream])


@given(st.lists(REQUEST, min_size=1, max_size=3))
@settings(max_examples=100, deadline=None)
def test_single_bytes_mean_what_the_whole_means(requests: list[bytes]) -> None:
    stream = b"".join(requests)
    assert read([bytes([byte]) for byte in stream]) == read([stream])


@given(st.lists(BODIES, min_size=2, max_size=8), st.data())
@settings(max_examples=100, deadline=None)
def test_known_heads_change_nothing(bodies: list[bytes], data: st.DataObject) -> None:
    """One connection that learns the head gives what a fresh connection a request gives."""
    headers = data.draw(HEADERS)
    requests = [post(body, headers=headers) for body in bodies]
    together, refusal = read(requests)
    apart = [read([request]) for request in requests]
    if refusal == 0:
        assert together == [seen for seen_list, _ in apart for seen in seen_list]
    else:
        assert refusal == apart[0][1]
