"""Explain each failure on the way to the relay in one sentence with its next step, and say how soon to retry.

Hybrid Connections protocol: HTTP statuses of the handshake, close codes of the control channel.
Pure: no socket, no event loop.
"""

import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import Enum

#: A clock that is wrong by more than this is reported. Seconds.
CLOCK_TOLERANCE = 60.0
UNPRINTABLE = re.compile(r"[^\x20-\x7e]+")
#: Credentials. A proxy or firewall may quote our own headers in its answer.
SECRET = re.compile(
    r"SharedAccessSignature.*|(Bearer|Basic)\s+\S+|\b(sig|sr|skn|sb-hc-token|ServiceBusAuthorization)\b\s*[=:].*|eyJ[\w.-]+",
    re.IGNORECASE,
)


class Pace(Enum):
    """How soon to try again. SLOW is for what only a person can fix, such as a wrong configuration."""

    AT_ONCE = "at once"
    BACK_OFF = "back off"
    SLOW = "slow"


@dataclass(frozen=True)
class Failure:
    """One thing that went wrong.

    `kind` is a word for programs to compare. `sentence` gives the cause and the next step. `status` is the HTTP status
    of the handshake, if it got that far.
    """

    kind: str
    sentence: str
    pace: Pace = Pace.BACK_OFF
    status: int | None = None

    def __str__(self) -> str:
        return self.sentence


class HybridConnectionError(Exception):
    """A connection could not be made or was lost; the message gives the phase, the cause and the next step."""

    def __init__(self, phase: str, failure: Failure) -> None:
        super().__init__(f"{phase}: {failure}")
        self.phase = phase
        self.failure = failure

    @property
    def status(self) -> int | None:
        """The HTTP status of the handshake, if it got that far."""
        return self.failure.status


#: HTTP status of a refused handshake → kind, next step, pace.
STATUSES: Mapping[int, tuple[str, str, Pace]] = {
    400: ("bad_request", "the service did not understand the address: check AZURE_RELAY_NAMESPACE", Pace.SLOW),
    401: ("unauthorized", "token refused: check the policy's name and key, and this machine's clock", Pace.SLOW),
    403: (
        "forbidden",
        "the token is valid, but not for this hybrid connection or this right: the policy needs Listen (Send, to send)",
        Pace.SLOW,
    ),
    404: (
        "not_found",
        "no such hybrid connection, or no listener for a sender: check AZURE_RELAY_NAMESPACE and "
        "AZURE_RELAY_HYBRID_CONNECTION",
        Pace.SLOW,
    ),
    407: ("proxy", "a proxy answers instead of the relay: set HTTPS_PROXY to it", Pace.SLOW),
    410: ("gone", "the service confirms the rejection", Pace.BACK_OFF),
    429: ("busy", "too many requests", Pace.BACK_OFF),
    504: ("gateway_timeout", "a listener is connected, but did not join the rendezvous in time", Pace.BACK_OFF),
}
PROXY_SYNTAX = "http://proxy:port or http://user:password@proxy:port, special characters as %40 for @"
WRONG_CREDENTIALS = (
    "it requires a user name and password, or refused those in HTTPS_PROXY: http://user:password@proxy:port"
)
#: HTTP status of a proxy's refusal → cause and next step.
PROXY_STATUSES: Mapping[int, str] = {
    401: WRONG_CREDENTIALS,  # RFC 9110 says 407, but tinyproxy answers a wrong password with 401
    403: "it refused the connection: it must allow CONNECT to *.servicebus.windows.net on port 443",
    407: WRONG_CREDENTIALS,
}
#: OpenSSL's X509_V_ERR_… → cause and next step. Other errors keep OpenSSL's own text (`verify_message`).
NOT_YET_VALID, EXPIRED, WRONG_HOST, WRONG_ADDRESS = 9, 10, 62, 64
ANOTHER_HOST = (
    "the certificate is another host's: check AZURE_RELAY_NAMESPACE; does something else answer in its place?"
)
CERTIFICATES: Mapping[int, str] = {
    NOT_YET_VALID: "the certificate is not valid yet: is this machine's clock behind?",
    EXPIRED: "the certificate has expired: is this machine's clock ahead?",
    WRONG_HOST: ANOTHER_HOST,
    WRONG_ADDRESS: ANOTHER_HOST,
}
#: Close code of a control channel → kind, cause and next step, pace.
CLOSE_CODES: Mapping[int, tuple[str, str, Pace]] = {
    # RFC 6455: "going away". Only the next handshake tells one cause from the other, so it must not wait long.
    1001: (
        "going_away",
        "the service closed the connection: it is restarting, or the hybrid connection was deleted or disabled; "
        "the next attempt will show which",
        Pace.BACK_OFF,
    ),
    1006: (
        "broken",
        "the connection broke without a closing handshake: the network, a proxy or a firewall",
        Pace.BACK_OFF,
    ),
    1008: ("token_ended", "the token was refused or has expired: a new one is requested", Pace.AT_ONCE),
    1011: ("service_error", "the service had an internal error", Pace.BACK_OFF),
}


def explain_status(status: int, detail: str = "", skew: str = "") -> Failure:
    """Explain a handshake that was answered with `status`.

    `detail` is the service's own text, kept for its tracking id. `skew` comes from `clock_skew` and is added to a 401.
    """
    internal = ("service_trouble", "the service has an internal problem", Pace.BACK_OFF)
    unexpected = ("unexpected_status", "Azure Relay does not send this status: is a proxy answering?", Pace.BACK_OFF)
    kind, step, pace = STATUSES.get(status, internal if status >= 500 else unexpected)
    clock = f"; {skew}" if skew and status == 401 else ""
    return Failure(kind, f"{status}, {step}{clock}{redacted(detail)}", pace, status)


def explain_proxy_status(status: int) -> Failure:
    """Explain a CONNECT that the proxy answered with `status`."""
    unreachable = "it cannot reach the relay: check AZURE_RELAY_NAMESPACE, or ask whoever runs it"
    step = PROXY_STATUSES.get(
        status, unreachable if status >= 500 else "it does not connect us to the relay: ask whoever runs it"
    )
    pace = Pace.BACK_OFF if status >= 500 else Pace.SLOW
    return Failure("proxy", f"the proxy answered with {status}: {step}", pace)


def explain_close(code: int, detail: str = "", *, unanswered_ping: bool = False) -> Failure:
    """Explain why a control channel ended; `unanswered_ping`: we closed it, because a ping was not answered in time."""
    if unanswered_ping:
        return Failure("half_open", "half open: a ping was not answered in time, so the channel was closed")
    kind, cause, pace = CLOSE_CODES.get(code, ("closed", "the service closed the channel", Pace.BACK_OFF))
    return Failure(kind, f"{code}, {cause}{redacted(detail)}", pace)


#: Exception → kind, sentence, sentence when it went through a proxy ("": the same one), pace.
EXCEPTIONS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str, str, str, Pace], ...] = (
    (
        ssl.SSLCertVerificationError,
        "certificate",
        "the certificate's authority is not trusted: a private one, or an inspecting proxy's, must be in SSL_CERT_FILE",
        "",
        Pace.SLOW,
    ),
    (ssl.SSLError, "tls", "TLS failed: does a firewall or proxy on the way intercept it?", "", Pace.BACK_OFF),
    (
        socket.gaierror,
        "dns",
        "the host name cannot be resolved: check DNS and AZURE_RELAY_NAMESPACE",
        "the proxy's host name cannot be resolved: check HTTPS_PROXY",
        Pace.BACK_OFF,
    ),
    (
        TimeoutError,
        "timeout",
        "no answer in time: does the firewall allow outbound connections on port 443?",
        "no answer in time through the proxy: can it reach the relay on port 443?",
        Pace.BACK_OFF,
    ),
    (
        ConnectionRefusedError,
        "refused",
        "connection refused: nothing listens there",
        "the proxy refuses the connection: check HTTPS_PROXY",
        Pace.BACK_OFF,
    ),
    (OSError, "network", "the network failed", "the network failed on the way to the proxy", Pace.BACK_OFF),
    (UnicodeError, "address", "the host name is invalid: check AZURE_RELAY_NAMESPACE", "", Pace.SLOW),
    (
        (ValueError, ImportError),
        "address",
        "the address or the proxy's address cannot be used: check HTTPS_PROXY",
        "",
        Pace.SLOW,
    ),
)


def explain_exception(error: BaseException, *, proxied: bool = False) -> Failure:
    """Explain the exception of a connection, without quoting the library: its text may contain a URL with a token."""
    for kinds, kind, direct, through_proxy, pace in EXCEPTIONS:
        if isinstance(error, kinds):
            certificate = CERTIFICATES.get(getattr(error, "verify_code", 0), "")
            sentence = certificate or (through_proxy if proxied else "") or direct
            reason = getattr(error, "verify_message", "") or type(error).__name__
            word = "proxy" if proxied and through_proxy else kind
            return Failure(word, f"{sentence} ({reason})", pace)
    return Failure("unexpected", f"the WebSocket could not be opened ({type(error).__name__})")


def seconds_behind(date_header: str, now: float) -> float | None:
    """Return how far this machine's clock (`now`, Unix seconds) is behind a Date header; None if that is malformed."""
    try:
        return parsedate_to_datetime(date_header).timestamp() - now
    except ValueError:
        return None


def clock_skew(date_header: str, now: float) -> str:
    """Describe how wrong this machine's clock is, from a Date header; empty when it is right or there is no Date."""
    return describe_skew(seconds_behind(date_header, now) or 0.0)


def describe_skew(behind: float) -> str:
    """Describe a clock that is this many seconds behind; empty when it is right, within CLOCK_TOLERANCE."""
    if abs(behind) <= CLOCK_TOLERANCE:
        return ""
    minutes, seconds = divmod(round(abs(behind)), 60)
    span = f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {seconds} s"
    return f"this machine's clock is {span} {'behind' if behind > 0 else 'ahead of'} the service's: set it"


def redacted(detail: str) -> str:
    """Quote the other side's text in brackets, for its tracking id: printable, short and without credentials."""
    text = SECRET.sub("…", UNPRINTABLE.sub(" ", detail)).strip()[:300]
    return f" [{text}]" if text else ""
