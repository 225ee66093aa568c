"""Fixtures for connections to a relay: no proxy settings, and certificate authorities to trust."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from relay.hybrid_connection.websocket import tls_context

Trust = Callable[[trustme.CA], None]


@pytest.fixture
def no_proxy_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the proxy settings of the machine that runs the tests."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


@pytest.fixture
def trust(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Trust]:
    """Return a function that makes the relay's clients trust an authority (SSL_CERT_FILE)."""

    def trust_authority(authority: trustme.CA) -> None:
        file = tmp_path / "authority.pem"
        authority.cert_pem.write_to_path(str(file))
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        tls_context.cache_clear()

    yield trust_authority
    tls_context.cache_clear()
