"""TLS with a certificate that the emulator makes for itself."""

import ssl
import urllib.request
from asyncio import to_thread
from pathlib import Path

import pytest

from nonprod.relay_emulator import RelayEmulator
from nonprod.relay_emulator.certificates import make_certificate
from tests.conftest import PATH
from tests.nonprod.relay_emulator.clients import POLICIES, call, listen, open_as, open_socket


class TestTls:
    async def test_everything_is_wss_for_a_client_that_trusts_it(self, tmp_path: Path) -> None:
        certificate = make_certificate()
        certificate.write_authority(tmp_path / "new" / "ca.pem")
        trusting = ssl.create_default_context(cafile=tmp_path / "new" / "ca.pem")
        async with RelayEmulator([PATH], POLICIES, tls=certificate.context) as emulator:
            called = await call(emulator, await listen(emulator, ssl=trusting), ssl=trusting)
            assert called.address.startswith(f"wss://{emulator.namespace}/")
            listener, sender = await open_socket(called.address, ssl=trusting), await called.opening
            await sender.send("x" * 2**20)
            assert await listener.recv() == "x" * 2**20

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    async def test_http_is_https(self, host: str) -> None:
        certificate = make_certificate()
        async with RelayEmulator([PATH], POLICIES, tls=certificate.context) as emulator:
            url = f"https://{host}:{emulator.port}/$emulator"
            opened = await to_thread(urllib.request.urlopen, url, context=certificate.trusting_context())
            with opened as response:
                assert response.status == 200

    async def test_a_client_that_does_not_trust_it_cannot_connect(self) -> None:
        async with RelayEmulator([PATH], POLICIES, tls=make_certificate().context) as emulator:
            with pytest.raises(ssl.SSLCertVerificationError):
                await open_as(emulator, "listen", ssl=make_certificate().trusting_context())

    def test_the_authoritys_key_is_not_in_its_file(self, tmp_path: Path) -> None:
        make_certificate().write_authority(tmp_path / "ca.pem")
        assert "PRIVATE" not in (tmp_path / "ca.pem").read_text()

    @pytest.mark.parametrize("fault", ["drop", "cut_mid_frame"])
    async def test_faults_strike_there_too(self, fault: str) -> None:
        certificate = make_certificate()
        trusting = certificate.trusting_context()
        async with RelayEmulator([PATH], POLICIES, tls=certificate.context) as emulator:
            channel = await listen(emulator, ssl=trusting)
            await emulator.inject({"fault": fault})
            await channel.wait_closed()
            assert channel.close_code == 1006
