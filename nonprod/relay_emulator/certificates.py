"""Owns the certificate of the emulator: a new authority each time, which signs one for the loopback of this machine."""

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme

NAMES = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Certificate:
    """What the emulator shows, as a context for its port, and the authority that a client has to trust."""

    context: ssl.SSLContext
    authority: trustme.CA

    def write_authority(self, path: Path) -> None:
        """Write the authority's certificate (PEM), without its key: SSL_CERT_FILE may name the file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.authority.cert_pem.write_to_path(str(path))

    def trusting_context(self) -> ssl.SSLContext:
        """What a client in this process needs to trust the emulator, and nobody else."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.authority.configure_trust(context)
        return context


def make_certificate() -> Certificate:
    """A certificate for loopback, and its authority; the keys are in this process only."""
    authority = trustme.CA(organization_name="Relay emulator")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*NAMES).configure_cert(context)
    return Certificate(context, authority)
