"""Fixtures every test may ask for; what they are made of is in tests/kit."""

from tests.kit.fixtures import clock, corpus, free_port, pytest_runtest_setup, valkey, valkey_server

__all__ = ["clock", "corpus", "free_port", "pytest_runtest_setup", "valkey", "valkey_server"]
