import os
import socket
from pathlib import Path

import msgspec
import pytest

from admin.roles.supervisor import Supervisor, ready_line, reserve_port
from core.config import (
    AdminSettings,
    BidSettings,
    DataSettings,
    RedisSettings,
    Settings,
    TrackSettings,
    WorkerSettings,
)
from core.errors import ConfigError, UnavailableError


def test_reserved_port_is_shared_with_children_only_by_those_who_ask(free_port: int) -> None:
    held = reserve_port("127.0.0.1", free_port, "bidder")
    with held, socket.socket() as child:
        child.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        child.bind(("127.0.0.1", free_port))
        child.listen()
        with socket.create_connection(("127.0.0.1", free_port)) as client:
            accepted, _ = child.accept()
            accepted.close()
            assert client.recv(1) == b""


def test_any_port_will_do_when_zero_is_asked() -> None:
    with reserve_port("127.0.0.1", 0, "bidder") as first, reserve_port("127.0.0.1", 0, "tracker") as second:
        assert first.getsockname()[1] != second.getsockname()[1]


def test_port_in_use_is_refused_even_if_its_owner_would_share(free_port: int) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", free_port))
        other.listen()
        with pytest.raises(ConfigError, match=f"cannot have 127.0.0.1:{free_port}") as caught:
            reserve_port("127.0.0.1", free_port, "bidder")
    assert "GROSZ_BID_PORT" in caught.value.hint


@pytest.mark.parametrize("hosts", [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "localhost")])
def test_two_roles_cannot_have_one_port(free_port: int, hosts: tuple[str, str]) -> None:
    """The kernel would give each of them half of the connections, so half of the bills would be answered 404."""
    with reserve_port(hosts[0], free_port, "bidder") as bidder:
        with pytest.raises(ConfigError, match="another role has this port") as caught:
            reserve_port(hosts[1], free_port, "tracker", [bidder])
        reserve_port("127.0.0.2", 0, "tracker", [bidder]).close()
    assert "GROSZ_TRACK_PORT" in caught.value.hint


def test_a_name_with_an_address_of_each_family_is_compared_by_all_of_them(
    free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def both(_host: str, _port: object, **_options: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET6, 1, 6, "", ("::1", 0, 0, 0)), (socket.AF_INET, 1, 6, "", ("127.0.0.1", 0))]

    with reserve_port("127.0.0.1", free_port, "bidder") as bidder:
        monkeypatch.setattr(socket, "getaddrinfo", both)
        with pytest.raises(ConfigError, match="another role has this port"):
            reserve_port("localhost", free_port, "tracker", [bidder])


async def test_child_that_ends_early_ends_the_start_and_all_its_siblings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "admin.roles.child._COMMAND", ("-c", "import sys, time; time.sleep(sys.argv[1] != 'worker' and 60)")
    )
    settings = Settings(
        data=DataSettings(directory=str(tmp_path)),
        redis=RedisSettings(url="redis://127.0.0.1:1"),
        bid=BidSettings(port=0),
        track=TrackSettings(port=0),
        admin=AdminSettings(port=0),
        worker=WorkerSettings(port=0),
    )
    supervisor = Supervisor(settings, environ=os.environ, announce=pytest.fail)
    with pytest.raises(UnavailableError, match="worker-0 ended before it was ready"):
        await supervisor.run()
    for child in supervisor._children:
        assert child.process is not None
        assert child.process.returncode is not None


def test_ready_line_names_each_public_role() -> None:
    assert ready_line(Settings(), ("admin", "worker", "tracker", "bidder")) == (
        "ready bid=http://127.0.0.1:8080 track=http://127.0.0.1:8081 admin=http://127.0.0.1:8082"
    )
    assert ready_line(Settings(), ("bidder",)) == "ready bid=http://127.0.0.1:8080"


def test_ready_line_has_addresses_that_can_be_called() -> None:
    settings = msgspec.structs.replace(
        Settings(),
        bid=BidSettings(host="0.0.0.0", port=1),
        track=TrackSettings(host="::", port=2),
        admin=AdminSettings(host="dsp.example", port=3),
    )
    assert ready_line(settings, ("admin", "tracker", "bidder")) == (
        "ready bid=http://127.0.0.1:1 track=http://[::1]:2 admin=http://dsp.example:3"
    )
