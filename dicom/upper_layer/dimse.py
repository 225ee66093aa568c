"""DIMSE for a service class provider, sans-I/O: fragments in, messages out, and the command sets of responses (PS3.7).

`Dimse.receive` takes the presentation data values of an `UpperLayer`, and returns each message that they complete. A
command set is always in implicit VR little endian (PS3.7 section 6.3.1). A data set stays encoded; where it goes while
it arrives is the owner's choice (`sink_for`), so that one of any length can be written away piece by piece.
"""

import re
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Protocol

from .acceptor import Clock, Limits
from .negotiation import PresentationContext
from .pdu import PADDING, PresentationDataValue

ELEMENT_HEADER = struct.Struct("<HHL")
NO_DATA_SET = 0x0101
IS_RESPONSE = 0x8000
#: Components with leading zeros are let through: some machines send them, and they still identify one instance.
UID = re.compile(r"(?=.{3,64}$)[0-9]+(\.[0-9]+)+")


class CommandField(IntEnum):
    """The requests of PS3.7 table E.1-1."""

    C_STORE_RQ = 0x0001
    C_GET_RQ = 0x0010
    C_FIND_RQ = 0x0020
    C_MOVE_RQ = 0x0021
    C_ECHO_RQ = 0x0030
    N_EVENT_REPORT_RQ = 0x0100
    N_GET_RQ = 0x0110
    N_SET_RQ = 0x0120
    N_ACTION_RQ = 0x0130
    N_CREATE_RQ = 0x0140
    N_DELETE_RQ = 0x0150
    C_CANCEL_RQ = 0x0FFF


#: The requests that name their instance as affected; the others name it as requested.
NAMES_AFFECTED_INSTANCE = frozenset(
    {
        CommandField.C_STORE_RQ,
        CommandField.N_CREATE_RQ,
        CommandField.N_EVENT_REPORT_RQ,
    }
)


class Element(IntEnum):
    """The elements of group 0000 that this module reads or writes (PS3.7 annex E.1)."""

    GROUP_LENGTH = 0x0000
    AFFECTED_SOP_CLASS_UID = 0x0002
    REQUESTED_SOP_CLASS_UID = 0x0003
    COMMAND_FIELD = 0x0100
    MESSAGE_ID = 0x0110
    MESSAGE_ID_BEING_RESPONDED_TO = 0x0120
    DATA_SET_TYPE = 0x0800
    STATUS = 0x0900
    OFFENDING_ELEMENT = 0x0901
    ERROR_COMMENT = 0x0902
    ERROR_ID = 0x0903
    AFFECTED_SOP_INSTANCE_UID = 0x1000
    REQUESTED_SOP_INSTANCE_UID = 0x1001
    ATTRIBUTE_IDENTIFIER_LIST = 0x1005


class Status(IntEnum):
    """The statuses with which requests are refused before a handler sees them (PS3.7 annex C)."""

    INVALID_INSTANCE = 0x0117
    NO_SUCH_CLASS = 0x0118
    CLASS_NOT_SUPPORTED = 0x0122
    UNRECOGNIZED_OPERATION = 0x0211


class DimseError(Exception):
    """What arrived is no message, and the association must end; the text completes "it" and quotes nothing."""


class DataSetSink(Protocol):
    """Where the data set of one message goes, fragment by fragment."""

    def write(self, fragment: bytes | memoryview, /) -> object:
        """Take the next fragment."""

    def getvalue(self) -> Any:
        """Return what the message has as its data set, after the last fragment."""

    def discard(self) -> object:
        """Forget what has been written: the rest will not come."""


class BytesSink:
    """Keeps a data set in memory."""

    def __init__(self) -> None:
        self._data_set = bytearray()

    def write(self, fragment: bytes | memoryview) -> None:
        """Take the next fragment."""
        self._data_set += fragment

    def getvalue(self) -> bytes:
        """Return the data set."""
        return bytes(self._data_set)

    def discard(self) -> None:
        """Forget what has been written."""
        self._data_set.clear()


class NullSink:
    """Lets a data set go by, of a request that will be refused. The message has `instead` as its data set."""

    def __init__(self, instead: Any = b"") -> None:
        self._instead = instead

    def write(self, fragment: bytes | memoryview) -> None:
        """Forget the fragment."""

    def getvalue(self) -> Any:
        """Return what the message has as its data set."""
        return self._instead

    def discard(self) -> None:
        """Nothing has been kept."""


@dataclass(frozen=True)
class Command:
    """The command set of a request: the values by element number."""

    elements: Mapping[int, bytes]

    @property
    def field(self) -> int:
        """The command field: a CommandField, or another number."""
        return self._number(Element.COMMAND_FIELD)

    @property
    def message_id(self) -> int:
        """The id of the message."""
        return self._number(Element.MESSAGE_ID)

    @property
    def responded_to(self) -> int:
        """The id of the message that a C-CANCEL is about."""
        return self._number(Element.MESSAGE_ID_BEING_RESPONDED_TO)

    @property
    def has_data_set(self) -> bool:
        """Whether a data set is announced."""
        return self._number(Element.DATA_SET_TYPE) != NO_DATA_SET

    @property
    def sop_class(self) -> str:
        """The affected or requested SOP class; empty if it names none."""
        return self._text(Element.AFFECTED_SOP_CLASS_UID) or self._text(Element.REQUESTED_SOP_CLASS_UID)

    @property
    def sop_instance(self) -> str:
        """The affected or requested SOP instance; empty if it names none, or if that is no UID."""
        is_affected = self.field in NAMES_AFFECTED_INSTANCE
        uid = self._text(Element.AFFECTED_SOP_INSTANCE_UID if is_affected else Element.REQUESTED_SOP_INSTANCE_UID)
        return uid if UID.fullmatch(uid) else ""

    def _number(self, element: Element) -> int:
        """Return the first value of an element of VR US."""
        value = self.elements.get(element, b"")
        if len(value) < 2:
            raise DimseError(f"sent a command set without {element.name}")
        return int.from_bytes(value[:2], "little")

    def _text(self, element: Element) -> str:
        return self.elements.get(element, b"").decode("ascii", "backslashreplace").strip(PADDING)


@dataclass(frozen=True)
class Message:
    """A whole request. `data_set` is None if one was announced and did not come, or not to its end."""

    context: PresentationContext
    command: Command
    data_set: Any = field(default=b"", repr=False)


@dataclass(frozen=True)
class Cancel:
    """A C-CANCEL of the request with this message id."""

    message_id: int


def refusal_of(message: Message) -> Status | None:
    """Return the status that refuses a request which its presentation context does not have; None for any other."""
    command, context = message.command, message.context
    if command.field not in context.operations:
        return Status.UNRECOGNIZED_OPERATION
    is_about_instance = command.field >= CommandField.N_EVENT_REPORT_RQ
    if command.sop_class != context.sop_class and (command.sop_class or command.field != CommandField.C_ECHO_RQ):
        return Status.NO_SUCH_CLASS if is_about_instance else Status.CLASS_NOT_SUPPORTED
    if is_about_instance and not command.sop_instance:
        return Status.INVALID_INSTANCE
    return None


class Dimse:
    """The messages of one association, as they arrive.

    One at a time (PS3.8 annex E.1): a fragment of another context, or of a command set within a data set, ends the
    association, as the parts of two messages must never become one. A data set that is announced and does not come, or
    stops, completes its message without one (`expire`); what comes of it later ends the association.
    """

    def __init__(
        self,
        contexts: Mapping[int, PresentationContext],
        clock: Clock,
        limits: Limits | None = None,
        sink_for: Callable[[PresentationContext, Command], DataSetSink] = lambda _context, _command: BytesSink(),
    ) -> None:
        self._contexts = contexts
        self._clock = clock
        self._limits = limits or Limits()
        self._sink_for = sink_for
        self._forget()

    def _forget(self) -> None:
        """Expect the next message."""
        self._context: PresentationContext | None = None
        self._command_set = bytearray()
        self._command: Command | None = None
        self._sink: DataSetSink | None = None
        self._begun_at = 0.0
        self._received = 0

    @property
    def deadline(self) -> float | None:
        """When to call `expire`, by the clock; None while no message is on its way."""
        return None if self._context is None else self._limits.deadline(self._begun_at, self._received)

    def receive(self, values: Iterable[PresentationDataValue]) -> Iterator[Message | Cancel]:
        """Take fragments, and yield what they complete; raise DimseError at the first that belongs to no message.

        What is complete by then has been yielded: its data set has a place, which somebody must give back.
        """
        for value in values:
            if completed := self._take(value):
                yield completed

    def expire(self) -> list[Message | Cancel]:
        """Give up a data set that has taken until `deadline`; raise DimseError for a command set."""
        if self.deadline is None or self._clock() < self.deadline:
            return []
        if self._command is None:
            raise DimseError("sent a command set too slowly")
        self.discard()
        return [self._completed(None)]

    def discard(self) -> None:
        """Discard what has come of a data set: for when the association ends."""
        if self._sink:
            self._sink.discard()

    def _take(self, value: PresentationDataValue) -> Message | Cancel | None:
        context = self._contexts.get(value.context_id)
        if context is None:
            raise DimseError("sent a message on a presentation context that was not accepted")
        if self._context is None:
            self._context, self._begun_at = context, self._clock()
        elif context is not self._context:
            raise DimseError("sent a message within another one")
        if value.is_command is not (self._command is None):
            raise DimseError("sent a command set within a data set" if value.is_command else "sent a stray data set")
        self._received += len(value.fragment)
        return self._take_command(value) if value.is_command else self._take_data_set(value)

    def _take_command(self, value: PresentationDataValue) -> Message | Cancel | None:
        if self._received > self._limits.command_length:
            raise DimseError("sent a command set that is too long")
        self._command_set += value.fragment
        if not value.is_last:
            return None
        command = self._command = decode_command(bytes(self._command_set))
        if command.field == CommandField.C_CANCEL_RQ:
            self._forget()
            return Cancel(command.responded_to)
        if command.field & IS_RESPONSE:
            raise DimseError("sent a response to a request that nobody made")
        _ = command.message_id  # without one, nothing can be answered
        if not command.has_data_set:
            return self._completed(b"")
        assert self._context is not None  # noqa: S101 - a message has begun
        self._sink = self._sink_for(self._context, command)
        return None

    def _take_data_set(self, value: PresentationDataValue) -> Message | None:
        if self._received > self._limits.data_set_length:
            raise DimseError("sent a data set that is too long")
        assert self._sink is not None  # noqa: S101 - its command set has arrived
        self._sink.write(value.fragment)
        return self._completed(self._sink.getvalue()) if value.is_last else None

    def _completed(self, data_set: Any) -> Message:
        assert self._context is not None  # noqa: S101 - a message has begun
        assert self._command is not None  # noqa: S101 - its command set has arrived
        message = Message(self._context, self._command, data_set)
        self._forget()
        return message


def decode_command(raw: bytes) -> Command:
    """Return a command set, whatever its group length says; raise DimseError if it is none."""
    elements: dict[int, bytes] = {}
    at = 0
    while at < len(raw):
        if len(raw) - at < ELEMENT_HEADER.size:
            raise DimseError("sent a command set that is cut off")
        group, number, length = ELEMENT_HEADER.unpack_from(raw, at)
        at += ELEMENT_HEADER.size + length
        if group or at > len(raw) or number in elements:
            raise DimseError("sent a command set that cannot be read")
        elements[number] = raw[at - length : at]
    return Command(elements)


# What goes out --------------------------------------------------------------------------------------------------------


def encode_response(
    request: Command, status: int, *, has_data_set: bool = False, elements: Mapping[Element, bytes] | None = None
) -> bytes:
    """Return the command set of a response; `elements` are those that its status or operation adds."""
    sop_class = request.sop_class
    return encode_command(
        {
            **({Element.AFFECTED_SOP_CLASS_UID: encode_uid(sop_class)} if UID.fullmatch(sop_class) else {}),
            Element.COMMAND_FIELD: encode_number(request.field | IS_RESPONSE),
            Element.MESSAGE_ID_BEING_RESPONDED_TO: encode_number(request.message_id),
            Element.DATA_SET_TYPE: encode_number(0x0001 if has_data_set else NO_DATA_SET),
            Element.STATUS: encode_number(status),
            **(elements or {}),
        }
    )


def encode_command(elements: Mapping[Element, bytes]) -> bytes:
    """Return a command set, in the order of its elements and behind its group length."""
    content = b"".join(_encode_element(number, elements[number]) for number in sorted(elements))
    return _encode_element(Element.GROUP_LENGTH, struct.pack("<L", len(content))) + content


def _encode_element(number: int, value: bytes) -> bytes:
    return ELEMENT_HEADER.pack(0, number, len(value)) + value


def encode_number(number: int) -> bytes:
    """Return a value of VR US."""
    return number.to_bytes(2, "little")


def encode_uid(uid: str) -> bytes:
    """Return a value of VR UI."""
    raw = uid.encode("ascii")
    return raw + b"\0" * (len(raw) % 2)


def encode_text(text: str) -> bytes:
    """Return a value of VR LO, of 64 characters at most."""
    raw = text.encode("ascii", "replace")[:64]
    return raw + b" " * (len(raw) % 2)


def encode_tags(tags: Sequence[int]) -> bytes:
    """Return values of VR AT."""
    return b"".join(struct.pack("<HH", tag >> 16, tag & 0xFFFF) for tag in tags)
