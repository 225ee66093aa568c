"""The reason for being offline says what is wrong with a certificate: its authority, its host or its dates."""

import pytest
import trustme

from nonprod.relay_emulator import RelayEmulator, SharedAccessPolicy
from relay.hybrid_connection.address import HybridConnectionAddress
from tests.certificates import certificate_for
from tests.conftest import KEYS, PATH
from tests.relay.conftest import Trust
from tests.relay.hybrid_connection.listening import offline_reason

pytestmark = pytest.mark.usefixtures("no_proxy_settings")


async def reason(authority: trustme.CA, name: str = "localhost", begins: int = -10, ends: int = 10) -> str:
    """Return why a listener is offline on a relay with this certificate."""
    certificate = certificate_for(authority, name, begins=begins, ends=ends)
    async with RelayEmulator([PATH], {KEYS.name: SharedAccessPolicy(KEYS.key)}, tls=certificate.context) as emulator:
        return await offline_reason(HybridConnectionAddress(f"localhost:{emulator.port}", PATH))


class TestCertificates:
    async def test_an_untrusted_authority_is_reported(self, trust: Trust) -> None:
        trust(trustme.CA())
        assert "a private one, or an inspecting proxy's, must be in SSL_CERT_FILE" in await reason(trustme.CA())

    async def test_a_certificate_of_another_host_is_reported(self, trust: Trust) -> None:
        authority = trustme.CA()
        trust(authority)
        assert "another host's: check AZURE_RELAY_NAMESPACE" in await reason(authority, "south.servicebus.windows.net")

    @pytest.mark.parametrize(
        ("begins", "ends", "cause"),
        [
            (-20, -10, "the certificate has expired: is this machine's clock ahead?"),
            (10, 20, "the certificate is not valid yet: is this machine's clock behind?"),
        ],
    )
    async def test_a_certificate_out_of_date_suggests_a_wrong_clock(
        self, trust: Trust, begins: int, ends: int, cause: str
    ) -> None:
        authority = trustme.CA()
        trust(authority)
        assert cause in await reason(authority, begins=begins, ends=ends)

    async def test_a_wrong_clock_is_reported_with_the_refused_token(self, emulator: RelayEmulator) -> None:
        await emulator.inject({"fault": "clock_skew", "seconds": 2 * 3600})
        reason_given = await offline_reason(HybridConnectionAddress(emulator.namespace, PATH, plain=True))
        assert "401, token refused" in reason_given
        assert "this machine's clock is " in reason_given
        assert "behind the service's: set it" in reason_given
