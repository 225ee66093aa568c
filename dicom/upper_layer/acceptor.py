"""The upper layer's state machine for an acceptor, sans-I/O: bytes in, events out (PS3.8 section 9.2).

Whoever owns the connection passes on what it receives to `receive_data`, b"" when the other end has closed it, and
sends what `data_to_send` returns. Or it saves a copy: it receives into `room`, and tells `received` how many bytes. It
calls `expire` when its clock has reached `deadline`, and closes the connection once `is_closed`. Neither bytes nor time
can make this raise: what is malformed, too long or too slow ends the association with an A-ABORT, and an event says
why. The fragments of a DataReceived are views of the buffer, and good until something is received again.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from .negotiation import Acceptance
from .pdu import (
    PDU_HEADER,
    Abort,
    AbortReason,
    AssociateRequest,
    MalformedPdu,
    Pdu,
    PduType,
    PresentationDataValue,
    decode_pdu,
    encode_abort,
    encode_associate_accept,
    encode_associate_reject,
    encode_message,
    encode_release_response,
)

Clock = Callable[[], float]

#: The room for what arrives, at first: what a worklist is asked fits in it. Bytes.
FIRST_ROOM = 4096
#: PDUs of the longest length asked for that have room at once as soon as something longer than that arrives.
PDUS_AT_ONCE = 4


class State(Enum):
    """The states of PS3.8 tables 9-1 to 9-5 that an acceptor has which does not itself ask for a release."""

    IDLE = "Sta1"
    AWAITING_REQUEST = "Sta2"
    AWAITING_LOCAL_ACCEPTANCE = "Sta3"
    ESTABLISHED = "Sta6"
    AWAITING_LOCAL_RELEASE = "Sta8"
    AWAITING_CLOSE = "Sta13"


class Cause(Enum):
    """What happens: the events of PS3.8 table 9-10."""

    ACCEPT_RECEIVED = "Evt3"
    REJECT_RECEIVED = "Evt4"
    CONNECTED = "Evt5"
    REQUEST_RECEIVED = "Evt6"
    LOCAL_ACCEPT = "Evt7"
    LOCAL_REJECT = "Evt8"
    LOCAL_DATA = "Evt9"
    DATA_RECEIVED = "Evt10"
    RELEASE_RECEIVED = "Evt12"
    RELEASE_RESPONSE_RECEIVED = "Evt13"
    LOCAL_RELEASE_RESPONSE = "Evt14"
    LOCAL_ABORT = "Evt15"
    ABORT_RECEIVED = "Evt16"
    CONNECTION_CLOSED = "Evt17"
    ARTIM_EXPIRED = "Evt18"
    INVALID_PDU = "Evt19"


COLUMNS = tuple(State)
#: PS3.8 table 9-10, for these states. A dash is a combination that cannot occur.
TABLE_9_10: Mapping[Cause, str] = {
    #                                Sta1   Sta2  Sta3  Sta6  Sta8  Sta13
    Cause.ACCEPT_RECEIVED:           "-     AA-1  AA-8  AA-8  AA-8  AA-6",
    Cause.REJECT_RECEIVED:           "-     AA-1  AA-8  AA-8  AA-8  AA-6",
    Cause.CONNECTED:                 "AE-5  -     -     -     -     -   ",
    Cause.REQUEST_RECEIVED:          "-     AE-6  AA-8  AA-8  AA-8  AA-7",
    Cause.LOCAL_ACCEPT:              "-     -     AE-7  -     -     -   ",
    Cause.LOCAL_REJECT:              "-     -     AE-8  -     -     -   ",
    Cause.LOCAL_DATA:                "-     -     -     DT-1  AR-7  -   ",
    Cause.DATA_RECEIVED:             "-     AA-1  AA-8  DT-2  AA-8  AA-6",
    Cause.RELEASE_RECEIVED:          "-     AA-1  AA-8  AR-2  AA-8  AA-6",
    Cause.RELEASE_RESPONSE_RECEIVED: "-     AA-1  AA-8  AA-8  AA-8  AA-6",
    Cause.LOCAL_RELEASE_RESPONSE:    "-     -     -     -     AR-4  -   ",
    Cause.LOCAL_ABORT:               "-     -     AA-1  AA-1  AA-1  -   ",
    Cause.ABORT_RECEIVED:            "-     AA-2  AA-3  AA-3  AA-3  AA-2",
    Cause.CONNECTION_CLOSED:         "-     AA-5  AA-4  AA-4  AA-4  AR-5",
    Cause.ARTIM_EXPIRED:             "-     AA-2  -     -     -     AA-2",
    Cause.INVALID_PDU:               "-     AA-1  AA-8  AA-8  AA-8  AA-7",
}  # fmt: skip
ACTION_IN = {cause: dict(zip(COLUMNS, row.split(), strict=True)) for cause, row in TABLE_9_10.items()}


@dataclass(frozen=True)
class Action:
    """What an action does besides sending the PDU that it is about.

    It enters the next state, if that is another, with ARTIM running for the limit `artim`, or stopped. It sends an
    A-ABORT if it `aborts`, and the service user is told if it `indicates`.
    """

    next_state: State | None = None
    artim: str = ""
    aborts: bool = False
    indicates: bool = False


#: PS3.8 tables 9-6 to 9-9. The service user writes the log, so it is told of AA-1, too, and of the end of a connection
#: on which no association was requested, unless the other end closed it without a byte.
ACTIONS: Mapping[str, Action] = {
    "AE-5": Action(State.AWAITING_REQUEST, artim="artim"),
    "AE-6": Action(State.AWAITING_LOCAL_ACCEPTANCE, indicates=True),
    "AE-7": Action(State.ESTABLISHED),
    "AE-8": Action(State.AWAITING_CLOSE, artim="closing"),
    "DT-1": Action(),
    "DT-2": Action(indicates=True),
    "AR-2": Action(State.AWAITING_LOCAL_RELEASE, indicates=True),
    "AR-4": Action(State.AWAITING_CLOSE, artim="closing"),
    "AR-5": Action(State.IDLE),
    "AR-7": Action(),
    "AA-1": Action(State.AWAITING_CLOSE, artim="closing", aborts=True, indicates=True),
    "AA-2": Action(State.IDLE),
    "AA-3": Action(State.IDLE, indicates=True),
    "AA-4": Action(State.IDLE, indicates=True),
    "AA-5": Action(State.IDLE),
    "AA-6": Action(),
    "AA-7": Action(aborts=True),
    "AA-8": Action(State.AWAITING_CLOSE, artim="closing", aborts=True, indicates=True),
}

CAUSE_OF = {
    PduType.ASSOCIATE_RQ: Cause.REQUEST_RECEIVED,
    PduType.ASSOCIATE_AC: Cause.ACCEPT_RECEIVED,
    PduType.ASSOCIATE_RJ: Cause.REJECT_RECEIVED,
    PduType.P_DATA_TF: Cause.DATA_RECEIVED,
    PduType.RELEASE_RQ: Cause.RELEASE_RECEIVED,
    PduType.RELEASE_RP: Cause.RELEASE_RESPONSE_RECEIVED,
    PduType.ABORT: Cause.ABORT_RECEIVED,
}
PDU_TYPES = frozenset(PduType)


@dataclass(frozen=True)
class Limits:
    """What one connection may cost. Lengths in bytes, times in seconds.

    `maximum_length` is that of the P-DATA-TF PDUs that the requestor is asked to keep to, and `pdu_length` that of any
    PDU that is taken. `artim` is for the association request, `closing` for the other end to close the connection at
    the end, `idle` for silence on an association. A PDU or a message that has begun has `patience`, and a second more
    for each `bytes_per_second` bytes of it that have come; whoever sends gives the other end as long to take it.
    """

    artim: float = 10.0
    closing: float = 2.0
    idle: float = 60.0
    patience: float = 10.0
    bytes_per_second: int = 1000
    maximum_length: int = 16384
    pdu_length: int = 1 << 20
    items: int = 1024
    command_length: int = 1 << 14
    data_set_length: int = 1 << 20

    def deadline(self, begun_at: float, received: int) -> float:
        """Return when something that began to arrive then, and of which so much has come, is too slow."""
        return begun_at + self.patience + received / self.bytes_per_second


@dataclass(frozen=True)
class AssociationRequested:
    """An A-ASSOCIATE indication: call `accept` or `reject`."""

    request: AssociateRequest


@dataclass(frozen=True)
class DataReceived:
    """A P-DATA indication: the fragments of one P-DATA-TF."""

    values: tuple[PresentationDataValue, ...]


@dataclass(frozen=True)
class ReleaseRequested:
    """An A-RELEASE indication: send what is left to be sent, and call `release`."""


@dataclass(frozen=True)
class AssociationAborted:
    """An A-ABORT or A-P-ABORT indication, or the end of a connection without an association.

    `why` completes a sentence about the requestor; `by_acceptor` is whether the A-ABORT is ours.
    """

    why: str
    by_acceptor: bool


Event = AssociationRequested | DataReceived | ReleaseRequested | AssociationAborted


class LocalError(Exception):
    """The owner of the connection asked for what the state does not allow."""


class UpperLayer:
    """One connection that has been accepted, from its A-ASSOCIATE-RQ to its end."""

    def __init__(self, clock: Clock, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.state = State.IDLE
        self._clock = clock
        #: What has arrived and has not been dealt with lies from `_begin` to `_end`.
        self._buffer = memoryview(bytearray(FIRST_ROOM))
        self._begin = self._end = 0
        self._out: list[bytes] = []
        self._artim: float | None = None
        self._pdu_begun_at: float | None = None
        self._quiet_since = clock()
        self._is_deaf = False  # after bytes in which no PDU can be found any more
        self._request = AssociateRequest(bytes(16), bytes(16))
        self._acceptance = Acceptance((), 0)
        self._apply(Cause.CONNECTED)

    @property
    def is_closed(self) -> bool:
        """Whether the connection has to be closed, or is."""
        return self.state is State.IDLE

    @property
    def is_established(self) -> bool:
        """Whether messages may be sent."""
        return self.state in {State.ESTABLISHED, State.AWAITING_LOCAL_RELEASE}

    @property
    def deadline(self) -> float | None:
        """When to call `expire`, by the clock; None for never."""
        if self.state in {State.AWAITING_REQUEST, State.AWAITING_CLOSE}:
            return self._artim
        if self.state is not State.ESTABLISHED:
            return None
        idle = self._quiet_since + self.limits.idle
        if self._pdu_begun_at is None:
            return idle
        return self.limits.deadline(self._pdu_begun_at, self._end - self._begin)

    # What arrives -----------------------------------------------------------------------------------------------------

    def receive_data(self, data: bytes | memoryview) -> list[Event]:
        """Take what the connection received, b"" if the other end closed it; return the events that this completes."""
        self.room(len(data))[: len(data)] = data
        return self.received(len(data))

    def room(self, least: int = 1) -> memoryview:
        """Return where to put what the connection receives next; fragments that events have are not good any more."""
        if self._begin or self._end + least > len(self._buffer):
            waiting = self._buffer[self._begin : self._end]
            if len(waiting) + least > len(self._buffer):
                asked_for = PDUS_AT_ONCE * (PDU_HEADER.size + self.limits.maximum_length)
                # A PDU may be longer than was asked for, but not too long.
                self._buffer = memoryview(bytearray(max(asked_for, 2 * (len(waiting) + least))))
            self._buffer[: len(waiting)] = waiting
            self._begin, self._end = 0, len(waiting)
        return self._buffer[self._end :]

    def received(self, count: int) -> list[Event]:
        """Take so many bytes that have been put into `room`, 0 if the other end closed the connection."""
        if not count:
            return self.connection_lost("closed the connection")
        self._quiet_since = self._clock()
        if self._is_deaf or self.is_closed:
            return []
        self._end += count
        events: list[Event] = []
        try:
            for pdu_type, pdu in self._pdus():
                events += self._take(pdu_type, pdu)
        except MalformedPdu as problem:
            self._is_deaf = True
            self._begin = self._end
            why = f"sent what is no PDU: {problem}"
            events += self._apply(Cause.INVALID_PDU, why=why, abort=Abort(2, problem.reason))
        if self._begin == self._end:
            self._pdu_begun_at = None
        elif self._pdu_begun_at is None:
            self._pdu_begun_at = self._quiet_since
        return events

    def connection_lost(self, why: str) -> list[Event]:
        """Take note that nothing can be received or sent any more."""
        return [] if self.is_closed else self._apply(Cause.CONNECTION_CLOSED, why=why)

    def expire(self) -> list[Event]:
        """End what has taken until `deadline`; do nothing before."""
        deadline = self.deadline
        if deadline is None or self._clock() < deadline:
            return []
        if self.state is State.ESTABLISHED:
            is_slow = self._pdu_begun_at is not None
            return self.abort("sent a PDU too slowly" if is_slow else "was silent for too long")
        return self._apply(Cause.ARTIM_EXPIRED, why="did not request an association in time")

    def _pdus(self) -> Iterator[tuple[PduType, Pdu]]:
        """Take whole PDUs out of the buffer; raise MalformedPdu as soon as one cannot become any."""
        while (waiting := self._end - self._begin) and not self.is_closed:
            if self._buffer[self._begin] not in PDU_TYPES:
                raise MalformedPdu("its type is unknown", AbortReason.UNRECOGNIZED_PDU)
            if waiting < PDU_HEADER.size:
                return
            kind, length = PDU_HEADER.unpack_from(self._buffer, self._begin)
            if length > self.limits.pdu_length:
                raise MalformedPdu("it is too long")
            if waiting < PDU_HEADER.size + length:
                return
            begin = self._begin + PDU_HEADER.size
            self._begin = begin + length
            self._pdu_begun_at = None
            yield PduType(kind), decode_pdu(PduType(kind), self._buffer[begin : self._begin], self.limits.items)

    def _take(self, pdu_type: PduType, pdu: Pdu) -> list[Event]:
        cause = CAUSE_OF[pdu_type]
        match pdu:
            case AssociateRequest() if cause is Cause.REQUEST_RECEIVED and self.state is State.AWAITING_REQUEST:
                self._request = pdu
                return self._apply(cause, AssociationRequested(pdu))
            case tuple():
                indication: Event | None = DataReceived(pdu)
            case Abort(source, reason):
                why = f"aborted the association (source {source}, reason {reason})"
                return self._apply(cause, why=why)
            case _:
                indication = ReleaseRequested() if cause is Cause.RELEASE_RECEIVED else None
        name = pdu_type.name.replace("_", "-")
        return self._apply(cause, indication, f"sent an unexpected {name}", Abort(2, AbortReason.UNEXPECTED_PDU))

    # What the owner of the connection asks for --------------------------------------------------------------------

    def accept(self, acceptance: Acceptance) -> None:
        """Accept the association that was requested."""
        self._apply(Cause.LOCAL_ACCEPT, pdus=[encode_associate_accept(self._request, acceptance.items)])
        self._acceptance = acceptance

    def reject(self, result: int, source: int, reason: int) -> None:
        """Reject the association that was requested (PS3.8 table 9-21)."""
        self._apply(Cause.LOCAL_REJECT, pdus=[encode_associate_reject(result, source, reason)])

    def send_message(self, context_id: int, command: bytes, data_set: bytes | None = None) -> None:
        """Send a message of a command set, and a data set if there is one."""
        longest = self._acceptance.maximum_length
        self._quiet_since = self._clock()
        self._apply(Cause.LOCAL_DATA, pdus=encode_message(context_id, command, data_set, longest))

    def release(self) -> None:
        """Agree to the release that was requested."""
        self._apply(Cause.LOCAL_RELEASE_RESPONSE, pdus=[encode_release_response()])

    def abort(self, why: str, reason: AbortReason | None = None) -> list[Event]:
        """Abort the association: as the service user, or with a reason as the service provider. Return its end."""
        if self.state is State.AWAITING_REQUEST:  # no association to abort; the connection alone is closed
            return self._apply(Cause.ARTIM_EXPIRED, why=why)
        if self.state in {State.IDLE, State.AWAITING_CLOSE}:
            return []
        abort = Abort() if reason is None else Abort(2, reason)
        return self._apply(Cause.LOCAL_ABORT, why=why, abort=abort)

    def data_to_send(self) -> bytes:
        """Return what has to be sent, and forget it."""
        out, self._out = b"".join(self._out), []
        return out

    def _apply(
        self,
        cause: Cause,
        indication: Event | None = None,
        why: str = "",
        abort: Abort | None = None,
        pdus: Iterable[bytes] = (),
    ) -> list[Event]:
        """Do what the tables say, and return what the service user is told."""
        name = ACTION_IN[cause][self.state]
        if name not in ACTIONS:
            raise LocalError(f"{cause.name} in state {self.state.name}")
        action = ACTIONS[name]
        # Of a load balancer, which sends nothing.
        is_probe = cause is Cause.CONNECTION_CLOSED and self._begin == self._end
        ends_request = self.state is State.AWAITING_REQUEST and action.next_state is State.IDLE and not is_probe
        self._out += [encode_abort(abort or Abort())] if action.aborts else pdus
        if action.next_state is not None:
            self.state = action.next_state
            self._artim = self._clock() + getattr(self.limits, action.artim) if action.artim else None
        if not action.indicates and not ends_request:
            return []
        is_end = action.aborts or action.next_state is State.IDLE
        return [AssociationAborted(why, by_acceptor=action.aborts)] if is_end or indication is None else [indication]
