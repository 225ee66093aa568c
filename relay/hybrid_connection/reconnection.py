"""Owns how long to wait before the next try, and what to say of the last one. Pure."""

import random
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field

FULL_JITTER: Callable[[float], float] = lambda ceiling: random.uniform(0, ceiling)  # noqa: E731, S311


@dataclass(frozen=True)
class Backoff:
    """Exponential, with full jitter, so that a hundred gateways do not come back in the same second.

    All values are seconds. `forgiven_after` is how long a channel must have lived for the count to begin anew: one
    that dies right after it opened must not be reopened at once for ever.
    """

    first: float = 1.0
    cap: float = 30.0
    forgiven_after: float = 60.0
    jitter: Callable[[float], float] = field(default=FULL_JITTER, repr=False)

    def delay(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row; the first retry comes at once."""
        return 0.0 if failures <= 1 else self.jitter(min(self.cap, self.first * 2 ** min(failures - 2, 16)))


NEXT_STEPS = {
    400: "the service did not understand the address: check AZURE_RELAY_NAMESPACE",
    401: "token refused: check the policy's name and key, and this machine's clock",
    403: "the token is valid, but not for this hybrid connection or this right: the policy needs Listen",
    404: "no such hybrid connection: check AZURE_RELAY_NAMESPACE and AZURE_RELAY_HYBRID_CONNECTION",
    407: "the proxy wants a user name and password: put them in HTTPS_PROXY",
}


def explain_status(status: int, detail: str = "") -> str:
    """One sentence on a handshake that was answered with `status`; `detail` is the service's text (tracking id)."""
    step = NEXT_STEPS.get(status, "the service has trouble of its own" if status >= 500 else "unexpected answer")
    return f"{status}, {step}" + (f" [{detail.strip()[:300]}]" if detail.strip() else "")


def explain_failure(error: BaseException) -> str:
    """One sentence on a connection that could not be made or was lost, without an address's query in it."""
    for kind, sentence in (
        (ssl.SSLCertVerificationError, "the certificate is not trusted: is a private CA missing in SSL_CERT_FILE?"),
        (ssl.SSLError, "TLS failed: does something between here and Azure break it open?"),
        (socket.gaierror, "the host name is not known: check DNS and AZURE_RELAY_NAMESPACE"),
        (TimeoutError, "no answer in time: does the firewall let port 443 out?"),
        (ConnectionRefusedError, "connection refused: nothing listens there"),
        (OSError, "the network failed"),
        (UnicodeError, "the host name is none: check AZURE_RELAY_NAMESPACE"),
        ((ValueError, ImportError), "the address or the proxy is none that can be used: check HTTPS_PROXY"),
    ):
        if isinstance(error, kind):
            return f"{sentence} ({type(error).__name__})"
    return type(error).__name__
