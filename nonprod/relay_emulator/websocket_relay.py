"""Bring senders and listeners together over WebSockets and relay their messages.

Hybrid Connections protocol: accept, reject. A sender's handshake stays open while a listener is called through its
control channel. The listener connects to the rendezvous address, or uses the same address to reject the sender.
"""

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed, InvalidHeader
from websockets.headers import parse_subprotocol
from websockets.typing import Subprotocol

from nonprod.relay_emulator.addresses import Target, rendezvous_address
from nonprod.relay_emulator.control_channels import ControlChannels, NoListener, close_with_tracking_id
from nonprod.relay_emulator.control_messages import accept_message
from nonprod.relay_emulator.faults import CutMidFrame
from nonprod.relay_emulator.http_messages import HttpResponse, Refused, text_response, tracking_id
from nonprod.relay_emulator.port import Connection, is_open
from nonprod.relay_emulator.service import Service

#: Close codes that may not be sent in a close frame (RFC 6455, 7.4.1), and the code that the other end gets instead.
SENT_INSTEAD = {1005: 1000, 1006: 1011, 1015: 1011}
REJECTION_STATUS = re.compile(r"[2-5][0-9]{2}")


@dataclass(eq=False)
class Rendezvous:
    """A sender that waits for a listener. `outcome` is the listener's socket or the response of its rejection."""

    path: str
    sender: Connection
    offered_subprotocols: list[Subprotocol]
    outcome: "asyncio.Future[Connection | HttpResponse]"
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class WebSocketRelay:
    """The senders that wait, by the id in their rendezvous address, and the rendezvous with both ends connected."""

    def __init__(self, service: Service, control_channels: ControlChannels) -> None:
        self.service, self.control_channels = service, control_channels
        self.waiting: dict[str, Rendezvous] = {}
        self.joined: set[Rendezvous] = set()

    def open_sockets(self) -> list[tuple[str, Connection]]:
        """Return both ends of each joined rendezvous, with the path of the hybrid connection."""
        ends = [(one.path, end) for one in self.joined for end in (one.sender, one.outcome.result())]
        return [(path, end) for path, end in ends if isinstance(end, Connection)]

    async def connect(self, path: str, sender: Connection, target: Target, headers: Headers) -> HttpResponse | None:
        """Call a listener, and keep the sender's handshake open until the listener has accepted or rejected.

        Returns the response of a rejection; None lets the handshake go on. Raises Refused without a listener.
        """
        outcome: asyncio.Future[Connection | HttpResponse] = asyncio.get_running_loop().create_future()
        rendezvous = Rendezvous(path, sender, _offered_subprotocols(headers), outcome)

        def sender_disconnected(_: object) -> None:
            # Once joined, `_relay` ends the rendezvous. Before, nothing else would close the listener's socket.
            if rendezvous not in self.joined:
                rendezvous.ended.set()

        sender.connection_lost_waiter.add_done_callback(sender_disconnected)
        result = await self._wait_for_listener(rendezvous, target, headers)
        if isinstance(result, HttpResponse):
            return result
        sender.chosen_subprotocol = result.chosen_subprotocol
        sender.on_open = partial(self._relay, rendezvous, result)
        return None

    async def _wait_for_listener(
        self, rendezvous: Rendezvous, target: Target, headers: Headers
    ) -> Connection | HttpResponse:
        identifier = tracking_id()
        address = rendezvous_address(self.service.base, target, "accept", identifier)
        accept = accept_message(address, target.options.get("id") or identifier, headers.raw_items())
        self.waiting[identifier] = rendezvous
        try:
            async with asyncio.timeout(self.service.timeouts.rendezvous):
                await self.control_channels.dispatch(rendezvous.path, accept, is_accept=True)
                return await rendezvous.outcome
        except TimeoutError:
            raise Refused(504, "The listener did not come to the rendezvous in time") from None
        except NoListener:
            raise Refused(404, "There are no listeners connected for the endpoint") from None
        finally:
            self.waiting.pop(identifier, None)
            self.service.notify()

    def accept(self, listener: Connection, target: Target, headers: Headers) -> HttpResponse | None:
        """Accept or reject a sender at its rendezvous address, which is valid for one of the two, once.

        Returns the response to a rejection; None lets the listener's handshake go on. Raises Refused.
        """
        rendezvous = self.waiting.get(target.options.get("id", ""))
        if rendezvous is None:
            raise Refused(403, "The rendezvous address is not valid, or was used, or its sender has gone")
        status, offered = target.options.get("statuscode"), _offered_subprotocols(headers)
        if status is not None and not REJECTION_STATUS.fullmatch(status):
            raise Refused(400, "sb-hc-statusCode must be from 200 to 599")
        del self.waiting[target.options["id"]]
        if status is not None:
            description = target.options.get("statusdescription", "")
            rendezvous.outcome.set_result(text_response(int(status), description))
            self.service.increment("rejected")
            return text_response(410, "The sender was rejected, as asked")
        shared = (choice for choice in offered if choice in rendezvous.offered_subprotocols)
        listener.chosen_subprotocol = next(shared, None)
        listener.on_open = partial(self._serve_listener, rendezvous, listener)
        return None

    async def _serve_listener(self, rendezvous: Rendezvous, listener: Connection) -> None:
        """Complete the sender's handshake now that the listener's socket is open, unless the sender has gone."""
        if rendezvous.outcome.done():
            await close_with_tracking_id(listener, 1001, "The sender has gone")
            return
        rendezvous.outcome.set_result(listener)
        await rendezvous.ended.wait()
        # Still open only if the sender disconnected before it was joined.
        await listener.close(1001)

    async def _relay(self, rendezvous: Rendezvous, listener: Connection) -> None:
        def cut_if_asked(reply: str | bytes) -> None:
            text = reply if isinstance(reply, str) else reply.decode(errors="replace")
            if self.service.faults.take(CutMidFrame, rendezvous.path, text=text):
                rendezvous.sender.cut(reply)

        self.joined.add(rendezvous)
        self.service.increment("joined")
        try:
            sender = rendezvous.sender
            await asyncio.gather(forward(sender, listener), forward(listener, sender, cut_if_asked))
        finally:
            self.joined.discard(rendezvous)
            rendezvous.ended.set()
            self.service.notify()

    def shut_down(self) -> None:
        """Refuse all waiting senders with 503."""
        for rendezvous in self.waiting.values():
            if not rendezvous.outcome.done():
                rendezvous.outcome.set_exception(Refused(503, "The service is going down"))


async def forward(
    source: Connection, target: Connection, before_send: Callable[[str | bytes], None] | None = None
) -> None:
    """Forward messages one way until an end disconnects; then close the target with the source's code and reason."""
    with suppress(ConnectionClosed):
        while True:
            message = await source.recv()
            if before_send:
                before_send(message)
            await target.send(message)
    if not is_open(source):
        code = source.close_code or 1006
        await target.close(SENT_INSTEAD.get(code, code), source.close_reason or "")


def _offered_subprotocols(headers: Headers) -> list[Subprotocol]:
    try:
        return [name for value in headers.get_all("Sec-WebSocket-Protocol") for name in parse_subprotocol(value)]
    except InvalidHeader:
        raise Refused(400, "Sec-WebSocket-Protocol cannot be read") from None
