"""Read the relay's certificate (RFC 5280): its issuer reveals a proxy that inspects TLS."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.x509.oid import NameOID

from relay.hybrid_connection.websocket import tls_context
from relay.probe.route import Route, secured


@dataclass(frozen=True)
class Certificate:
    """What is told of a certificate."""

    names: tuple[str, ...]
    issuer: str
    begins: datetime
    ends: datetime


def read_certificate(der: bytes) -> Certificate:
    """The certificate in DER; ValueError where it cannot be read."""
    certificate = x509.load_der_x509_certificate(der)
    return Certificate(
        _names(certificate),
        _shown(certificate.issuer),
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
    )


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    """The hosts that it is for; its subject where it names none."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return (_shown(certificate.subject),)
    addresses = names.get_values_for_type(x509.IPAddress)
    return (*names.get_values_for_type(x509.DNSName), *(str(address) for address in addresses))


def _shown(name: x509.Name) -> str:
    """A name's common name with its organisation."""
    attributes = [
        *name.get_attributes_for_oid(NameOID.COMMON_NAME),
        *name.get_attributes_for_oid(NameOID.ORGANIZATION_NAME),
    ]
    return ", ".join(str(attribute.value) for attribute in attributes) or name.rfc4514_string()


async def presented(route: Route) -> Certificate | None:
    """The certificate that stands at the relay's end, whoever issued it; None where it cannot be had.

    Nothing is verified, so nothing is sent but the handshake.
    """
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    try:
        async with secured(route, unverified) as (_, writer):
            tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
            return read_certificate(tls.getpeercert(binary_form=True) or b"")
    except (OSError, ValueError):
        return None


def trusted_here() -> str:
    """Which authorities every connection trusts. A file of SSL_CERT_FILE that is not there is ignored in silence."""
    number = tls_context().cert_store_stats()["x509_ca"]
    paths = ssl.get_default_verify_paths()
    where = paths.cafile or f"no file: {paths.openssl_cafile_env}, if it is set, names one that is not there"
    return f"{number} authorities are trusted, from {where}"


def today() -> str:
    """What this machine's clock says."""
    return shown_time(datetime.now(UTC))


def shown_time(moment: datetime) -> str:
    """A time as the probe writes it."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"
