"""Owns who is let in: by AE title, address and number, and how a refusal is worded (PS3.8 section 9.3.4)."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from ipaddress import IPv6Address, ip_address
from typing import Protocol

from worklist.policies import Policy
from worklist.scp.directory import Directory

#: What to do with a calling AE title that nobody has configured; the last one is production's own choice: `warn` until
#: the first modality is configured, `reject` from then on.
ACCEPT, WARN, REJECT, REJECT_ONCE_CONFIGURED = "accept", "warn", "reject", "reject-once-configured"


@dataclass(frozen=True)
class Refusal:
    """An A-ASSOCIATE-RJ: its result, source and reason (PS3.8 table 9-21), and what the log says of it."""

    sentence: str
    result: int
    source: int
    reason: int


CALLED_BY_ANOTHER_TITLE = Refusal("it called another AE title than MWL_AE_TITLE", 1, 1, 7)
UNKNOWN_TITLE = Refusal("its AE title is not among the modalities", 1, 1, 3)
NOT_ALLOWED = Refusal("its modality is not allowed", 1, 1, 3)
ANOTHER_ADDRESS = Refusal("its modality is expected at another address", 1, 1, 3)
TOO_MANY = Refusal("MWL_MAX_ASSOCIATIONS are open", 2, 3, 2)
TOO_MANY_OF_THIS_PEER = Refusal("MWL_MAX_ASSOCIATIONS_PER_PEER are open from its address", 2, 3, 2)


@dataclass(frozen=True)
class Terms:
    """On what terms associations are taken; each but the last is a setting."""

    ae_title: str
    max_associations: int = 60
    max_per_peer: int = 50
    idle_seconds: float = 60.0
    unknown_titles: str = WARN
    checks_called_title: bool = False
    #: A data set that was announced and has not begun so long after its command is an empty one. A modality waits for
    #: some 30 for its answer. Seconds.
    data_set_seconds: float = 10.0


@dataclass(frozen=True)
class Applicant:
    """Who asks for an association."""

    calling_ae_title: str
    called_ae_title: str
    address: str


@dataclass(frozen=True)
class _Case:
    """One applicant, with all that is known of it and of the others."""

    applicant: Applicant
    terms: Terms
    policy: Policy
    rejects_unknown: bool
    addresses: list[str] = field(default_factory=list)  # of those inside


Rules = tuple[tuple[Refusal, Callable[[_Case], bool]], ...]

#: Who may ask: held against an association, and again against each of its queries, as it may stay open for days.
WHO: Rules = (
    (
        CALLED_BY_ANOTHER_TITLE,
        lambda case: case.terms.checks_called_title and case.applicant.called_ae_title != case.terms.ae_title,
    ),
    (UNKNOWN_TITLE, lambda case: not case.policy.is_known and case.rejects_unknown),
    (NOT_ALLOWED, lambda case: not case.policy.is_allowed),
    (
        ANOTHER_ADDRESS,
        lambda case: (
            bool(case.policy.expected_address)
            and not _is_same_address(case.applicant.address, case.policy.expected_address)
        ),
    ),
)
HOW_MANY: Rules = (
    (TOO_MANY, lambda case: len(case.addresses) >= case.terms.max_associations),
    (
        TOO_MANY_OF_THIS_PEER,
        lambda case: case.addresses.count(case.applicant.address) >= case.terms.max_per_peer,
    ),
)


class Guest(Protocol):
    """An association that is inside, until its thread ends."""

    def is_alive(self) -> bool:
        """Whether it still is."""


class Door:
    """Lets associations in, or says why not. Ports that share a door share its limits.

    Only those inside count: a connection that has not yet asked for an association takes nobody's place.
    """

    def __init__(self, terms: Terms, directory: Directory | None = None) -> None:
        self.terms = terms
        self.directory = directory or Directory()
        self._inside: dict[Guest, str] = {}
        self._lock = threading.Lock()

    def enter(self, guest: Guest, applicant: Applicant) -> Refusal | None:
        """Let it in, which is None, or say why not. What lasts is said before what passes."""
        case = self._case(applicant)
        with self._lock:
            full = replace(case, addresses=list(self._still_inside().values()))
            refusal = _first(WHO + HOW_MANY, full)
            if refusal is None:
                self._inside[guest] = applicant.address
        return refusal

    def objection(self, applicant: Applicant) -> Refusal | None:
        """Why one that was let in may not ask now, if so: what is known of it may have changed since."""
        return _first(WHO, self._case(applicant))

    def knows_all(self) -> bool:
        """Whether the modalities have been read: until then nobody can say what anybody may see."""
        return self.directory.size() is not None

    def _case(self, applicant: Applicant) -> _Case:
        policy = self.directory.policy_for(applicant.calling_ae_title)
        return _Case(applicant, self.terms, policy, self.rejects_unknown())

    def rejects_unknown(self) -> bool:
        """Whether an AE title that nobody has configured is rejected now.

        While the modalities have not been read yet, as the database is away, nobody is: its first query will be told
        that the database is away, and a console that is told so may try again; one that is rejected may not.
        """
        configured = self.directory.size()
        if configured is None:
            return False
        return self.terms.unknown_titles == REJECT or (
            self.terms.unknown_titles == REJECT_ONCE_CONFIGURED and configured > 0
        )

    def warns_of(self, calling_ae_title: str) -> bool:
        """Whether one that was let in is to be told of, as nobody has configured it."""
        return self.terms.unknown_titles != ACCEPT and not self.directory.policy_for(calling_ae_title).is_known

    def inside(self) -> int:
        """How many associations are open."""
        with self._lock:
            return len(self._still_inside())

    def _still_inside(self) -> dict[Guest, str]:
        self._inside = {guest: address for guest, address in self._inside.items() if guest.is_alive()}
        return self._inside


def _first(rules: Rules, case: _Case) -> Refusal | None:
    return next((refusal for refusal, holds in rules if holds(case)), None)


def _is_same_address(one: str, other: str) -> bool:
    """As addresses, not as texts: a server that listens on IPv6 sees IPv4 as ::ffff:192.0.2.7."""
    return _plain(one) == _plain(other)


def _plain(text: str) -> object:
    try:
        address = ip_address(text)
    except ValueError:
        return text
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
