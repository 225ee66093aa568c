"""Negotiate an association: presentation contexts and user information (PS3.8 section 9.3.3, PS3.7 annex D)."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from weakref import WeakKeyDictionary

from .pdu import (
    SHORTEST_MAXIMUM_LENGTH,
    AssociateRequest,
    ItemType,
    ProposedContext,
    encode_item,
    encode_uid_length,
)

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
#: What a P-DATA-TF to a requestor that names no maximum, or no limit, is limited to. Bytes.
DEFAULT_MAXIMUM_LENGTH, LONGEST_SENT = 16384, 1 << 17


class ContextResult(IntEnum):
    """What becomes of a proposed presentation context (PS3.8 table 9-18)."""

    ACCEPTANCE = 0
    NO_REASON = 2
    ABSTRACT_SYNTAX_NOT_SUPPORTED = 3
    TRANSFER_SYNTAXES_NOT_SUPPORTED = 4


@dataclass(frozen=True)
class Offer:
    """A SOP class that the acceptor provides: its transfer syntaxes, the preferred one first, and its operations.

    `operations` are the command fields of the requests. `extended_negotiation` is the service class application
    information that is returned where the requestor offers some (PS3.7 annex D.3.3.5); None ignores it.
    """

    sop_class: str
    transfer_syntaxes: Sequence[str]
    operations: Collection[int] = ()
    extended_negotiation: bytes | None = None


@dataclass(frozen=True)
class PresentationContext:
    """An accepted presentation context."""

    id: int
    sop_class: str
    transfer_syntax: str
    operations: Collection[int] = ()


@dataclass(frozen=True)
class Implementation:
    """How the acceptor names itself (PS3.7 section D.3.3.2), and the longest P-DATA-TF that it asks for. Bytes."""

    class_uid: str
    version_name: str
    maximum_length: int = 16384


@dataclass(frozen=True)
class Rejection:
    """An A-ASSOCIATE-RJ: its result, source and reason (PS3.8 table 9-21), and the reason written to the log."""

    sentence: str
    result: int
    source: int
    reason: int


PROTOCOL_VERSION_NOT_SUPPORTED = Rejection("the requestor does not speak protocol version 1", 1, 2, 2)
APPLICATION_CONTEXT_NOT_SUPPORTED = Rejection("the application context is not DICOM's", 1, 1, 2)
MAXIMUM_LENGTH_TOO_SHORT = Rejection("no message fits in the longest PDU that the requestor takes", 1, 2, 1)
REJECTIONS = (PROTOCOL_VERSION_NOT_SUPPORTED, APPLICATION_CONTEXT_NOT_SUPPORTED, MAXIMUM_LENGTH_TOO_SHORT)


@dataclass(frozen=True)
class Acceptance:
    """What an A-ASSOCIATE-AC says: its items, and the contexts that messages may now use."""

    items: Sequence[bytes]
    maximum_length: int
    contexts: Mapping[int, PresentationContext] = field(default_factory=dict)


def rejection_of(request: AssociateRequest) -> Rejection | None:
    """Return why a request cannot be accepted, whoever makes it; None if it can."""
    if not request.protocol_version & 1:
        return PROTOCOL_VERSION_NOT_SUPPORTED
    if request.application_context != APPLICATION_CONTEXT:
        return APPLICATION_CONTEXT_NOT_SUPPORTED
    if request.maximum_length and request.maximum_length < SHORTEST_MAXIMUM_LENGTH:
        return MAXIMUM_LENGTH_TOO_SHORT
    return None


def negotiate(request: AssociateRequest, offers: Sequence[Offer], implementation: Implementation) -> Acceptance:
    """Return the acceptance of a request.

    A context whose id is even, or not its alone, is rejected, and the others are served (PS3.8 section 9.3.2.2). A user
    identity is neither required nor answered, and operations are one at a time.
    """
    offered = {offer.sop_class: offer for offer in offers}
    uses = Counter(proposed.id for proposed in request.contexts)
    items = [encode_item(ItemType.APPLICATION_CONTEXT, APPLICATION_CONTEXT.encode("ascii"))]
    contexts = {}
    for proposed in {each.id: each for each in request.contexts}.values():
        is_legal = proposed.id % 2 == 1 and uses[proposed.id] == 1
        result, context = _negotiated(proposed, offered) if is_legal else (ContextResult.NO_REASON, None)
        if context:
            contexts[proposed.id] = context
        syntax = context.transfer_syntax if context else IMPLICIT_VR_LITTLE_ENDIAN  # of a rejected one, it says nothing
        answer = bytes([proposed.id, 0, result, 0]) + encode_item(ItemType.TRANSFER_SYNTAX, syntax.encode("ascii"))
        items.append(encode_item(ItemType.PRESENTATION_CONTEXT_AC, answer))
    accepted = [offered[sop_class] for sop_class in dict.fromkeys(context.sop_class for context in contexts.values())]
    user_information = _user_information(request, accepted, implementation)
    items.append(encode_item(ItemType.USER_INFORMATION, b"".join(user_information)))
    longest = DEFAULT_MAXIMUM_LENGTH if request.maximum_length is None else request.maximum_length or LONGEST_SENT
    return Acceptance(items, longest, contexts)


class Negotiator:
    """Negotiates the associations of one server. As long as a request is in memory, its acceptance is kept, too."""

    def __init__(self, offers: Sequence[Offer], implementation: Implementation) -> None:
        self._offers, self._implementation = offers, implementation
        self._kept: WeakKeyDictionary[AssociateRequest, Acceptance] = WeakKeyDictionary()

    def acceptance_of(self, request: AssociateRequest) -> Acceptance:
        """Return the acceptance of a request."""
        acceptance = self._kept.get(request)
        if acceptance is None:
            acceptance = self._kept[request] = negotiate(request, self._offers, self._implementation)
        return acceptance


def _negotiated(
    proposed: ProposedContext, offered: Mapping[str, Offer]
) -> tuple[ContextResult, PresentationContext | None]:
    offer = offered.get(proposed.abstract_syntax)
    if offer is None:
        return ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED, None
    for syntax in offer.transfer_syntaxes:
        if syntax in proposed.transfer_syntaxes:
            context = PresentationContext(proposed.id, offer.sop_class, syntax, offer.operations)
            return ContextResult.ACCEPTANCE, context
    return ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED, None


def _user_information(
    request: AssociateRequest, accepted: Sequence[Offer], implementation: Implementation
) -> list[bytes]:
    """Return the sub-items, in the order of their types."""
    items = [
        encode_item(ItemType.MAXIMUM_LENGTH, implementation.maximum_length.to_bytes(4, "big")),
        encode_item(ItemType.IMPLEMENTATION_CLASS_UID, implementation.class_uid.encode("ascii")),
    ]
    if request.proposes_asynchronous_operations:
        items.append(encode_item(ItemType.ASYNCHRONOUS_OPERATIONS, bytes([0, 1, 0, 1])))
    roles = {role.sop_class: role for role in request.roles}
    for offer in accepted:
        if role := roles.get(offer.sop_class):
            answer = encode_uid_length(offer.sop_class) + bytes([role.is_scu, 0])
            items.append(encode_item(ItemType.ROLE_SELECTION, answer))
    items.append(encode_item(ItemType.IMPLEMENTATION_VERSION_NAME, implementation.version_name.encode("ascii")))
    offered_information = dict(request.extended_negotiation)
    for offer in accepted:
        information = offered_information.get(offer.sop_class)
        if information and offer.extended_negotiation is not None:
            # in as many bytes as were offered (PS3.4 section K.5.1.2)
            answered = offer.extended_negotiation.ljust(len(information), b"\0")[: len(information)]
            answer = encode_uid_length(offer.sop_class) + answered
            items.append(encode_item(ItemType.SOP_CLASS_EXTENDED, answer))
    return items
