"""Microsoft's clients on our emulator over TLS, with the emulator's certificate trusted."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from nonprod.relay_emulator import RelayEmulator, SharedAccessPolicy
from nonprod.relay_emulator.certificates import make_certificate
from tests.conftest import KEYS, PATH
from tests.contract.conftest import Run, starter


@pytest.fixture
async def run_with_tls(hyco: None, tmp_path: Path) -> AsyncIterator[Run]:
    """Start scripts on an emulator with TLS."""
    certificate, ca_file = make_certificate(), tmp_path / "ca.pem"
    certificate.write_authority(ca_file)
    async with (
        RelayEmulator([PATH], {KEYS.name: SharedAccessPolicy(KEYS.key)}, tls=certificate.context) as emulator,
        AsyncExitStack() as stack,
    ):
        yield starter(stack, emulator, {"NODE_EXTRA_CA_CERTS": str(ca_file)}, tls=True)


async def test_hyco_ws_sends_to_hyco_ws(run_with_tls: Run) -> None:
    await run_with_tls("ws_listener", "listening", package="hyco-ws")
    sender = await run_with_tls("ws_sender")
    await sender.command("connect", name="a", token="header", text="Zażółć")
    await sender.event("message", name="a", text="Zażółć")


async def test_nodes_client_reaches_hyco_https_over_channel_and_rendezvous(run_with_tls: Run) -> None:
    await run_with_tls("http_server", "listening")
    client = await run_with_tls("http_sender")
    for size in (1, 2**20):
        await client.command("request", name="a", token="header", method="GET", suffix=f"?size={size}")
        assert (await client.event("response", name="a"))["text"] == "r" * size
