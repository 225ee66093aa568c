"""Serve one association over a blocking socket, in a thread of its own (PS3.8).

The thread waits in `recv` until something arrives or the next deadline of the protocol, so an association at rest costs
no processor time. What arrives goes through `UpperLayer` and `Dimse`, both without I/O, and what they say has happened
is dealt with in its order. While a handler gives many responses, the socket is looked at after each batch: only then
can a C-CANCEL, a release, an abort or the end of the connection be seen.
"""

import logging
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass

from core.database import LendConnection, borrowed_connection
from dicom.association_policy import AssociationPolicy, Requestor
from dicom.service import Batches, Interruption, Request, Response, Service
from dicom.upper_layer.acceptor import (
    AssociationAborted,
    AssociationRequested,
    DataReceived,
    Event,
    Limits,
    ReleaseRequested,
    State,
    UpperLayer,
)
from dicom.upper_layer.dimse import (
    Cancel,
    Command,
    CommandField,
    DataSetSink,
    Dimse,
    DimseError,
    Element,
    Message,
    NullSink,
    encode_number,
    encode_response,
    encode_tags,
    encode_text,
    encode_uid,
    refusal_of,
)
from dicom.upper_layer.negotiation import (
    Implementation,
    Negotiator,
    PresentationContext,
    Rejection,
    rejection_of,
)
from dicom.upper_layer.pdu import AbortReason, AssociateRequest, read_ae_title

logger = logging.getLogger(__name__)

#: The UID is a UUID's (PS3.5 annex B.2).
IMPLEMENTATION = Implementation("2.25.305536432374367815031951741498806183741", "SCREENING_GW_1")
#: The most requests that may be unanswered at once. One was negotiated (PS3.7 annex D.3.3.3); a few more do no harm.
MAX_UNANSWERED = 8


@dataclass
class ServerContext:
    """What the handlers of one server share: who may make requests, and how a handler gets a database connection."""

    policy: AssociationPolicy
    connection: LendConnection = borrowed_connection


@dataclass(eq=False)
class Place:
    """The place of an admitted association among those that are open. It is free as soon as the association ends."""

    layer: UpperLayer

    def is_alive(self) -> bool:
        """Whether the association is still open."""
        return self.layer.is_established or self.layer.state is State.AWAITING_LOCAL_ACCEPTANCE


class Association(threading.Thread):
    """One connection, from its TLS handshake to its end. `on_end` is called at the end."""

    def __init__(  # noqa: PLR0913, PLR0917 - all that an association depends on
        self,
        connection: socket.socket,
        address: tuple[str, int],
        context: ServerContext,
        services: Sequence[Service],
        negotiator: Negotiator,
        limits: Limits,
        tls: ssl.SSLContext | None,
        on_end: Callable[["Association"], None],
    ) -> None:
        super().__init__(name="association", daemon=True)
        self.address = address
        self.socket = connection
        self._context = context
        self._limits = limits
        self._tls = tls
        self._on_end = on_end
        self._is_stopping = False
        self._services = {each.sop_class: each for each in services}
        self._negotiator = negotiator
        self._layer = UpperLayer(time.monotonic, limits)
        self._dimse = Dimse({}, time.monotonic, limits)
        self._requestor = Requestor("", "", address[0])
        #: What has arrived and has not been dealt with, and the message ids of requests that have been cancelled.
        self._inbox: deque[Event | Message] = deque()
        self._answering: Message | None = None
        self._cancelled: set[int] = set()

    def run(self) -> None:
        """Serve the connection until it is closed. Never raises."""
        try:
            if self._is_secure():
                self._converse()
        except Exception:  # the outermost edge of an association
            logger.exception("association ended by a fault of the gateway", extra=self._who())
        finally:
            self._layer.connection_lost("ended")
            self.socket.close()
            self._on_end(self)

    def stop(self) -> None:
        """Have the thread abort the association as soon as it waits for the requestor, or looks."""
        self._is_stopping = True
        self._shut_down(socket.SHUT_RD)

    def cut(self) -> None:
        """End the connection without a word, even in the middle of sending."""
        self._shut_down(socket.SHUT_RDWR)

    def _shut_down(self, how: int) -> None:
        with suppress(OSError):  # it has ended by itself
            socket.socket.shutdown(self.socket, how)  # that of SSLSocket would discard what TLS needs for the A-ABORT

    # The connection ---------------------------------------------------------------------------------------------------

    def _is_secure(self) -> bool:
        """Complete the TLS handshake where this port has TLS; return whether an association may follow."""
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is None:
            return True
        try:
            self.socket.settimeout(self._limits.artim)
            self.socket = self._tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
            if self._is_stopping:  # perhaps before there was this socket to wake
                return False
            self.socket.do_handshake()
        except OSError as error:
            if self._is_stopping:
                return False
            reason = error.reason if isinstance(error, ssl.SSLError) else type(error).__name__
            extra = {"address": self.address[0], "reason": reason}
            logger.warning("TLS handshake failed: the modality's certificate, version or port is wrong", extra=extra)
            return False
        self._layer = UpperLayer(time.monotonic, self._limits)  # ARTIM starts anew
        return True

    def _converse(self) -> None:
        try:
            while self._inbox or not self._layer.is_closed:
                if self._inbox:  # an end is in the log before the requestor can know of it
                    self._deal_with(self._inbox.popleft())
                else:
                    self._send()
                    self._receive(wait=True)
        except Exception:
            self._layer.abort("met a fault of the gateway", AbortReason.NOT_SPECIFIED)
            self._send()
            raise
        finally:
            self._dimse.discard()

    def _receive(self, *, wait: bool) -> None:
        """Put what has arrived into the inbox; with `wait`, wait for it until the next deadline."""
        if self._is_stopping and self._layer.state is State.AWAITING_CLOSE:
            self._layer.connection_lost("was told")
        elif self._is_stopping:
            self._sort(self._layer.abort("was told that the gateway stops"))
        else:
            self._take(wait=wait)
            self._sort(self._layer.expire())
            self._sort_messages(self._dimse.expire)

    def _take(self, *, wait: bool) -> None:
        deadlines = [each for each in (self._layer.deadline, self._dimse.deadline) if each is not None]
        patience = min(deadlines) - time.monotonic() if wait and deadlines else 0.0
        try:
            self.socket.settimeout(max(0.0, patience))
            count = self.socket.recv_into(self._layer.room())
        except (TimeoutError, BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError:
            count = -1
        if self._is_stopping:
            return  # it was woken for that
        layer = self._layer
        self._sort(layer.received(count) if count >= 0 else layer.connection_lost("reset the connection"))

    def _send(self) -> None:
        data = self._layer.data_to_send()
        if not data:
            return
        begun_at = taken_at = time.monotonic()
        sent = 0
        try:
            while sent < len(data):
                # A requestor that takes nothing, or too little, must not keep its place and its handler.
                deadline = min(taken_at + self._limits.patience, self._limits.deadline(begun_at, sent))
                self.socket.settimeout(max(0.001, deadline - time.monotonic()))
                sent += self.socket.send(data[sent:])
                taken_at = time.monotonic()
        except OSError as error:
            is_slow = isinstance(error, TimeoutError)
            self._sort(self._layer.connection_lost("did not read" if is_slow else "reset the connection"))

    # What arrives -----------------------------------------------------------------------------------------------------

    def _sort(self, events: Iterable[Event]) -> None:
        """Put events into the inbox: messages once they are whole, and everything else as it is."""
        for event in events:
            if isinstance(event, DataReceived):
                values = event.values
                self._sort_messages(lambda: self._dimse.receive(values))  # noqa: B023 - called at once
            else:
                self._inbox.append(event)

    def _sort_messages(self, receive: Callable[[], Iterable[Message | Cancel]]) -> None:
        try:
            for received in receive():
                if isinstance(received, Message):
                    self._inbox.append(received)
                    self._refuse_too_many()
                elif received.message_id in {request.command.message_id for request in self._unanswered()}:
                    self._cancelled.add(received.message_id)  # any other is ignored (PS3.7 section 9.3.2.3)
        except DimseError as problem:
            self._dimse.discard()
            self._dimse = Dimse({}, time.monotonic, self._limits)
            self._inbox.extend(self._layer.abort(str(problem), AbortReason.NOT_SPECIFIED))

    def _unanswered(self) -> list[Message]:
        waiting = [each for each in self._inbox if isinstance(each, Message)]
        return [self._answering, *waiting] if self._answering else waiting

    def _refuse_too_many(self) -> None:
        """Raise DimseError if the requests without an answer are too many, or take too much memory together."""
        unanswered = self._unanswered()
        length = sum(len(each.data_set) for each in unanswered if isinstance(each.data_set, bytes))
        if len(unanswered) > MAX_UNANSWERED or length > self._limits.data_set_length:
            raise DimseError("did not wait for the answers to its requests")

    def _deal_with(self, arrived: Event | Message) -> None:
        match arrived:
            case AssociationRequested(request) if self._layer.state is State.AWAITING_LOCAL_ACCEPTANCE:
                self._admit(request)
            case Message():
                if not self._layer.is_established:
                    self._send()  # an A-ABORT does not wait for the requests before it
                self._answering = arrived
                self._answer(arrived)
                self._answering = None
                self._cancelled.discard(arrived.command.message_id)
            case ReleaseRequested() if self._layer.is_established:
                self._layer.release()
            case AssociationAborted(why, by_acceptor):
                level = logging.WARNING if by_acceptor else logging.INFO
                logger.log(level, "association aborted", extra={**self._who(), "reason": f"it {why}"})

    def _who(self) -> dict[str, str]:
        return {"calling_ae_title": self._requestor.calling_ae_title, "address": self.address[0]}

    # Associations -----------------------------------------------------------------------------------------------------

    def _admit(self, request: AssociateRequest) -> None:
        """Admit the association, or reject it and log the reason."""
        titles = (read_ae_title(request.calling_ae_title), read_ae_title(request.called_ae_title))
        self._requestor = requestor = Requestor(*titles, self.address[0])
        policy = self._context.policy
        rejection = rejection_of(request) or policy.admit(Place(self._layer), requestor)
        if rejection is not None:
            self._reject(rejection)
            return
        acceptance = self._negotiator.acceptance_of(request)
        self._dimse = Dimse(acceptance.contexts, time.monotonic, self._limits, self._sink_for)
        self._layer.accept(acceptance)
        self._send()  # before the log: the requestor need not wait for it
        if policy.warns_of(requestor.calling_ae_title):
            logger.warning("this AE title is not a configured modality", extra=self._who())
        logger.info("association accepted", extra=self._who())

    def _reject(self, rejection: Rejection) -> None:
        extra = {**self._who(), "called_ae_title": self._requestor.called_ae_title, "reason": rejection.sentence}
        logger.warning("association rejected", extra=extra)
        self._layer.reject(rejection.result, rejection.source, rejection.reason)

    # Requests ---------------------------------------------------------------------------------------------------------

    def _sink_for(self, context: PresentationContext, command: Command) -> DataSetSink:
        """Return where the data set of a request goes: nowhere if the request will be refused."""
        if refusal_of(Message(context, command)) is not None:
            return NullSink()
        return self._services[context.sop_class].sink_for(context, command, self._requestor, self._context)

    def _answer(self, message: Message) -> None:
        """Answer a request, or refuse it if its presentation context does not have it."""
        status = refusal_of(message)
        if status is not None:
            logger.warning("request refused", extra={**self._who(), "status": f"{status:04X}"})
            self._respond(message, [Response(status)])
            return
        command, sop_class = message.command, message.context.sop_class
        request = Request(
            operation=CommandField(command.field),
            message_id=command.message_id,
            sop_class=sop_class,
            sop_instance=command.sop_instance,
            transfer_syntax=message.context.transfer_syntax,
            requestor=self._requestor,
            data_set=message.data_set,
        )
        answer = self._services[sop_class].handlers[request.operation](request, self._context)
        if isinstance(answer, Response):
            self._respond(message, [answer])
        else:
            self._respond_in_batches(message, answer)

    def _respond_in_batches(self, message: Message, batches: Batches) -> None:
        """Send a handler's batches until it ends, and close it if the requestor goes before."""
        interruption: Interruption | None = None
        with closing(batches), suppress(StopIteration):
            while True:
                batch = batches.send(interruption)
                self._respond(message, batch)
                is_over = bool(batch) and batch[-1].is_final
                interruption = None if is_over else self._look_for_interruption(message)
                if not self._layer.is_established:
                    return

    def _look_for_interruption(self, message: Message) -> Interruption | None:
        """Look at the socket without waiting; say whether the rest of the answer is no longer wanted.

        A requestor that asks for the release meanwhile has lost patience.
        """
        self._receive(wait=False)
        is_cancelled = message.command.message_id in self._cancelled
        is_released = any(isinstance(each, ReleaseRequested) for each in self._inbox)
        return Interruption.CANCELLED if is_cancelled or is_released else None

    def _respond(self, message: Message, responses: Iterable[Response]) -> None:
        """Send responses in one write."""
        if not self._layer.is_established:
            return
        encoded: dict[int, bytes] = {}  # the command sets of the pending responses, which differ in nothing else
        for response in responses:
            command = encoded.get(response.status)
            if command is None:
                command = _command_of(message, response)
            if not response.is_final:
                encoded[response.status] = command
            self._layer.send_message(message.context.id, command, response.data_set)
        self._send()


def _command_of(message: Message, response: Response) -> bytes:
    """Return the command set of a response. Those about an instance name it unless the status says it all."""
    elements: dict[Element, bytes] = {}
    field = message.command.field
    is_about_instance = field >= CommandField.N_EVENT_REPORT_RQ or field == CommandField.C_STORE_RQ
    if is_about_instance and message.command.sop_instance and (response.comment or not response.status):
        elements[Element.AFFECTED_SOP_INSTANCE_UID] = encode_uid(message.command.sop_instance)
    if response.offending is not None:
        elements[Element.OFFENDING_ELEMENT] = encode_tags([response.offending])
    if response.comment:
        elements[Element.ERROR_COMMENT] = encode_text(response.comment)
    if response.error_id is not None:
        elements[Element.ERROR_ID] = encode_number(response.error_id)
    if response.attributes:
        elements[Element.ATTRIBUTE_IDENTIFIER_LIST] = encode_tags(response.attributes)
    has_data_set = response.data_set is not None
    return encode_response(message.command, response.status, has_data_set=has_data_set, elements=elements)
