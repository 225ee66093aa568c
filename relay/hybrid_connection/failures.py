"""Owns what can go wrong on the way to the relay: one plain sentence for each, and how soon to try again. Pure.

Hybrid Connections protocol: what the service answers to the handshake; close codes of the control channel.
"""

import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import Enum

#: A clock that is off by more than this is told. Seconds.
CLOCK_TOLERANCE = 60.0
UNPRINTABLE = re.compile(r"[^\x20-\x7e]+")
#: What opens a hybrid connection. Something that stands in between may send our own headers back to us.
SECRET = re.compile(
    r"SharedAccessSignature.*|(Bearer|Basic)\s+\S+|\b(sig|sr|skn|sb-hc-token|ServiceBusAuthorization)\b\s*[=:].*|eyJ[\w.-]+",
    re.IGNORECASE,
)


class Pace(Enum):
    """How soon to try again."""

    AT_ONCE = "at once"
    BACK_OFF = "with back-off"
    SLOW = "slowly, until somebody mends the configuration"


@dataclass(frozen=True)
class Failure:
    """One thing that went wrong.

    `kind` is a word for programs; `sentence` the cause and the next step for people; `status` the HTTP status, where
    there was one.
    """

    kind: str
    sentence: str
    pace: Pace = Pace.BACK_OFF
    status: int | None = None

    def __str__(self) -> str:
        return self.sentence


class HybridConnectionError(Exception):
    """A connection could not be made or was lost: the text names the phase, the cause and what to do."""

    def __init__(self, phase: str, failure: Failure) -> None:
        super().__init__(f"{phase}: {failure}")
        self.phase = phase
        self.failure = failure

    @property
    def status(self) -> int | None:
        """The HTTP status that the handshake was answered with, if it was."""
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
    407: ("proxy", "a proxy answers in the relay's place: it belongs into HTTPS_PROXY", Pace.SLOW),
    410: ("gone", "the rejection has arrived", Pace.BACK_OFF),
    429: ("busy", "the service is asked too often", Pace.BACK_OFF),
    504: ("gateway_timeout", "a listener is there, but did not come to the rendezvous in time", Pace.BACK_OFF),
}
PROXY_SYNTAX = "http://proxy:port or http://user:password@proxy:port, special characters as %40 for @"
WRONG_CREDENTIALS = (
    "it wants a user name and password, or refused those in HTTPS_PROXY: http://user:password@proxy:port"
)
#: HTTP status of a proxy's refusal → next step.
PROXY_STATUSES: Mapping[int, str] = {
    401: WRONG_CREDENTIALS,  # not what RFC 9110 has, but what tinyproxy says of a wrong password
    403: "it does not let us through: it must allow CONNECT to *.servicebus.windows.net on port 443",
    407: WRONG_CREDENTIALS,
}
#: What is wrong with a certificate (OpenSSL's X509_V_ERR_…) → cause and next step; `verify_message` has the rest.
NOT_YET_VALID, EXPIRED, WRONG_HOST, WRONG_ADDRESS = 9, 10, 62, 64
ANOTHER_HOST = "the certificate is another host's: check AZURE_RELAY_NAMESPACE; does something answer in its place?"
CERTIFICATES: Mapping[int, str] = {
    NOT_YET_VALID: "the certificate is not valid yet: is this machine's clock behind?",
    EXPIRED: "the certificate has expired: is this machine's clock ahead?",
    WRONG_HOST: ANOTHER_HOST,
    WRONG_ADDRESS: ANOTHER_HOST,
}
#: Close code of a control channel → kind, cause and next step, pace.
CLOSE_CODES: Mapping[int, tuple[str, str, Pace]] = {
    1001: ("disabled", "the hybrid connection was deleted or disabled: look at it in the portal", Pace.SLOW),
    1006: ("broken", "the connection broke without a word: the network, or something in between", Pace.BACK_OFF),
    1008: ("token_ended", "the token was refused or has expired: a fresh one comes next", Pace.AT_ONCE),
    1011: ("service_error", "the service had an error of its own", Pace.BACK_OFF),
}


def explain_status(status: int, detail: str = "", skew: str = "") -> Failure:
    """A handshake that was answered with `status`.

    `detail` is the service's own text, kept for its tracking id; `skew` what `clock_skew` says, told with a 401.
    """
    own = ("service_trouble", "the service has trouble of its own", Pace.BACK_OFF)
    unexpected = (
        "unexpected_status",
        "no answer of a relay's: does a proxy stand before it?",
        Pace.BACK_OFF,
    )
    kind, step, pace = STATUSES.get(status, own if status >= 500 else unexpected)
    clock = f"; {skew}" if skew and status == 401 else ""
    return Failure(kind, f"{status}, {step}{clock}{quoted(detail)}", pace, status)


def explain_proxy_status(status: int) -> Failure:
    """A proxy that did not connect us."""
    unreachable = "it cannot reach the relay: check AZURE_RELAY_NAMESPACE, or ask whoever runs it"
    step = PROXY_STATUSES.get(status, unreachable if status >= 500 else "it does not connect us: ask whoever runs it")
    pace = Pace.BACK_OFF if status >= 500 else Pace.SLOW
    return Failure("proxy", f"the proxy answered with {status}: {step}", pace)


def explain_close(code: int, detail: str = "", *, unanswered_ping: bool = False) -> Failure:
    """A control channel that ended; `unanswered_ping` when it was ours, since a ping had no answer in time."""
    if unanswered_ping:
        return Failure("half_open", "half open: a ping was not answered in time, so the channel was given up")
    kind, cause, pace = CLOSE_CODES.get(code, ("closed", "the service closed the channel", Pace.BACK_OFF))
    return Failure(kind, f"{code}, {cause}{quoted(detail)}", pace)


#: Kind of exception → word, sentence, sentence where it went through a proxy ("" is the same), pace.
EXCEPTIONS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str, str, str, Pace], ...] = (
    (
        ssl.SSLCertVerificationError,
        "certificate",
        "the certificate's authority is not trusted: a private one, or an inspecting proxy's, goes into SSL_CERT_FILE",
        "",
        Pace.SLOW,
    ),
    (ssl.SSLError, "tls", "TLS failed: does something between here and Azure break it open?", "", Pace.BACK_OFF),
    (
        socket.gaierror,
        "dns",
        "the host name is not known: check DNS and AZURE_RELAY_NAMESPACE",
        "the proxy's host name is not known: check HTTPS_PROXY",
        Pace.BACK_OFF,
    ),
    (
        TimeoutError,
        "timeout",
        "no answer in time: does the firewall let port 443 out?",
        "no answer in time through the proxy: does it reach the relay on port 443?",
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
    (UnicodeError, "address", "the host name is none: check AZURE_RELAY_NAMESPACE", "", Pace.SLOW),
    (
        (ValueError, ImportError),
        "address",
        "the address or the proxy is none that can be used: check HTTPS_PROXY",
        "",
        Pace.SLOW,
    ),
)


def explain_exception(error: BaseException, *, proxied: bool = False) -> Failure:
    """A connection that could not be made or was lost, without an address's query and without a library's words."""
    for kinds, kind, direct, through_proxy, pace in EXCEPTIONS:
        if isinstance(error, kinds):
            certificate = CERTIFICATES.get(getattr(error, "verify_code", 0), "")
            sentence = certificate or (through_proxy if proxied else "") or direct
            reason = getattr(error, "verify_message", "") or type(error).__name__
            word = "proxy" if proxied and through_proxy else kind
            return Failure(word, f"{sentence} ({reason})", pace)
    return Failure("unexpected", f"the WebSocket could not be opened ({type(error).__name__})")


def seconds_behind(date_header: str, now: float) -> float | None:
    """By how much this machine's clock is behind, by the `Date` of a response; None where that is not told.

    `now` is this machine's time in Unix seconds.
    """
    try:
        return parsedate_to_datetime(date_header).timestamp() - now
    except ValueError:
        return None


def clock_skew(date_header: str, now: float) -> str:
    """What to say of this machine's clock, by the `Date` of a response; empty where it is right or not told."""
    return describe_skew(seconds_behind(date_header, now) or 0.0)


def describe_skew(behind: float) -> str:
    """What to say of a clock that is so many seconds behind; empty where it is right."""
    if abs(behind) <= CLOCK_TOLERANCE:
        return ""
    minutes, seconds = divmod(round(abs(behind)), 60)
    span = f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {seconds} s"
    return f"this machine's clock is {span} {'behind' if behind > 0 else 'ahead of'} the service's: set it"


def quoted(detail: str) -> str:
    """The other side's own words, for their tracking id: printable, short, and without anything that opens a door."""
    text = SECRET.sub("…", UNPRINTABLE.sub(" ", detail)).strip()[:300]
    return f" [{text}]" if text else ""
