"""Fixtures of the emulators' tests."""

from collections.abc import Iterator

import pytest

from tests.nonprod.mpps_server import MppsServer, mpps_server


@pytest.fixture(scope="module")
def running() -> Iterator[MppsServer]:
    """A server for all tests of a module: to end one takes half a second."""
    with mpps_server() as server:
        yield server
