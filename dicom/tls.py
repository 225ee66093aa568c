"""Configure TLS for DICOM: the BCP 195 profile of PS3.15 annex B (RFC 9325 and RFC 8996)."""

import ssl

#: Forward secrecy and AEAD only (RFC 9325 section 4.2); TLS 1.3 has nothing else.
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


def client_context(certificate: str, key: str, server_ca: str) -> ssl.SSLContext:
    """Connect with TLS 1.2 or later, with this certificate, to servers that an authority in `server_ca` vouches for.

    The arguments are as those of `server_context`. The name in a server's certificate is not compared: DICOM systems of
    a hospital are reached under addresses that certificates seldom name (docs/adr/0015-a-spool-and-no-archive.md).
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
