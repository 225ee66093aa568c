"""Decide which associations are admitted: by AE title, address and number (PS3.8 section 9.3.4)."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from ipaddress import IPv6Address, ip_address
from typing import Protocol

from core import value_representations as vr
from dicom.modality_directory import ModalityDirectory
from dicom.modality_policy import ModalityPolicy
from dicom.upper_layer.negotiation import Rejection

#: What to do with a calling AE title that is not configured. The last is production's default: `warn` until the first
#: modality is configured, `reject` from then on.
ACCEPT, WARN, REJECT, REJECT_ONCE_CONFIGURED = "accept", "warn", "reject", "reject-once-configured"


NO_CALLING_TITLE = Rejection("the calling AE title is empty, or none that DICOM allows", 1, 1, 3)
NO_CALLED_TITLE = Rejection("the called AE title is empty, or none that DICOM allows", 1, 1, 7)
WRONG_CALLED_TITLE = Rejection("the called AE title is not this server's", 1, 1, 7)
UNKNOWN_TITLE = Rejection("the calling AE title is not a configured modality", 1, 1, 3)
NOT_ALLOWED = Rejection("the modality is not allowed", 1, 1, 3)
WRONG_ADDRESS = Rejection("the modality is expected at another address", 1, 1, 3)
TOO_MANY = Rejection("as many associations are open as MAX_ASSOCIATIONS allows", 2, 3, 2)
TOO_MANY_FROM_PEER = Rejection("its address has as many open as MAX_ASSOCIATIONS_PER_PEER allows", 2, 3, 2)


@dataclass(frozen=True)
class ServerConfig:
    """The server's AE title and limits. Times in seconds."""

    ae_title: str
    max_associations: int = 60
    max_per_peer: int = 50
    idle_seconds: float = 60.0
    unknown_titles: str = WARN
    checks_called_title: bool = False
    #: A data set that has not arrived this long after it was announced is given up; a long one has longer
    #: (`upper_layer.acceptor.Limits`). A modality waits about 30 seconds for its answer.
    data_set_seconds: float = 10.0
    min_bytes_per_second: int = 1000
    #: The longest P-DATA-TF that modalities are asked to send. Room for four is made when a long one comes.
    max_pdu_bytes: int = 16384
    #: A longer data set ends the association. The default has room for a report that refers to 8,000 images.
    max_data_set_bytes: int = 1 << 20
    #: Whether several processes may listen on the same port. Each applies the limits to its own associations.
    shares_port: bool = False


@dataclass(frozen=True)
class Requestor:
    """Who requests an association. What an AE title may not contain is escaped."""

    calling_ae_title: str
    called_ae_title: str
    address: str


class ModalitiesUnknown(Exception):
    """The configured modalities have not been read yet, so nobody can say what the requestor may do."""


class RequestRefused(Exception):
    """The requestor's association was accepted, but it may not make requests any more; the text says why."""


class OpenAssociation(Protocol):
    """An association that counts against the limits until its thread ends."""

    def is_alive(self) -> bool:
        """Whether it is still open."""


@dataclass(frozen=True)
class _Application:
    """Everything the rules look at: the requestor, its modality's policy and the addresses already connected."""

    requestor: Requestor
    config: ServerConfig
    policy: ModalityPolicy
    rejects_unknown: bool
    addresses: list[str] = field(default_factory=list)


Rules = tuple[tuple[Rejection, Callable[[_Application], bool]], ...]

#: Checked when an association is requested, and again at each request on it: an association may stay open for days.
PERMISSION_RULES: Rules = (
    (NO_CALLING_TITLE, lambda asked: not vr.is_ae(asked.requestor.calling_ae_title)),
    (NO_CALLED_TITLE, lambda asked: not vr.is_ae(asked.requestor.called_ae_title)),
    (
        WRONG_CALLED_TITLE,
        lambda asked: asked.config.checks_called_title and asked.requestor.called_ae_title != asked.config.ae_title,
    ),
    (UNKNOWN_TITLE, lambda asked: not asked.policy.is_known and asked.rejects_unknown),
    (NOT_ALLOWED, lambda asked: not asked.policy.is_allowed),
    (
        WRONG_ADDRESS,
        lambda asked: (
            bool(asked.policy.expected_address)
            and _plain_address(asked.requestor.address) != _plain_address(asked.policy.expected_address)
        ),
    ),
)
LIMIT_RULES: Rules = (
    (TOO_MANY, lambda asked: len(asked.addresses) >= asked.config.max_associations),
    (TOO_MANY_FROM_PEER, lambda asked: asked.addresses.count(asked.requestor.address) >= asked.config.max_per_peer),
)


class AssociationPolicy:
    """Admits or rejects associations. Ports that share a policy share its limits.

    Only admitted associations count: a connection that has not yet requested one uses up no place.
    """

    def __init__(self, config: ServerConfig, modalities: ModalityDirectory | None = None) -> None:
        self.config = config
        self.modalities = modalities or ModalityDirectory()
        self._open: dict[OpenAssociation, str] = {}
        self._lock = threading.Lock()

    def admit(self, association: OpenAssociation, requestor: Requestor) -> Rejection | None:
        """Admit the association; return the rejection if it must be rejected.

        A permanent reason (table 9-21: rejected-permanent) takes precedence over a transient one.
        """
        application = self._application(requestor)
        with self._lock:
            application = replace(application, addresses=list(self._still_open().values()))
            rejection = _first_broken(PERMISSION_RULES + LIMIT_RULES, application)
            if rejection is None:
                self._open[association] = requestor.address
        return rejection

    def check_request(self, requestor: Requestor) -> ModalityPolicy:
        """Return the policy of a requestor that may make a request; else raise ModalitiesUnknown or RequestRefused.

        The modality's configuration may have changed since the association was admitted.
        """
        if self.modalities.count() is None:
            raise ModalitiesUnknown
        application = self._application(requestor)
        if rejection := _first_broken(PERMISSION_RULES, application):
            raise RequestRefused(rejection.sentence)
        return application.policy

    def rejects_unknown(self) -> bool:
        """Whether an AE title that is not configured is rejected now.

        Not while the modalities cannot be read because the database is down: a console whose first query fails for
        that reason may try again, and one whose association is rejected may not.
        """
        configured = self.modalities.count()
        if configured is None:
            return False
        return self.config.unknown_titles == REJECT or (
            self.config.unknown_titles == REJECT_ONCE_CONFIGURED and configured > 0
        )

    def warns_of(self, calling_ae_title: str) -> bool:
        """Whether the log warns of this AE title, because it is not configured."""
        return self.config.unknown_titles != ACCEPT and not self.modalities.policy_for(calling_ae_title).is_known

    def open_associations(self) -> int:
        """The number of admitted associations that are still open."""
        with self._lock:
            return len(self._still_open())

    def _application(self, requestor: Requestor) -> _Application:
        policy = self.modalities.policy_for(requestor.calling_ae_title)
        return _Application(requestor, self.config, policy, self.rejects_unknown())

    def _still_open(self) -> dict[OpenAssociation, str]:
        self._open = {association: address for association, address in self._open.items() if association.is_alive()}
        return self._open


def _first_broken(rules: Rules, application: _Application) -> Rejection | None:
    return next((rejection for rejection, is_broken in rules if is_broken(application)), None)


def _plain_address(text: str) -> object:
    """The address as a value to compare: a server that listens on IPv6 sees IPv4 as ::ffff:192.0.2.7."""
    try:
        address = ip_address(text)
    except ValueError:
        return text
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
