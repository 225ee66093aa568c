"""Configure TLS for DICOM: the BCP 195 profile of PS3.15 annex B (RFC 9325 and RFC 8996)."""

import ssl

#: Forward secrecy and AEAD only (RFC 9325 section 4.2); TLS 1.3 has nothing else.
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


def server_context(certificate: str, key: str, client_ca: str) -> ssl.SSLContext:
    """Accept TLS 1.2 or later, from clients with a certificate that one of the authorities in `client_ca` has issued.

    The three arguments are paths of PEM files; OSError (ssl.SSLError is one) says what is wrong with them.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.load_cert_chain(certificate, key, password=lambda: "")  # or OpenSSL would ask on the terminal
    context.load_verify_locations(cafile=client_ca)
    context.verify_mode = ssl.CERT_REQUIRED
    return context
