"""`run_relay_emulator`: its namespace, TLS and configuration file."""

import json
import ssl
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.processes import Start

pytestmark = [pytest.mark.django_db, pytest.mark.once]

CONFIG = '[policies.p]\nkey = "no-secret"\n[hybrid_connections.one]\n[hybrid_connections.two]\n'


def state_at(url: str, context: ssl.SSLContext | None = None) -> dict[str, Any]:
    """Return the emulator's state."""
    with urllib.request.urlopen(f"{url}/$emulator", timeout=10, context=context) as response:
        state: dict[str, Any] = json.load(response)
    return state


class TestRunRelayEmulator:
    def test_the_hybrid_connection_of_the_settings_is_emulated(self, start: Start) -> None:
        process = start("run_relay_emulator", "--port", "0")
        namespace = process.wait_for_field("relay emulator listening", "namespace")
        assert state_at(f"http://{namespace}")["listeners"] == {"test-gateway": 0}
        assert process.stop() == 0

    def test_a_file_defines_the_namespace_and_the_printed_certificate_is_trusted(
        self, start: Start, tmp_path: Path
    ) -> None:
        (tmp_path / "config.toml").write_text(CONFIG)
        files = ["--config", str(tmp_path / "config.toml"), "--ca-file", str(tmp_path / "ca.pem")]
        process = start("run_relay_emulator", "--port", "0", "--tls", *files)
        printed = process.wait_for("SSL_CERT_FILE=").strip().removeprefix("SSL_CERT_FILE=")
        namespace = process.wait_for_field("relay emulator listening", "namespace")
        state = state_at(f"https://{namespace}", ssl.create_default_context(cafile=printed))
        assert state["listeners"] == {"one": 0, "two": 0}

    def test_an_invalid_file_is_one_line_and_exit_status_2(self, start: Start, tmp_path: Path) -> None:
        (tmp_path / "config.toml").write_text("x = 1")
        process = start("run_relay_emulator", "--config", str(tmp_path / "config.toml"))
        assert process.exit_status() == 2
        assert len(process.lines) == 1
        assert "config.toml: the file has the unknown key 'x'" in process.output
