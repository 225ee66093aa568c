"""Owns the addresses of a hybrid connection (Hybrid Connections protocol: roles and addresses). Pure."""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import quote, urlencode

LABEL = r"[A-Za-z0-9-]{1,63}"
NOT_IN_A_PATH = re.compile(r"[;=?&#]")
NAMESPACE = re.compile(rf"(?P<host>\[[0-9A-Fa-f:]+\]|{LABEL}(?:\.{LABEL})*)(:(?P<port>[0-9]{{1,5}}))?")


@dataclass(frozen=True)
class HybridConnectionAddress:
    """Where a hybrid connection is.

    `namespace` is a host name, with `:port` where it is not 443; `path` is the hybrid connection's name, not encoded.
    `plain` asks for ws:// instead of wss://; that is only ever right for an emulator on a loopback address, and
    anything else raises ValueError.
    """

    namespace: str
    path: str
    plain: bool = False

    def __post_init__(self) -> None:
        match = NAMESPACE.fullmatch(self.namespace)
        if not match or int(match["port"] or 443) > 65535:
            # Not quoted: it may be a whole connection string, with its key.
            raise ValueError(
                "what is given is not a relay namespace: give the host name alone, such as "
                "hospital.servicebus.windows.net (of a connection string, what is between sb:// and the next /)"
            )
        if not self.path.strip("/"):
            raise ValueError("the name of the hybrid connection is empty")
        if NOT_IN_A_PATH.search(self.path):
            raise ValueError("the name of the hybrid connection has characters in it that no name has")
        if self.plain and not is_loopback(match["host"]):
            raise ValueError(f"plain ws:// is for an emulator on a loopback address only, not for {self.namespace}")

    @property
    def host(self) -> str:
        """The host name, without the port."""
        return self.namespace.rsplit(":", 1)[0] if not self.namespace.endswith("]") else self.namespace

    @property
    def port(self) -> int:
        """The port: 443 where the namespace names none."""
        return int(self.namespace.removeprefix(self.host).lstrip(":") or 443)

    @property
    def listen_url(self) -> str:
        """Where a listener opens its control channel. The token goes in a header."""
        return self._url("listen")

    @property
    def connect_url(self) -> str:
        """Where a sender connects. The token goes in a header."""
        return self._url("connect")

    @property
    def audience(self) -> str:
        """The resource URI that a token for this hybrid connection is signed over."""
        return f"http://{self.namespace}/{self._encoded_path}"

    @property
    def _encoded_path(self) -> str:
        return quote(self.path.strip("/"))

    def _url(self, action: str) -> str:
        scheme = "ws" if self.plain else "wss"
        return f"{scheme}://{self.namespace}/$hc/{self._encoded_path}?sb-hc-action={action}"


def rejection_url(rendezvous: str, status: int, description: str) -> str:
    """The rendezvous address that tells the sender `status` and `description` instead of joining it."""
    return f"{rendezvous}&{urlencode({'sb-hc-statusCode': status, 'sb-hc-statusDescription': description})}"


def is_loopback(host: str) -> bool:
    """Whether a host name is this machine itself."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
