"""Configure TLS for DICOM, and check its files: the BCP 195 profile of PS3.15 annex B (RFC 9325 and RFC 8996)."""

import os
import ssl
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.core.checks import Error

#: Forward secrecy and AEAD only (RFC 9325 section 4.2); TLS 1.3 has nothing else.
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"

#: What each file must hold, by the end of its setting's name.
TLS_FILES = {
    "TLS_CERTIFICATE_PATH": "the server's certificate and its intermediate certificates",
    "TLS_KEY_PATH": "the certificate's private key, not encrypted",
    "TLS_CLIENT_CA_PATH": "the certificates of the authorities that issue the modalities' certificates",
}


def client_context(certificate: str, key: str, server_ca: str) -> ssl.SSLContext:
    """Connect with TLS 1.2 or later, with this certificate, to servers that an authority in `server_ca` vouches for.

    The arguments are as those of `server_context`. The name in a server's certificate is not compared: servers of one
    hospital are reached under addresses that no certificate names.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    _configure(context, certificate, key, server_ca)
    return context


def server_context(certificate: str, key: str, client_ca: str) -> ssl.SSLContext:
    """Accept TLS 1.2 or later, from clients with a certificate that one of the authorities in `client_ca` has issued.

    The three arguments are paths of PEM files; OSError (ssl.SSLError is one) says what is wrong with them.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    _configure(context, certificate, key, client_ca)
    return context


def _configure(context: ssl.SSLContext, certificate: str, key: str, peer_ca: str) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.load_cert_chain(certificate, key, password=lambda: "")  # or OpenSSL would ask on the terminal
    context.load_verify_locations(cafile=peer_ca)
    context.verify_mode = ssl.CERT_REQUIRED


def tls_errors(prefix: str, missing_id: str, unusable_id: str) -> Iterator[Error]:
    """Yield an error for each file that cannot be read; if all can, one that says why TLS cannot use them.

    `prefix` is what the names of the server's settings begin with: MWL or IMAGE.
    """
    files = {f"{prefix}_{name}": what for name, what in TLS_FILES.items()}
    missing = [
        name
        for name in files
        if not (Path(getattr(settings, name)).is_file() and os.access(getattr(settings, name), os.R_OK))
    ]
    for name in missing:
        yield Error(
            f"{name} is not a readable file: {getattr(settings, name)!r}",
            hint=f"Give a PEM file with {files[name]}, readable by this user; or set {prefix}_TLS_PORT=0.",
            id=missing_id,
        )
    if missing:
        return
    try:
        server_context(*(getattr(settings, name) for name in files))
    except (OSError, ValueError) as error:
        yield Error(
            f"The files of {prefix}_TLS_PORT cannot be used: {error}",
            hint=f"Give PEM files. {prefix}_TLS_KEY_PATH must hold the unencrypted private key of "
            f"{prefix}_TLS_CERTIFICATE_PATH.",
            id=unusable_id,
        )
