"""Fixtures for what goes out to a relay: no proxy of the machine's own, and authorities to trust."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from relay.hybrid_connection.websocket import tls_context

Trust = Callable[[trustme.CA], None]


@pytest.fixture
def no_proxy_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the environment in which the tests run."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


@pytest.fixture
def trust(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Trust]:
    """Names an authority in SSL_CERT_FILE."""

    def name(authority: trustme.CA) -> None:
        file = tmp_path / "authority.pem"
        authority.cert_pem.write_to_path(str(file))
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        tls_context.cache_clear()

    yield name
    tls_context.cache_clear()
