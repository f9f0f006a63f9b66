"""A real Redis Cluster of three primaries, and replicas where a test wants them."""

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from core.redis.slots import SLOTS, key_slot
from tests.kit.fixtures import find_free_port
from tests.kit.server_node import POLL_S, START_TIMEOUT_S, ServerNode, server_program

NODES = 3

# How long a node may be silent until the others count it as dead. With less, a node that gets no processor among other
# tests would count as dead; a replica takes over after about twice that.
NODE_TIMEOUT_MS = 3_000


class ClusterNode(ServerNode):
    """One server process of a cluster."""

    def __init__(self, program: Path, directory: Path, *, is_durable: bool) -> None:
        self.bus_port = find_free_port()
        super().__init__(
            program, directory, cluster_enabled="yes", cluster_port=self.bus_port, cluster_node_timeout=NODE_TIMEOUT_MS,
            cluster_require_full_coverage="no",
            **({"appendonly": "yes", "appendfsync": "no"} if is_durable else {"appendonly": "no"}),
        )  # fmt: skip


class RealCluster:
    """Three nodes, each with a third of the slots, in slot order."""

    def __init__(self, *, is_durable: bool = False) -> None:
        """`is_durable`: what a node has acknowledged outlives its death."""
        self._program, self._is_durable = server_program(), is_durable
        self._directory = Path(tempfile.mkdtemp(prefix="grosz-cluster-"))
        self.nodes = [self._new_node(str(number)) for number in range(NODES)]
        self._replicas: list[ClusterNode] = []

    def _new_node(self, name: str) -> ClusterNode:
        return ClusterNode(self._program, self._directory / name, is_durable=self._is_durable)

    @property
    def url(self) -> str:
        """URL of the first node."""
        return self.nodes[0].url

    def node_of(self, key: str) -> ClusterNode:
        """The node that has a key."""
        return self.nodes[key_slot(key.encode()) * NODES // SLOTS]

    def start(self) -> None:
        """Start the nodes, give each its slots, make them meet, wait until they agree."""
        for number, node in enumerate(self.nodes):
            node.start()
            first, last = SLOTS * number // NODES, SLOTS * (number + 1) // NODES - 1
            node.ask("CLUSTER", "ADDSLOTSRANGE", first, last)
        for node in self.nodes[1:]:
            self.nodes[0].ask("CLUSTER", "MEET", "127.0.0.1", node.port, node.bus_port)
        self.wait_until_agreed()

    def add_replica(self, node: ClusterNode) -> ClusterNode:
        """Add a replica of `node`, which takes its slots over when the node is gone."""
        replica = self._new_node(f"replica-{len(self._replicas)}")
        self._replicas.append(replica)
        replica.start()
        replica.ask("CLUSTER", "MEET", "127.0.0.1", node.port, node.bus_port)
        name = node.ask("CLUSTER", "MYID")
        assert isinstance(name, bytes)
        _wait_until(lambda: name.decode() in str(replica.ask("CLUSTER", "NODES")), "the replica meets nobody")
        replica.ask("CLUSTER", "REPLICATE", name.decode())
        _wait_until(
            lambda: "'master_link_status': 'up'" in str(replica.ask("INFO", "replication")), "the replica has no link"
        )
        self.wait_until_agreed()
        return replica

    def wait_until_agreed(self) -> None:
        """Return when every node that lives knows an owner that it can reach for every slot."""
        _wait_until(
            lambda: all(self._agrees(node) for node in (*self.nodes, *self._replicas) if node.alive),
            "the test cluster does not come up",
        )

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
        for node in (*self.nodes, *self._replicas):
            node.kill()
        shutil.rmtree(self._directory)


def _wait_until(condition: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(otherwise)
        time.sleep(POLL_S)
