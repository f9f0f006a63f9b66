"""Fixtures every test may ask for; what they are made of is in tests/kit."""

from tests.kit.fixtures import clock, corpus, free_port, pytest_runtest_setup, valkey, valkey_server
from tests.kit.patience import pytest_collection_modifyitems
from tests.kit.postgres import any_database_url, postgres_server

__all__ = [
    "any_database_url",
    "clock",
    "corpus",
    "free_port",
    "postgres_server",
    "pytest_collection_modifyitems",
    "pytest_runtest_setup",
    "valkey",
    "valkey_server",
]
