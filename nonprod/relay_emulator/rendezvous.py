"""Owns how senders and listeners come together over WebSockets (Hybrid Connections protocol: accept, reject)."""

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
from nonprod.relay_emulator.channels import Listeners, NobodyListens, close
from nonprod.relay_emulator.faults import CutMidFrame
from nonprod.relay_emulator.messages import accept_message
from nonprod.relay_emulator.plain_http import HttpResponse
from nonprod.relay_emulator.port import Connection, is_open
from nonprod.relay_emulator.refusals import Refused, tracking_id
from nonprod.relay_emulator.service import Service, text_response

#: Codes that say how a socket ended, and that may not be sent: what the other end is told instead.
INSTEAD_OF = {1005: 1000, 1006: 1011, 1015: 1011}
REJECTION = re.compile(r"[2-5][0-9]{2}")


@dataclass(eq=False)
class Meeting:
    """A sender that waits for a listener's socket or for its rejection; later, both."""

    path: str
    sender: Connection
    offered: list[Subprotocol]
    outcome: "asyncio.Future[Connection | HttpResponse]"
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Senders:
    """The senders that wait, by the id in their rendezvous address, and those that have met a listener."""

    def __init__(self, service: Service, listeners: Listeners) -> None:
        self.service, self.listeners = service, listeners
        self.waiting: dict[str, Meeting] = {}
        self.met: set[Meeting] = set()

    def sockets(self) -> list[tuple[str, Connection]]:
        """Both ends of each rendezvous that is open, with its hybrid connection."""
        ends = [(meeting.path, end) for meeting in self.met for end in (meeting.sender, meeting.outcome.result())]
        return [(path, end) for path, end in ends if isinstance(end, Connection)]

    async def connect(self, path: str, sender: Connection, target: Target, headers: Headers) -> HttpResponse | None:
        """Call a listener, and keep the sender's handshake open until one has come, or it is refused."""
        outcome: asyncio.Future[Connection | HttpResponse] = asyncio.get_running_loop().create_future()
        meeting = Meeting(path, sender, _offered(headers), outcome)
        sender.connection_lost_waiter.add_done_callback(lambda _: self._lost(meeting))
        answer = await self._wait(meeting, target, headers)
        if isinstance(answer, HttpResponse):
            return answer
        sender.chosen = answer.chosen
        sender.plan = partial(self._relay, meeting, answer)
        return None

    def _lost(self, meeting: Meeting) -> None:
        """The sender has gone: if it was not joined yet, nobody else would tell the listener."""
        if meeting not in self.met:
            meeting.ended.set()

    async def _wait(self, meeting: Meeting, target: Target, headers: Headers) -> Connection | HttpResponse:
        identifier = tracking_id()
        address = rendezvous_address(self.service.base, target, "accept", identifier)
        accept = accept_message(address, target.options.get("id") or identifier, headers.raw_items())
        self.waiting[identifier] = meeting
        try:
            async with asyncio.timeout(self.service.timeouts.rendezvous):
                await self.listeners.dispatch(meeting.path, accept, is_accept=True)
                return await meeting.outcome
        except TimeoutError:
            raise Refused(504, "The listener did not come to the rendezvous in time") from None
        except NobodyListens:
            raise Refused(404, "There are no listeners connected for the endpoint") from None
        finally:
            self.waiting.pop(identifier, None)
            self.service.tell()

    def accept(self, listener: Connection, target: Target, headers: Headers) -> HttpResponse | None:
        """A listener comes to a rendezvous, or rejects its sender; an address is good for one of these."""
        meeting = self.waiting.get(target.options.get("id", ""))
        if meeting is None:
            raise Refused(403, "The rendezvous address is not valid, or was used, or its sender has gone")
        rejection, offered = _rejection(target), _offered(headers)
        del self.waiting[target.options["id"]]
        if rejection:
            meeting.outcome.set_result(rejection)
            self.service.count("rejected")
            return text_response(410, "The sender was rejected, as asked")
        listener.chosen = next((choice for choice in offered if choice in meeting.offered), None)
        listener.plan = partial(self._attend, meeting, listener)
        return None

    async def _attend(self, meeting: Meeting, listener: Connection) -> None:
        """The listener's socket is open: now its sender gets an answer, if it is still there."""
        if meeting.outcome.done():
            await close(listener, 1001, "The sender has gone")
            return
        meeting.outcome.set_result(listener)
        await meeting.ended.wait()
        # Only a sender that went before it was joined leaves this open.
        await listener.close(1001)

    async def _relay(self, meeting: Meeting, listener: Connection) -> None:
        self.met.add(meeting)
        self.service.count("joined")
        try:
            await join(meeting.sender, listener, before_reply=partial(self._cut, meeting))
        finally:
            self.met.discard(meeting)
            meeting.ended.set()
            self.service.tell()

    def _cut(self, meeting: Meeting, reply: str | bytes) -> None:
        """Break the sender's connection in the middle of this reply, if that is what is asked for."""
        if self.service.faults.take(CutMidFrame, meeting.path):
            meeting.sender.cut(reply)

    def give_up(self) -> None:
        """The service goes down: whoever waits is told so."""
        for meeting in self.waiting.values():
            if not meeting.outcome.done():
                meeting.outcome.set_exception(Refused(503, "The service is going down"))


BeforeReply = Callable[[str | bytes], None]


async def join(sender: Connection, listener: Connection, before_reply: BeforeReply) -> None:
    """Messages both ways, text as text and binary as binary, until either side goes; then the other goes with it."""
    await asyncio.gather(pump(sender, listener), pump(listener, sender, before_reply))


async def pump(source: Connection, target: Connection, before: BeforeReply | None = None) -> None:
    """One way. When the source has gone, the target is closed with the same code and reason."""
    with suppress(ConnectionClosed):
        while True:
            message = await source.recv()
            if before:
                before(message)
            await target.send(message)
    if not is_open(source):
        code = source.close_code or 1006
        await target.close(INSTEAD_OF.get(code, code), source.close_reason or "")


def _offered(headers: Headers) -> list[Subprotocol]:
    """The subprotocols that a handshake offers."""
    try:
        return [name for value in headers.get_all("Sec-WebSocket-Protocol") for name in parse_subprotocol(value)]
    except InvalidHeader:
        raise Refused(400, "Sec-WebSocket-Protocol cannot be read") from None


def _rejection(target: Target) -> HttpResponse | None:
    """The answer for the sender, when the listener gives one instead of coming."""
    status = target.options.get("statuscode")
    if status is None:
        return None
    if not REJECTION.fullmatch(status):
        raise Refused(400, "sb-hc-statusCode is no status that a handshake can end with")
    return text_response(int(status), target.options.get("statusdescription", ""))
