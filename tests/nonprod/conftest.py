"""Fixtures for the tests of the emulators."""

from collections.abc import Iterator

import pytest

from tests.nonprod.mpps_server import MppsServer, mpps_server


@pytest.fixture(scope="module")
def module_server() -> Iterator[MppsServer]:
    """Run one server for all tests of a module, as shutting one down takes half a second."""
    with mpps_server() as server:
        yield server
