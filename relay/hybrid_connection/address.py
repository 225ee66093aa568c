"""Build the URLs of a hybrid connection, and the audience of its tokens (Hybrid Connections protocol: roles).

Pure: no socket, no event loop.
"""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import quote, urlencode

LABEL = r"[A-Za-z0-9-]{1,63}"
NOT_IN_A_PATH = re.compile(r"[;=?&#]")
NAMESPACE = re.compile(rf"(?P<host>\[[0-9A-Fa-f:]+\]|{LABEL}(?:\.{LABEL})*)(:(?P<port>[0-9]{{1,5}}))?")


@dataclass(frozen=True)
class HybridConnectionAddress:
    """The address of a hybrid connection; raises ValueError when it is malformed.

    `namespace` is a host name, with `:port` unless that is 443. `path` is the hybrid connection's name, not encoded.
    `plain` uses ws:// instead of wss://, which is allowed only for an emulator on a loopback address.
    """

    namespace: str
    path: str
    plain: bool = False

    def __post_init__(self) -> None:
        match = NAMESPACE.fullmatch(self.namespace)
        if not match or int(match["port"] or 443) > 65535:
            # Do not quote it: it may be a whole connection string, with its key.
            raise ValueError(
                "this is not a relay namespace: give the host name alone, such as "
                "hospital.servicebus.windows.net (in a connection string: the part between sb:// and the next /)"
            )
        if not self.path.strip("/"):
            raise ValueError("the name of the hybrid connection is empty")
        if NOT_IN_A_PATH.search(self.path):
            raise ValueError("the name of the hybrid connection contains characters that are not allowed")
        if self.plain and not is_loopback(match["host"]):
            raise ValueError(f"plain ws:// is only for an emulator on a loopback address, not for {self.namespace}")

    @property
    def host(self) -> str:
        return self.namespace.rsplit(":", 1)[0] if not self.namespace.endswith("]") else self.namespace

    @property
    def port(self) -> int:
        """The port; 443 when the namespace has none."""
        return int(self.namespace.removeprefix(self.host).lstrip(":") or 443)

    @property
    def listen_url(self) -> str:
        """Where a listener opens its control channel; send the token in a header."""
        return self._url("listen")

    @property
    def connect_url(self) -> str:
        """Where a sender connects; send the token in a header."""
        return self._url("connect")

    @property
    def audience(self) -> str:
        """The resource URI for which a token is signed."""
        return f"http://{self.namespace}/{self._encoded_path}"

    @property
    def _encoded_path(self) -> str:
        return quote(self.path.strip("/"))

    def _url(self, action: str) -> str:
        scheme = "ws" if self.plain else "wss"
        return f"{scheme}://{self.namespace}/$hc/{self._encoded_path}?sb-hc-action={action}"


def rejection_url(rendezvous: str, status: int, description: str) -> str:
    """Return the URL to connect to in order to reject the sender, with an HTTP status and a description."""
    return f"{rendezvous}&{urlencode({'sb-hc-statusCode': status, 'sb-hc-statusDescription': description})}"


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is this machine itself."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
