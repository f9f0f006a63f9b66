"""Ports that `grosz up` chooses beside those that were given."""

import pytest

from admin.cli.up import worker_port


@pytest.mark.parametrize(
    ("admin", "others", "worker"),
    [(8082, (8080, 8081), 8083), (8080, (8082, 8081), 0), (8080, (8081, 8082), 0), (0, (0, 0), 0), (65_535, (1, 2), 0)],
)
def test_the_worker_goes_out_of_the_way_of_other_roles(admin: int, others: tuple[int, int], worker: int) -> None:
    """`--admin-port 8080 --track-port 8081` gave the tracker and the worker one port, and each half of the other's."""
    assert worker_port(admin, others) == worker
