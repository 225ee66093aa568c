"""Work round what pynetdicom 3.0.4 gets wrong or leaves out, by its private names and by replacing its classes.

Everything in the project that depends on how pynetdicom is built is in this file. pynetdicom creates an association,
its socket and its DIMSE provider itself and has no setting for their classes, so `adapt_association` replaces the class
of each as soon as the connection is open:

- `BoundedSocket`: pynetdicom reads a PDU of any length for any time, and leaves a reset socket open.
- `TolerantDimseProvider`: pynetdicom waits for ever for a data set that is announced and not sent.
- `MppsAssociation`: pynetdicom aborts, or does not answer, a DIMSE-N request that should be refused.

`adapt_requestor` does so for a requestor's DIMSE provider, as pynetdicom sometimes loses a response.

Before changing PYNETDICOM_VERSION, read each workaround beside the new version's source and delete those it has made
unnecessary.
"""

import re
import threading
import time
from typing import Any
from weakref import WeakKeyDictionary

from pynetdicom import dimse_messages
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_CANCEL_RQ, C_FIND_RQ
from pynetdicom.dimse_primitives import N_CREATE, N_SET
from pynetdicom.events import Event
from pynetdicom.pdu_primitives import A_P_ABORT, P_DATA
from pynetdicom.sop_class import ModalityPerformedProcedureStep  # type: ignore[attr-defined]
from pynetdicom.transport import AssociationSocket, ThreadedAssociationServer

from dicom import statuses

#: The version whose source these workarounds were written against.
PYNETDICOM_VERSION = "3.0.4"

#: pynetdicom's accepting loop collects garbage every 60 iterations, which costs more than 60 connections do.
ITERATIONS_BETWEEN_COLLECTIONS = 600
#: We offer PDUs of 16,382 bytes (PS3.8 annex D.1), and a proper association request is far shorter than this.
MAX_PDU_LENGTH = 1 << 20
#: Message ids that one association can have cancelled before it sends their queries.
MAX_CANCEL_REQUESTS = 100
#: Message control header (PS3.8 annex E.2).
IS_COMMAND, IS_LAST = 0b01, 0b10

INSTANCE_UIDS = ("AffectedSOPInstanceUID", "RequestedSOPInstanceUID")
#: Components with leading zeros are let through: some machines send them, and they still identify one step.
UID = re.compile(r"(?=.{3,64}$)[0-9]+(\.[0-9]+)+")


def serve_in_background(server: ThreadedAssociationServer) -> None:
    """Accept connections in a thread of their own, as AE.start_server does; `server.shutdown()` ends it."""
    server._gc = [0, ITERATIONS_BETWEEN_COLLECTIONS]
    server.ae._servers.append(server)
    threading.Thread(target=server.serve_forever, name="AcceptorServer", daemon=True).start()


def adapt_association(association: Association, data_set_seconds: float) -> None:
    """Replace the classes of an association, its socket and its DIMSE provider by those of this module.

    A data set that is announced but has not begun to arrive after `data_set_seconds` counts as empty.
    """
    association.__class__ = MppsAssociation
    if association.dul.socket:
        association.dul.socket.__class__ = BoundedSocket
    provider = association.dimse
    provider.__class__ = TolerantDimseProvider
    assert isinstance(provider, TolerantDimseProvider)  # noqa: S101 - it is now
    provider.data_set_seconds = data_set_seconds
    provider.command_received_at = None
    provider.receiving = threading.Lock()


def adapt_requestor(association: Association) -> None:
    """Make several requests on an association safe; call it before the first."""
    association.dimse.__class__ = RequestorDimseProvider


def end_threads(association: Association) -> None:
    """End an association's threads without an A-ABORT, when its requestor has not sent an A-ASSOCIATE-RQ.

    pynetdicom's acceptor keeps waiting for that request after the connection has closed.
    """
    association.is_aborted = True
    association.dul.kill_dul()
    association.dul.to_user_queue.put(A_P_ABORT())


def allow_attribute_list_in_n_create_rsp() -> None:
    """Let an N-CREATE-RSP carry an Attribute Identifier List, as PS3.7 annex C requires for status 0120."""
    fields = dimse_messages._COMMAND_SET_KEYWORDS["N-CREATE-RSP"]
    if "AttributeIdentifierList" not in fields:
        dimse_messages._COMMAND_SET_KEYWORDS["N-CREATE-RSP"] = (*fields, "AttributeIdentifierList")
        N_CREATE.AttributeIdentifierList = None  # type: ignore[attr-defined]


def blank_malformed_uids(event: Event) -> None:
    """Empty a SOP Instance UID that is not a UID, so that the request is refused as one without a UID.

    pynetdicom would log its value, which may be a patient's, and abort the association.
    """
    command = event.message.command_set
    for keyword in INSTANCE_UIDS:
        if keyword in command and not UID.fullmatch(str(command[keyword].value)):
            command[keyword].value = ""


class CancelRequests:
    """Remembers which queries have been cancelled by C-CANCEL (PS3.7 section 9.3.2.3), for each association.

    pynetdicom forgets a C-CANCEL that arrives before the handler of its C-FIND has begun, and remembers ten at most.
    """

    def __init__(self) -> None:
        self._message_ids: WeakKeyDictionary[Association, set[int]] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def record(self, event: Event) -> None:
        """Take note of a DIMSE message: a C-FIND starts uncancelled, and a C-CANCEL counts from now on."""
        message, command = event.message, event.message.command_set
        with self._lock:
            message_ids = self._message_ids.setdefault(event.assoc, set())
            if isinstance(message, C_FIND_RQ):
                message_ids.discard(command.get("MessageID"))
            elif isinstance(message, C_CANCEL_RQ) and len(message_ids) < MAX_CANCEL_REQUESTS:
                message_ids.add(command.get("MessageIDBeingRespondedTo"))

    def is_cancelled(self, association: Association, message_id: int | None) -> bool:
        """Whether the query with this message id has been cancelled."""
        with self._lock:
            return message_id in self._message_ids.get(association, ())


class BoundedSocket(AssociationSocket):
    """A connection that limits how long a PDU is, in bytes and in seconds (the socket's timeout)."""

    def recv(self, nr_bytes: int) -> bytearray:
        """Return this many bytes, or fewer if the other end closes; OSError ends the association."""
        if nr_bytes > MAX_PDU_LENGTH:
            raise OSError("a PDU is too long")
        assert self.socket is not None  # noqa: S101 - pynetdicom reads only while there is a socket
        deadline = time.monotonic() + (self.socket.gettimeout() or 0.0)
        received = bytearray()
        while len(received) < nr_bytes:
            if time.monotonic() > deadline:
                raise TimeoutError("a PDU takes too long")
            part = self.socket.recv(nr_bytes - len(received))
            if not part:
                break
            received += part
        return received

    def _shutdown_socket(self) -> None:
        """Close the socket even if it cannot be shut down because the other end has reset it."""
        connection = self.socket
        super()._shutdown_socket()
        if connection is not None:
            connection.close()


class TolerantDimseProvider(DIMSEServiceProvider):
    """Treats a data set that is announced but does not arrive as an empty one (PS3.7 section 6.3, PS3.8 annex E).

    Some clients, pynetdicom's among them, announce a data set and send no fragment of it because it is empty. The
    modality would wait for its answer for ever.
    """

    data_set_seconds: float
    command_received_at: float | None
    receiving: threading.Lock

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take a fragment of a message.

        A data set that arrives after it has been taken for empty ends the association: it belongs to no message.
        """
        with self.receiving:
            values = primitive.presentation_data_value_list
            if self.message is None and values and not values[0][1][0] & IS_COMMAND:
                self.dul.event_queue.put("Evt19")  # an unexpected PDU: PS3.8 table 9-10
                return
            self._receive(primitive)

    def get_msg(self, block: bool = False):  # type: ignore[no-untyped-def]
        """Return the next message, completed by an empty data set if its own has not arrived in time."""
        with self.receiving:
            received_at = self.command_received_at
            if received_at is not None and time.monotonic() - received_at > self.data_set_seconds:
                assert self.message is not None  # noqa: S101 - its command set has arrived
                end = P_DATA()
                end.presentation_data_value_list.append((self.message.context_id or 0, bytes([IS_LAST])))
                self._receive(end)
        return super().get_msg(block)

    def _receive(self, primitive: P_DATA) -> None:
        super().receive_primitive(primitive)
        is_incomplete = self.message is not None and self.message.context_id is not None
        has_data = any(not data[0] & IS_COMMAND for _, data in primitive.presentation_data_value_list)
        self.command_received_at = time.monotonic() if is_incomplete and not has_data else None


class RequestorDimseProvider(DIMSEServiceProvider):
    """Leaves a response to the thread that waits for it.

    The association's own thread looks for requests from the acceptor. It is paused during a request of ours, but after
    the previous request it may not have started again yet, and then it runs once more, and discards our response.
    """

    def get_msg(self, block: bool = False):  # type: ignore[no-untyped-def]
        """Return the response that a request waits for; nothing to the association's thread, which does not wait."""
        return super().get_msg(block=True) if block else (None, None)


class MppsAssociation(Association):
    """Refuses requests that the MPPS SOP class does not have (PS3.7 section 10), and keeps the association open."""

    def _serve_request(self, msg: Any, context_id: int) -> None:
        status = self._refusal(msg, context_id)
        if status is None:
            super()._serve_request(msg, context_id)
            return
        response = type(msg)()
        response.MessageIDBeingRespondedTo = msg.MessageID
        response.Status = status
        self.dimse.send_msg(response, context_id)

    def _refusal(self, msg: Any, context_id: int) -> int | None:
        """Return the status that refuses a request in an MPPS presentation context; None for one to be served."""
        context = self._accepted_cx.get(context_id)
        if context is None or context.abstract_syntax != ModalityPerformedProcedureStep or msg.MessageID is None:
            return None
        match msg:
            case N_CREATE():
                sop_class, instance = msg.AffectedSOPClassUID, msg.AffectedSOPInstanceUID
            case N_SET():
                sop_class, instance = msg.RequestedSOPClassUID, msg.RequestedSOPInstanceUID
            case _:
                return statuses.UNRECOGNIZED_OPERATION
        if sop_class != ModalityPerformedProcedureStep:
            return statuses.NO_SUCH_CLASS
        return None if instance else statuses.INVALID_INSTANCE
