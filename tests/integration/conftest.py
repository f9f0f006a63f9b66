"""Fixtures of the integration tests."""

from collections.abc import Iterator

import pytest

from tests.kit.cluster import RealCluster


@pytest.fixture(scope="session")
def cluster_nodes() -> Iterator[RealCluster]:
    """A real cluster that lives as long as this test process."""
    cluster = RealCluster()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def cluster(cluster_nodes: RealCluster) -> RealCluster:
    """A real cluster, whole and empty."""
    cluster_nodes.clean()
    return cluster_nodes
