"""Decode and encode PDUs (PS3.8 section 9.3).

What comes in is read liberally: reserved bytes, trailing padding and the lengths of informational items do not matter,
items and sub-items of unknown types are skipped (section 9.3.1), repeated ones count once. What makes a PDU ambiguous
raises MalformedPdu. What goes out keeps to the letter.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

#: Type, reserved, length (PS3.8 section 9.3.1).
PDU_HEADER = struct.Struct(">BxL")
ITEM_HEADER = struct.Struct(">BxH")
#: Length, presentation context id, message control header (section 9.3.5.1, annex E.2).
VALUE_HEADER = struct.Struct(">LBB")
#: Protocol version, called and calling AE title, reserved (table 9-11).
REQUEST_HEADER = struct.Struct(">H2x16s16s32s")

#: A modality requests the same association each time, so the last requests are kept: how many, and up to which length
#: in bytes. One with a user's identity may hold a password, and is not.
KEPT, LONGEST_KEPT = 64, 4096
IS_COMMAND, IS_LAST = 0b01, 0b10
PADDING = "\0 "


class PduType(IntEnum):
    """The PDUs of PS3.8 section 9.3."""

    ASSOCIATE_RQ = 0x01
    ASSOCIATE_AC = 0x02
    ASSOCIATE_RJ = 0x03
    P_DATA_TF = 0x04
    RELEASE_RQ = 0x05
    RELEASE_RP = 0x06
    ABORT = 0x07


class ItemType(IntEnum):
    """The items of A-ASSOCIATE PDUs (PS3.8 section 9.3.2) and the sub-items of the user information (PS3.7 annex D)."""

    APPLICATION_CONTEXT = 0x10
    PRESENTATION_CONTEXT_RQ = 0x20
    PRESENTATION_CONTEXT_AC = 0x21
    ABSTRACT_SYNTAX = 0x30
    TRANSFER_SYNTAX = 0x40
    USER_INFORMATION = 0x50
    MAXIMUM_LENGTH = 0x51
    IMPLEMENTATION_CLASS_UID = 0x52
    ASYNCHRONOUS_OPERATIONS = 0x53
    ROLE_SELECTION = 0x54
    IMPLEMENTATION_VERSION_NAME = 0x55
    SOP_CLASS_EXTENDED = 0x56
    SOP_CLASS_COMMON_EXTENDED = 0x57
    USER_IDENTITY_RQ = 0x58


class AbortReason(IntEnum):
    """Why the service provider aborts an association (PS3.8 table 9-26)."""

    NOT_SPECIFIED = 0
    UNRECOGNIZED_PDU = 1
    UNEXPECTED_PDU = 2
    UNRECOGNIZED_PARAMETER = 4
    UNEXPECTED_PARAMETER = 5
    INVALID_PARAMETER = 6


class MalformedPdu(Exception):
    """Bytes that are no PDU; the text says what is wrong, without quoting them."""

    def __init__(self, problem: str, reason: AbortReason = AbortReason.INVALID_PARAMETER) -> None:
        super().__init__(problem)
        self.reason = reason


@dataclass(frozen=True)
class ProposedContext:
    """A presentation context of an A-ASSOCIATE-RQ."""

    id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True)
class RoleSelection:
    """The roles that a requestor proposes for a SOP class (PS3.7 section D.3.3.4)."""

    sop_class: str
    is_scu: bool
    is_scp: bool


@dataclass(frozen=True)
class AssociateRequest:
    """An A-ASSOCIATE-RQ. The AE titles are as they came; `read_ae_title` reads them.

    `maximum_length` is that of the P-DATA-TF PDUs that the requestor takes: 0 for no limit, None if it did not say.
    """

    called_ae_title: bytes
    calling_ae_title: bytes
    application_context: str = ""
    contexts: tuple[ProposedContext, ...] = ()
    maximum_length: int | None = None
    implementation_class_uid: str = ""
    implementation_version_name: str = ""
    proposes_asynchronous_operations: bool = False
    roles: tuple[RoleSelection, ...] = ()
    extended_negotiation: tuple[tuple[str, bytes], ...] = ()
    protocol_version: int = 1
    reserved: bytes = bytes(32)


@dataclass(frozen=True)
class PresentationDataValue:
    """A fragment of a message: its presentation context, and whether it is of the command set and its last one."""

    context_id: int
    is_command: bool
    is_last: bool
    fragment: bytes | memoryview


@dataclass(frozen=True)
class Abort:
    """An A-ABORT: source 0 is the service user, 2 the service provider."""

    source: int = 0
    reason: int = 0


@dataclass(frozen=True)
class PlainPdu:
    """A PDU of which only the type counts for an acceptor."""

    type: PduType


Pdu = AssociateRequest | tuple[PresentationDataValue, ...] | Abort | PlainPdu


def decode_pdu(pdu_type: PduType, content: bytes | memoryview, max_items: int) -> Pdu:
    """Return the PDU; raise MalformedPdu if it cannot be read, or has more than `max_items` items or fragments.

    Fragments are views of the content: a data set may be long.
    """
    match pdu_type:
        case PduType.ASSOCIATE_RQ:
            request = bytes(content)
            is_kept = len(request) <= LONGEST_KEPT and bytes((ItemType.USER_IDENTITY_RQ, 0)) not in request
            return (_kept_associate_request if is_kept else _associate_request)(request, max_items)
        case PduType.P_DATA_TF:
            return tuple(_values(content, max_items))
        case PduType.ABORT:
            return Abort(*content[2:4]) if len(content) >= 4 else Abort()
    return PlainPdu(pdu_type)


def _values(content: bytes | memoryview, max_items: int) -> Iterator[PresentationDataValue]:
    at = count = 0
    view = memoryview(content)
    while at < len(content):
        count += 1
        if len(content) - at < VALUE_HEADER.size or count > max_items:
            raise MalformedPdu("a presentation data value without a header, or too many of them")
        length, context_id, control = VALUE_HEADER.unpack_from(content, at)
        end = at + 4 + length
        if length < 2 or end > len(content):
            raise MalformedPdu("a presentation data value of an impossible length")
        fragment = view[at + VALUE_HEADER.size : end]
        yield PresentationDataValue(context_id, bool(control & IS_COMMAND), bool(control & IS_LAST), fragment)
        at = end
    if not count:
        raise MalformedPdu("a P-DATA-TF without a presentation data value")


def _associate_request(content: bytes, max_items: int) -> AssociateRequest:
    if len(content) < REQUEST_HEADER.size:
        raise MalformedPdu("an A-ASSOCIATE-RQ that is too short")
    version, called, calling, reserved = REQUEST_HEADER.unpack_from(content)
    items = list(_items(content[REQUEST_HEADER.size :], max_items))
    user_information = [
        item for kind, value in items if kind == ItemType.USER_INFORMATION for item in _items(value, max_items)
    ]
    first = dict(reversed([*items, *user_information]))
    longest = first.get(ItemType.MAXIMUM_LENGTH, b"")
    return AssociateRequest(
        called_ae_title=called,
        calling_ae_title=calling,
        application_context=_text(first.get(ItemType.APPLICATION_CONTEXT, b"")),
        contexts=tuple(_context(value, max_items) for kind, value in items if kind == ItemType.PRESENTATION_CONTEXT_RQ),
        maximum_length=int.from_bytes(longest[:4], "big") if len(longest) >= 4 else None,
        implementation_class_uid=_text(first.get(ItemType.IMPLEMENTATION_CLASS_UID, b"")),
        implementation_version_name=_text(first.get(ItemType.IMPLEMENTATION_VERSION_NAME, b"")),
        proposes_asynchronous_operations=ItemType.ASYNCHRONOUS_OPERATIONS in first,
        roles=tuple(_role(value) for kind, value in user_information if kind == ItemType.ROLE_SELECTION),
        extended_negotiation=tuple(
            _with_uid(value) for kind, value in user_information if kind == ItemType.SOP_CLASS_EXTENDED
        ),
        protocol_version=version,
        reserved=reserved,
    )


_kept_associate_request = lru_cache(KEPT)(_associate_request)


def _items(content: bytes, max_items: int) -> Iterator[tuple[int, bytes]]:
    """Yield type and value of each item. What is shorter than a header, or only NULs, is padding."""
    at = count = 0
    end = len(content.rstrip(b"\0"))
    while at < end and len(content) - at >= ITEM_HEADER.size:
        kind, length = ITEM_HEADER.unpack_from(content, at)
        at += ITEM_HEADER.size + length
        count += 1
        if at > len(content) or count > max_items:
            raise MalformedPdu("an item that is longer than the PDU, or too many items")
        yield kind, content[at - length : at]


def _context(content: bytes, max_items: int) -> ProposedContext:
    if len(content) < 4:
        raise MalformedPdu("a presentation context without an id")
    syntaxes = [(kind, _text(value)) for kind, value in _items(content[4:], max_items)]
    abstract = [text for kind, text in syntaxes if kind == ItemType.ABSTRACT_SYNTAX]
    transfer = tuple(text for kind, text in syntaxes if kind == ItemType.TRANSFER_SYNTAX and text)
    return ProposedContext(content[0], abstract[0] if abstract else "", transfer)


def _role(content: bytes) -> RoleSelection:
    uid, roles = _with_uid(content)
    scu, scp = (*roles, 0, 0)[:2]
    return RoleSelection(uid, bool(scu), bool(scp))


def _with_uid(content: bytes) -> tuple[str, bytes]:
    """Split a sub-item that begins with a UID and its length (PS3.7 annex D.3.3)."""
    length = int.from_bytes(content[:2], "big")
    if len(content) < 2 + length:
        raise MalformedPdu("a sub-item that is shorter than its UID")
    return _text(content[2 : 2 + length]), content[2 + length :]


def _text(raw: bytes) -> str:
    """Return a UID or a name; bytes that are not ASCII become escapes, which match nothing."""
    return raw.decode("ascii", "backslashreplace").strip(PADDING)


def read_ae_title(raw: bytes) -> str:
    """Return an AE title without the spaces around it and without what follows a NUL, with which some fill it up.

    What an AE title may not contain is escaped with a backslash, which an AE title may not contain either.
    """
    text = raw.partition(b"\0")[0].decode("latin-1").strip(" ")
    return "".join(each if " " <= each <= "~" and each != "\\" else _escape(each) for each in text)


def _escape(character: str) -> str:
    return "\\\\" if character == "\\" else f"\\x{ord(character):02x}"


# What goes out ------------------------------------------------------------------------------------------------------


def encode_pdu(pdu_type: PduType, content: bytes) -> bytes:
    """Return a PDU with its header."""
    return PDU_HEADER.pack(pdu_type, len(content)) + content


def encode_item(item_type: ItemType, content: bytes) -> bytes:
    """Return an item or sub-item with its header."""
    return ITEM_HEADER.pack(item_type, len(content)) + content


def encode_uid_length(uid: str) -> bytes:
    """Return a UID behind its length, as some sub-items begin."""
    return len(uid).to_bytes(2, "big") + uid.encode("ascii")


def encode_associate_accept(request: AssociateRequest, items: Sequence[bytes]) -> bytes:
    """Return an A-ASSOCIATE-AC; the AE titles and reserved bytes are the request's (PS3.8 table 9-17)."""
    head = REQUEST_HEADER.pack(1, request.called_ae_title, request.calling_ae_title, request.reserved)
    return encode_pdu(PduType.ASSOCIATE_AC, head + b"".join(items))


def encode_associate_reject(result: int, source: int, reason: int) -> bytes:
    """Return an A-ASSOCIATE-RJ (PS3.8 table 9-21)."""
    return encode_pdu(PduType.ASSOCIATE_RJ, bytes([0, result, source, reason]))


def encode_release_response() -> bytes:
    """Return an A-RELEASE-RP."""
    return encode_pdu(PduType.RELEASE_RP, bytes(4))


def encode_abort(abort: Abort) -> bytes:
    """Return an A-ABORT (PS3.8 table 9-26)."""
    return encode_pdu(PduType.ABORT, bytes([0, 0, abort.source, abort.reason]))


def encode_message(context_id: int, command: bytes, data_set: bytes | None, maximum_length: int) -> Iterator[bytes]:
    """Yield the P-DATA-TF PDUs of a message, one fragment in each, of an even number of bytes (PS3.8 annex E.1).

    `maximum_length` is that of a PDU without its header, at least SHORTEST_MAXIMUM_LENGTH.
    """
    size = (maximum_length - VALUE_HEADER.size) & ~1
    parts = [(IS_COMMAND, command)] if data_set is None else [(IS_COMMAND, command), (0, data_set)]
    for control, content in parts:
        if len(content) <= size:
            yield _value_pdu(context_id, control | IS_LAST, content)
            continue
        for at in range(0, len(content), size):
            is_last = IS_LAST if at + size >= len(content) else 0
            yield _value_pdu(context_id, control | is_last, content[at : at + size])


#: The shortest maximum length in which a fragment of two bytes fits.
SHORTEST_MAXIMUM_LENGTH = VALUE_HEADER.size + 2


def _value_pdu(context_id: int, control: int, fragment: bytes) -> bytes:
    length = len(fragment)
    return b"".join(
        (
            PDU_HEADER.pack(PduType.P_DATA_TF, length + VALUE_HEADER.size),
            VALUE_HEADER.pack(length + 2, context_id, control),
            fragment,
        )
    )
