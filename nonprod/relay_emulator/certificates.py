"""Make a TLS certificate for the emulator: a new authority each time, and a certificate for loopback."""

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme

NAMES = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Certificate:
    """The emulator's certificate as a server context, and the authority that clients must trust."""

    context: ssl.SSLContext
    authority: trustme.CA

    def write_authority(self, path: Path) -> None:
        """Write the authority's certificate (PEM, without its key), for example for SSL_CERT_FILE."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.authority.cert_pem.write_to_path(str(path))

    def trusting_context(self) -> ssl.SSLContext:
        """Return a client context that trusts the emulator only."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.authority.configure_trust(context)
        return context


def make_certificate() -> Certificate:
    """Make an authority and a certificate for loopback; their keys stay in this process."""
    authority = trustme.CA(organization_name="Relay emulator")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*NAMES).configure_cert(context)
    return Certificate(context, authority)
