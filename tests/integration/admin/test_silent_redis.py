"""What commands on the money say while the server of a running Grosz does not answer."""

import os
import signal
from pathlib import Path

import pytest

from admin.cli.money import open_transitions
from core.errors import UnavailableError
from core.redis.embedded import EmbeddedServer


async def test_a_server_that_hangs_is_not_taken_for_a_directory_to_be_freed(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path)
    server.start()
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    try:
        with pytest.raises(UnavailableError, match="its Redis does not answer") as caught:
            async with open_transitions(None, tmp_path):
                pass
        assert "stop that one" not in caught.value.hint
    finally:
        os.kill(server.pid, signal.SIGCONT)
        server.stop()
