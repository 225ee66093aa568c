"""What a service's handler sees of DICOM: a request, and the responses that it gives. It knows nothing of sockets.

A handler is called with a `Request` and the server's context. It returns one `Response`, or, for a request with many
responses, a generator of batches of them. Each batch goes out in one write. The generator is resumed once the batch has
been handed to the operating system: with CANCELLED if the requestor no longer wants the rest, else with None. If the
requestor has gone, the generator is closed instead. The last batch ends with the final response.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from dicom.association_policy import Requestor
from dicom.upper_layer.dimse import BytesSink, Command, CommandField, DataSetSink
from dicom.upper_layer.negotiation import IMPLICIT_VR_LITTLE_ENDIAN, PresentationContext

EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"

#: The statuses after which more responses follow (PS3.7 annex C.1).
PENDING_STATUSES = frozenset({0xFF00, 0xFF01})


class IncompleteDataSet(Exception):
    """The data set that a request announced did not come, or not to its end."""


@dataclass(frozen=True)
class Request:
    """One DIMSE request.

    `data_set` is encoded, or what the service's sink made of it; None if one was announced and did not come, or not to
    its end.
    """

    operation: CommandField
    message_id: int
    sop_class: str
    sop_instance: str
    transfer_syntax: str
    requestor: Requestor
    data_set: Any = field(default=b"", repr=False)

    def whole_data_set(self) -> Any:
        """Return the data set, b"" if none was announced; raise IncompleteDataSet if it did not come."""
        if self.data_set is None:
            raise IncompleteDataSet
        return self.data_set


@dataclass(frozen=True)
class Response:
    """One DIMSE response: its status, an encoded data set, and what a failure says (PS3.7 annex C).

    `offending` and `attributes` are the tags that are wrong.
    """

    status: int
    data_set: bytes | None = field(default=None, repr=False)
    comment: str = ""
    offending: int | None = None
    attributes: Sequence[int] = ()
    error_id: int | None = None

    @property
    def is_final(self) -> bool:
        """Whether it is the last response to its request."""
        return self.status not in PENDING_STATUSES


class Interruption(Enum):
    """Why a handler that gives many responses should end early."""

    CANCELLED = "cancelled"


Batches = Generator[Sequence[Response], Interruption | None, None]
Handler = Callable[[Request, Any], Response | Batches]
#: Gives the data set of one request its place, by presentation context, command set, requestor and the server's
#: context. It is called when the command set has arrived, and must not raise.
SinkFactory = Callable[[PresentationContext, Command, Requestor, Any], DataSetSink]


def _in_memory(_context: PresentationContext, _command: Command, _requestor: Requestor, _server: Any) -> DataSetSink:
    return BytesSink()


@dataclass(frozen=True)
class Service:
    """A SOP class with the handlers of its operations.

    `extended_negotiation` is the service class application information that is returned where the requestor offers
    some (PS3.7 annex D.3.3.5); None ignores it. The preferred transfer syntax comes first.
    """

    sop_class: str
    handlers: Mapping[CommandField, Handler]
    extended_negotiation: bytes | None = None
    transfer_syntaxes: Sequence[str] = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
    sink_for: SinkFactory = _in_memory
