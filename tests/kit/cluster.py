"""A real Redis Cluster of three primaries without replicas, for tests."""

import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import redis

from core.embedded import locate_server
from core.processes import die_with_parent
from tests.kit.fixtures import find_free_port, skip_or_fail

NODES = 3
SLOTS = 16_384
_START_TIMEOUT_S = 20.0
_POLL_S = 0.02


class ClusterNode:
    """One server process of a cluster; it can be killed and started again with the same identity."""

    def __init__(self, program: Path, directory: Path) -> None:
        self._program = program
        self._directory = directory
        self.port = find_free_port()
        self.bus_port = find_free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process and wait until it answers."""
        self._directory.mkdir(exist_ok=True)
        settings = {
            "port": self.port, "bind": "127.0.0.1", "dir": self._directory, "cluster-enabled": "yes",
            "cluster-port": self.bus_port, "cluster-node-timeout": 1000, "cluster-require-full-coverage": "no",
            "appendonly": "no", "save": "", "loglevel": "warning", "logfile": "node.log",
        }  # fmt: skip
        arguments = [str(part) for name, value in settings.items() for part in (f"--{name}", value)]
        self._process = subprocess.Popen([self._program, *arguments], preexec_fn=die_with_parent())
        deadline = time.monotonic() + _START_TIMEOUT_S
        while True:
            try:
                self.ask("PING")
            except redis.ConnectionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_POLL_S)
            else:
                return

    def kill(self) -> None:
        """End the process as the kernel would: no farewell."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def ask(self, *command: str | int) -> object:
        """One command on a connection of its own."""
        with redis.Redis(port=self.port, protocol=2) as connection:
            answer: object = connection.execute_command(*command)
            return answer


class RealCluster:
    """Three nodes, each with a third of the slots, in slot order."""

    def __init__(self) -> None:
        program = locate_server()
        if program is None:
            skip_or_fail("no Redis server to build a cluster from")
            raise AssertionError("skip_or_fail returned")
        self._directory = Path(tempfile.mkdtemp(prefix="grosz-cluster-"))
        self.nodes = [ClusterNode(program, self._directory / str(number)) for number in range(NODES)]

    @property
    def url(self) -> str:
        """URL of the first node."""
        return f"redis://127.0.0.1:{self.nodes[0].port}"

    def start(self) -> None:
        """Start the nodes, give each its slots, make them meet, wait until they agree."""
        for number, node in enumerate(self.nodes):
            node.start()
            first, last = SLOTS * number // NODES, SLOTS * (number + 1) // NODES - 1
            node.ask("CLUSTER", "ADDSLOTSRANGE", first, last)
        for node in self.nodes[1:]:
            self.nodes[0].ask("CLUSTER", "MEET", "127.0.0.1", node.port, node.bus_port)
        self.wait_until_agreed()

    def wait_until_agreed(self) -> None:
        """Return when every node knows an owner that it can reach for every slot."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not all(self._agrees(node) for node in self.nodes):
            if time.monotonic() > deadline:
                raise TimeoutError("the test cluster does not come up")
            time.sleep(_POLL_S)

    def _agrees(self, node: ClusterNode) -> bool:
        info = str(node.ask("CLUSTER", "INFO"))
        return "cluster_state:ok" in info and f"cluster_slots_ok:{SLOTS}" in info

    def clean(self) -> None:
        """Revive what was killed and drop all data."""
        for node in self.nodes:
            if not node.alive:
                node.start()
        self.wait_until_agreed()
        for node in self.nodes:
            node.ask("FLUSHALL")

    def stop(self) -> None:
        """End the nodes and drop their files."""
        for node in self.nodes:
            node.kill()
        shutil.rmtree(self._directory)
