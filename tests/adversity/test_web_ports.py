"""Tracker and admin under senders who mean harm: bombs, half requests, floods; and what is left of them in logs."""

import asyncio
import functools
import gzip
import json
import socket
import stat
import struct
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.network import gate as gates
from tests.kit.processes import RunningGrosz

# Without a time in it: names of tests are made of it, and several processes must agree on them.
packed = functools.partial(gzip.compress, mtime=0)

CAP = 200  # connections of one address
SECRET = "correct-horse-battery-staple"
PLACES = ("track", "admin")

# Beyond what the ports promise, where other tests have the processor.
PATIENCE_S = 20


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGrosz]:
    caps = {"GROSZ_NETWORK_MAX_CONNECTIONS_PER_ADDRESS": str(CAP), "GROSZ_NETWORK_MAX_CONNECTIONS": "400"}
    data = tmp_path_factory.mktemp("web") / "data"
    data.mkdir(mode=0o755)
    with RunningGrosz(data, environ=caps) as up:
        yield up


def address(running: RunningGrosz, place: str) -> tuple[str, int]:
    parts = urllib.parse.urlsplit(running.urls[place])
    return parts.hostname or "", parts.port or 0


def exchange(running: RunningGrosz, place: str, sent: bytes, timeout: float = 20) -> bytes:
    """All that comes back for the bytes until the connection ends or is silent for a second after an answer."""
    with socket.create_connection(address(running, place), timeout=timeout) as connection:
        connection.sendall(sent)
        found = b""
        while True:
            try:
                part = connection.recv(65_536)
            except (TimeoutError, ConnectionError):
                return found
            if not part:
                return found
            found += part
            connection.settimeout(0.5)


def request(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: grosz.example", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {text}" for name, text in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


LOGIN = json.dumps({"email": "nobody@example.com", "password": SECRET}).encode()


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        (packed(LOGIN), {"Content_Encoding": "gzip"}, 415),
        (packed(bytes(64 * 2**20)), {"Content_Encoding": "gzip"}, 415),
        (LOGIN + b" " * 70_000, {}, 413),
        (LOGIN, {}, 401),
    ],
)
def test_nothing_is_inflated_for_who_has_not_said_who_he_is(
    running: RunningGrosz, body: bytes, headers: dict[str, str], expected: int
) -> None:
    answer = exchange(running, "admin", request("POST", "/v1/login", body, Content_Type="application/json", **headers))
    assert status(answer) == expected
    assert (b"connection: close" in answer.lower()) is (expected in (413, 415))


def test_a_bomb_at_the_login_holds_nobody_up(running: RunningGrosz) -> None:
    bomb = request(
        "POST", "/v1/login", packed(bytes(2**30 // 4)), Content_Type="application/json", Content_Encoding="gzip"
    )
    started = time.monotonic()
    with socket.create_connection(address(running, "admin")) as connection:
        connection.sendall(bomb)
        assert status(exchange(running, "admin", request("GET", "/healthz"))) == 200
    # Less than it is given to send the bomb in: nobody waits for its end.
    assert time.monotonic() - started < gates.BODY_TIMEOUT_S


POSTS = [
    ("track", "/e/1"), ("track", "/optout"), ("track", "/n/bill/abc"), ("track", "/n/loss/abc"), ("admin", "/v1/login"),
    ("admin", "/v1/setup"), ("admin", "/v1/line-items"), ("admin", "/v1/explain"), ("bid", "/openrtb2/demo"),
]  # fmt: skip


@pytest.mark.parametrize(("place", "path"), POSTS)
@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "gzip, gzip", "\xff", "identity"])
@pytest.mark.parametrize("body", [b"{}", b"\x1f\x8b\x08", packed(b"{}")[:-2], packed(b"{}") * 200])
def test_no_body_ends_in_a_fault_of_ours(
    running: RunningGrosz, place: str, path: str, coding: str, body: bytes
) -> None:
    lines = (
        b"POST " + path.encode() + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n"
    )
    lines += b"Content-Encoding: " + coding.encode("latin-1") + b"\r\nContent-Length: %d\r\n\r\n" % len(body)
    answer = exchange(running, place, lines + body)
    assert status(answer) < 500, answer[:300]


@pytest.mark.parametrize("path", ["/e/1", "/e/1?x=y"])
def test_events_may_be_gzipped(running: RunningGrosz, path: str) -> None:
    event = json.dumps({"event": "page_view", "gdpr": 0}).encode()
    cases = [
        ("gzip", packed(event), (204, 404)),
        ("gzip", event, (400, 404)),
        ("br", event, (415, 404)),
    ]
    for coding, body, expected in cases:
        answer = exchange(running, "track", request("POST", path, body, Content_Encoding=coding))
        assert status(answer) in expected


@pytest.mark.parametrize("place", PLACES)
def test_half_a_head_is_let_go_of_after_its_time(running: RunningGrosz, place: str) -> None:
    started = time.monotonic()  # before it is connected: the port's own time begins with the connection
    with socket.create_connection(address(running, place), timeout=gates.HEAD_TIMEOUT_S + PATIENCE_S) as connection:
        connection.sendall(b"POST /v1/login HTTP/1.1\r\nHost: a\r\nX-Slow: ")
        with pytest.raises((ConnectionError, AssertionError)):
            assert connection.recv(1) != b""
    assert gates.HEAD_TIMEOUT_S - 1 < time.monotonic() - started < gates.HEAD_TIMEOUT_S + PATIENCE_S


@pytest.mark.parametrize(("place", "path"), [("track", "/e/1"), ("admin", "/v1/login")])
@pytest.mark.timeout(120)
def test_half_a_body_is_answered_and_let_go_of(running: RunningGrosz, place: str, path: str) -> None:
    with socket.create_connection(address(running, place), timeout=gates.BODY_TIMEOUT_S + 15) as connection:
        connection.sendall(
            request("POST", path, b"", Content_Type="application/json").replace(b"Length: 0", b"Length: 9")
        )
        found = b""
        while part := connection.recv(4096):
            found += part
    assert status(found) in (404, 408)


def is_open(connection: socket.socket) -> bool:
    """Whether the other side has neither ended the connection nor reset it."""
    connection.setblocking(False)
    try:
        return connection.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


def until_let_go(running: RunningGrosz, place: str) -> None:
    """Until the port has noticed that connections of other tests have ended, which count towards the cap: it learns of
    ends in their order, and each of these is one."""
    for _ in range(3):
        assert status(exchange(running, place, request("GET", "/healthz", Connection="close"))) == 200


@pytest.mark.parametrize("place", PLACES)
def test_a_flood_of_connections_from_one_address_is_turned_away(running: RunningGrosz, place: str) -> None:
    opened: list[socket.socket] = []
    until_let_go(running, place)
    try:
        opened += [socket.create_connection(address(running, place), timeout=5) for _ in range(300)]
        deadline = time.monotonic() + PATIENCE_S
        while (alive := sum(map(is_open, opened))) > CAP and time.monotonic() < deadline:
            time.sleep(0.1)
        assert CAP - 50 < alive <= CAP
    finally:
        for connection in opened:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if exchange(running, place, request("GET", "/healthz", Connection="close")).startswith(b"HTTP/1.1 200"):
            return
    raise AssertionError("the port does not recover")


def test_no_byte_of_a_refused_request_is_logged(running: RunningGrosz) -> None:
    marks = ["refused-mark-1", "refused-mark-2", "refused-mark-3", "refused-mark-4"]
    for place in PLACES:
        exchange(running, place, f"GET /{marks[0]} HTTP/9.9\r\nCookie: grosz_session={marks[1]}\r\n\r\n".encode())
        exchange(running, place, f"POST /v1/login HTTP/1.1\r\nHost: a\r\nContent-Length: x{marks[2]}\r\n\r\n".encode())
        exchange(running, place, f'{marks[3]}\r\n{{"password": "{SECRET}"}}\r\n\r\n'.encode())
        exchange(
            running, place, b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + SECRET.encode() + b"\x00\r\n\r\n"
        )
        chunked = (
            b"POST /v1/login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + SECRET.encode() + b"\r\n"
        )
        exchange(running, place, chunked)
    log = running.log()
    assert [mark for mark in (*marks, SECRET) if mark in log] == []
    assert [line for line in log.splitlines() if '"level":"error"' in line] == []
    assert "setup http" not in log
    assert "token=" not in log


def test_what_is_kept_is_for_its_own_user_alone(running: RunningGrosz) -> None:
    line = next(line for line in running.log().splitlines() if '"directory"' in line)
    data = Path(json.loads(line)["settings"]["data"]["directory"])
    open_to_others = [
        str(path.relative_to(data))
        for path in (data, *data.rglob("*"))
        if not path.is_symlink() and stat.S_IMODE(path.stat().st_mode) & 0o077
    ]
    assert open_to_others == []


def test_every_page_says_what_it_may_load(running: RunningGrosz) -> None:
    pages = [
        ("track", "/optout"),
        ("admin", "/docs"),
        ("admin", "/setup"),
        ("admin", "/nothing"),
        ("track", "/nothing"),
    ]
    for place, path in pages:
        head = exchange(running, place, request("GET", path, Connection="close")).partition(b"\r\n\r\n")[0].lower()
        if b"text/html" in head:
            assert b"content-security-policy: default-src 'none'" in head, path
        assert b"x-content-type-options: nosniff" in head, path


async def test_many_slow_senders_do_not_keep_others_waiting(running: RunningGrosz) -> None:
    opened = [await asyncio.open_connection(*address(running, "track")) for _ in range(150)]
    for _, writer in opened:
        writer.write(b"POST /e/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
    started = time.monotonic()
    answer = await asyncio.to_thread(exchange, running, "track", request("GET", "/healthz", Connection="close"))
    assert status(answer) == 200
    assert time.monotonic() - started < gates.BODY_TIMEOUT_S, "who waits for them waits that long"
    for _, writer in opened:
        writer.transport.abort()
