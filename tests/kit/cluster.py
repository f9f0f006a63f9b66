"""A real Redis Cluster of three primaries without replicas, for tests."""

import shutil
import tempfile
import time
from pathlib import Path

from tests.kit.fixtures import find_free_port
from tests.kit.server_node import POLL_S, START_TIMEOUT_S, ServerNode, server_program

NODES = 3
SLOTS = 16_384


class ClusterNode(ServerNode):
    """One server process of a cluster."""

    def __init__(self, program: Path, directory: Path) -> None:
        self.bus_port = find_free_port()
        super().__init__(
            program, directory, cluster_enabled="yes", cluster_port=self.bus_port, cluster_node_timeout=1000,
            cluster_require_full_coverage="no", appendonly="no",
        )  # fmt: skip


class RealCluster:
    """Three nodes, each with a third of the slots, in slot order."""

    def __init__(self) -> None:
        program = server_program()
        self._directory = Path(tempfile.mkdtemp(prefix="grosz-cluster-"))
        self.nodes = [ClusterNode(program, self._directory / str(number)) for number in range(NODES)]

    @property
    def url(self) -> str:
        """URL of the first node."""
        return self.nodes[0].url

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
        deadline = time.monotonic() + START_TIMEOUT_S
        while not all(self._agrees(node) for node in self.nodes):
            if time.monotonic() > deadline:
                raise TimeoutError("the test cluster does not come up")
            time.sleep(POLL_S)

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
