"""Owns the terms of TLS: PS3.15 annex B.9 and its successors, which are BCP 195 (RFC 9325 and RFC 8996)."""

import ssl

#: Forward secrecy and AEAD only (RFC 9325 section 4.2); TLS 1.3 has nothing else.
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


def server_context(certificate: str, key: str, client_ca: str) -> ssl.SSLContext:
    """TLS 1.2 or later, and only for who has a certificate by one of these authorities.

    The three are PEM files; OSError, of which ssl.SSLError is one, says what is wrong with them.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.load_cert_chain(certificate, key, password=_no_password)
    context.load_verify_locations(cafile=client_ca)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def _no_password() -> str:
    """A key that is encrypted is an error: without this OpenSSL would ask for its password on the terminal."""
    return ""
