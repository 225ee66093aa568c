"""Owns a listener on one hybrid connection: one control channel after another, and a task for each sender.

Hybrid Connections protocol: listen. A channel that is to be replaced (age, doubt, maintenance) is closed when the next
one is open; one that ends by itself is followed by back-off.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

from .address import HybridConnectionAddress
from .control_channel import ControlChannel, listening_on, open_control_channel
from .control_protocol import Accept, Event, RendezvousRequest, Request, Unrecognised
from .echo import ECHO_HEADER, EchoProbe, EchoText
from .failures import HybridConnectionError, Pace
from .http_request import Respond, not_found, serve_rendezvous_request, serve_request
from .liveness import Echo, LivenessPolicy
from .reconnection import ReconnectionPolicy
from .rendezvous import Answer, RendezvousPolicy, serve_sender
from .rendezvous_limit import RendezvousLimit
from .status import ListenerState, ListenerStatus
from .tokens import TokenProvider

logger = logging.getLogger(__name__)

#: How long a channel that is closed is read on, for the senders that were called before the service heard of it.
CLOSING_SECONDS = 6.0
#: What is logged of an echo, and how loudly; with two listeners every other one comes in elsewhere.
ECHO_LEVELS = {Echo.MISSED: logging.WARNING, Echo.FORBIDDEN: logging.INFO}


@dataclass(frozen=True)
class Replacement:
    """Why a channel that is open is to be replaced, and what the listener is until it has been."""

    why: str
    state: ListenerState = ListenerState.ONLINE


@dataclass
class Listener:
    """A listener on one hybrid connection.

    `answer` is awaited with each frame of a sender and returns the text to give back; `respond` with each HTTP request.
    `echo_text` makes the text that the listener sends to itself to prove a channel; without it none is sent.
    `on_status` hears of every change. Times in seconds.
    """

    address: HybridConnectionAddress
    tokens: TokenProvider
    answer: Answer
    respond: Respond = not_found
    reconnection: ReconnectionPolicy = field(default_factory=ReconnectionPolicy)
    liveness: LivenessPolicy = field(default_factory=LivenessPolicy)
    rendezvous_policy: RendezvousPolicy = field(default_factory=RendezvousPolicy)
    rendezvous_limit: RendezvousLimit = field(default_factory=RendezvousLimit)
    stop_grace: float = 20.0
    echo_text: EchoText | None = None
    on_status: Callable[[ListenerStatus], None] = lambda _status: None
    clock: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        self.status = ListenerStatus(echo="" if self.echo_text else "off")
        self._probe = self.echo_text and EchoProbe(self.address, self.tokens, self.echo_text, self.liveness.deadline)
        #: An echo of our own waits for nobody: a channel is not dead because many senders are served.
        self._echo_limit = RendezvousLimit()
        self._opened = 0
        self._readers: dict[ControlChannel, asyncio.Task[None]] = {}
        #: Work in hand for others, and the answers to echoes of our own, for which no stop waits.
        self._tasks: set[asyncio.Task[Any]] = set()
        self._echoes: set[asyncio.Task[Any]] = set()
        self._is_stopping = False
        self._replacement_asked = asyncio.Event()

    def replace_channel(self) -> None:
        """Replace the present channel by a new one without a gap: for maintenance."""
        self._replacement_asked.set()

    async def run(self, stopping: asyncio.Event, leaving: asyncio.Event | None = None) -> None:
        """Listen until `stopping` is set; then let the senders in hand finish, at most `stop_grace` seconds in all.

        `leaving` cuts that short. No task is left when this returns.
        """
        keeping = asyncio.create_task(self._keep_listening(), name="listener")
        asked = asyncio.create_task(stopping.wait(), name="stopping")
        left = asyncio.create_task((leaving or asyncio.Event()).wait(), name="leaving")
        self._tell(state=ListenerState.CONNECTING)
        try:
            await asyncio.wait({keeping, asked, left}, return_when=asyncio.FIRST_COMPLETED)
            if keeping.done():
                keeping.result()  # it never ends by itself, so this raises what ended it
            self._is_stopping = True
            keeping.cancel()
            finishing = self._spawn(self._finish(), "finishing")
            await asyncio.wait({finishing, left}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _cancel(keeping, asked, left, *self._readers.values(), *self._tasks, *self._echoes)
            self._tell(state=ListenerState.OFFLINE, why="stopped", online_since=None)

    async def _finish(self) -> None:
        """Take no more senders, and let those in hand have their answers."""
        ends_at = asyncio.get_running_loop().time() + self.stop_grace
        readers = set(self._readers.values())
        for channel in self._readers:
            self._spawn(channel.close(), "closing")
        if readers:
            await asyncio.wait(readers, timeout=min(CLOSING_SECONDS, self.stop_grace))
        self.rendezvous_limit.evict_idle()
        if in_hand := self._tasks - {asyncio.current_task()}:
            left = max(0.0, ends_at - asyncio.get_running_loop().time())
            logger.info("finishing", extra={"tasks": len(in_hand), "grace_seconds": round(left)})
            await asyncio.wait(in_hand, timeout=left)

    # One channel after another ---------------------------------------------------------------------------------------

    async def _keep_listening(self) -> None:
        failures = 0
        while True:
            try:
                failures = await self._listen_once(failures)
            except Exception:  # the outermost edge: nothing at all may end the listener
                logger.exception("listener failed")
                await asyncio.sleep(self.reconnection.first)

    async def _listen_once(self, failures: int) -> int:
        """Open a channel and hold it until it ends or is to be replaced; then wait as long as that asks for.

        Takes and returns how many failures in a row there have been.
        """
        channel = None
        try:
            channel = await self._open_next()
            replacement = await self._hold(channel)
        except HybridConnectionError as error:
            failures = self.reconnection.forgiven(failures, channel.age if channel else 0.0) + 1
            await self._back_off(str(error), self.reconnection.delay(failures, error.failure.pace))
            return failures
        except Exception as error:
            logger.exception("control channel failed")
            failures += 1
            reason = f"a fault of the listener's own ({type(error).__name__})"
            await self._back_off(reason, self.reconnection.delay(failures, Pace.BACK_OFF))
            return failures
        return await self._before_replacing(channel, replacement, failures)

    async def _before_replacing(self, channel: ControlChannel, replacement: Replacement, failures: int) -> int:
        """A channel in doubt is a failure like one that ended, unless it had been proven: the next one comes later."""
        logger.info("channel is to be replaced", extra={"reason": replacement.why})
        self._tell(state=replacement.state, why=replacement.why)
        if replacement.state == ListenerState.ONLINE:
            return self.reconnection.forgiven(failures, channel.age)
        failures = self.reconnection.forgiven(failures, channel.age if channel.is_proven else 0.0) + 1
        await asyncio.sleep(self.reconnection.delay(failures, Pace.BACK_OFF))
        return failures

    async def _open_next(self) -> ControlChannel:
        """A new channel, in the place of the present one if there is any."""
        self._replacement_asked.clear()
        if not self._open_channels():
            logger.info("listener connecting", extra={"namespace": self.address.namespace})
        channel = await open_control_channel(self.address, self.tokens, self.liveness.pong, self.clock())
        for former in self._open_channels():
            self._spawn(former.close(), "closing")
        self._readers[channel] = asyncio.create_task(self._read(channel), name="control-channel")
        self._opened += 1
        self._tell(
            state=ListenerState.ONLINE,
            why="",
            online_since=self.status.online_since or self.clock(),
            reconnects=self._opened - 1,
        )
        logger.info("listener online", extra={"namespace": self.address.namespace, "path": self.address.path})
        return channel

    async def _hold(self, channel: ControlChannel) -> Replacement:
        """Wait until a channel is to be replaced; HybridConnectionError when it ends by itself."""
        reader = self._readers[channel]
        prover = asyncio.create_task(self._prove(channel), name="prover")
        asked = asyncio.create_task(self._replacement_asked.wait(), name="replacement-asked")
        try:
            await asyncio.wait({reader, prover, asked}, return_when=asyncio.FIRST_COMPLETED)
            if reader.done():
                reader.result()  # a fault of our own, if that is what ended it
                raise HybridConnectionError(listening_on(self.address), channel.failure)
            return prover.result() if prover.done() else Replacement("asked for")
        finally:
            await _cancel(prover, asked)

    async def _back_off(self, reason: str, delay: float) -> None:
        """Wait before the next try; offline, unless the former channel still works meanwhile."""
        told = {"reason": reason, "next_attempt_in_seconds": round(delay, 1)}
        if self._open_channels():
            logger.warning("channel not replaced yet", extra=told)
        else:
            self._tell(state=ListenerState.OFFLINE, why=reason, online_since=None)
            logger.warning("listener offline", extra=told)
        await asyncio.sleep(delay)

    def _open_channels(self) -> list[ControlChannel]:
        """Those that are still read: the present one, and such as are being closed."""
        return [channel for channel in self._readers if channel.is_open]

    async def _prove(self, channel: ControlChannel) -> Replacement:
        """Send echoes for ever; returns when the channel counts as dead or, unprovable, is too old."""
        await asyncio.sleep(self.liveness.soon)
        while self._probe and not channel.evidence.forbidden:
            age = channel.age
            echo = await self._probe.send_for(channel)
            channel.evidence = channel.evidence.after(echo)
            channel.is_proven |= echo is Echo.HERE
            self._tell_echo(echo, round((channel.age - age) * 1000))
            if doubt := channel.evidence.doubt(self.liveness):
                return Replacement(doubt, ListenerState.SUSPECT)
            if not channel.evidence.forbidden:
                await asyncio.sleep(channel.evidence.next_echo_in(self.liveness))
        await asyncio.sleep(max(0.0, self.liveness.max_age - channel.age))
        return Replacement("no echo can prove it, and it has reached its age")

    # What comes in on a channel --------------------------------------------------------------------------------------

    async def _read(self, channel: ControlChannel) -> None:
        """Serve what comes in on a channel until it has ended."""
        renewing = channel.keep_renewing(self.tokens, self.address.audience, self.clock, self._count_renewal)
        renewer = asyncio.create_task(renewing, name="token-renewal")
        try:
            async for event in channel.events(self.rendezvous_policy.body):
                self._dispatch(event, channel)
        finally:
            channel.abort()
            del self._readers[channel]
            if not self._readers and not self._is_stopping:
                self._tell(
                    state=ListenerState.OFFLINE,
                    why=f"{listening_on(self.address)}: {channel.failure}",
                    online_since=None,
                )
            await _cancel(renewer)

    def _dispatch(self, event: Event, channel: ControlChannel) -> None:
        """Start a task for an event; an echo of our own is answered outside the limit and counts as no sender."""
        match event:
            case Unrecognised(key):
                logger.warning("control channel message not understood", extra={"key": key})
                return
            case Accept() if self._probe and self._probe.recognises(event, channel):
                echo = serve_sender(event, self.answer, self._echo_limit, self.rendezvous_policy)
                _keep(asyncio.create_task(echo, name="echo"), self._echoes)
                return
        self._spawn(self.serve(event, channel), "rendezvous" if isinstance(event, Accept) else "request")
        if isinstance(event, Accept) and event.header(ECHO_HEADER):
            return  # another listener's echo
        self._tell(last_accept_at=self.clock())

    async def serve(self, event: Event, channel: ControlChannel) -> None:
        """Serve one sender or one HTTP request that arrived on `channel`. Never raises."""
        limit, policy = self.rendezvous_limit, self.rendezvous_policy
        match event:
            case Accept():
                await serve_sender(event, self.answer, limit, policy)
            case Request():
                await serve_request(event, self.respond, channel.send, limit, policy)
            case RendezvousRequest():
                await serve_rendezvous_request(event, self.respond, limit, policy)

    def _spawn(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        return _keep(asyncio.create_task(work, name=name), self._tasks)

    # What the listener says of itself --------------------------------------------------------------------------------

    def _tell(self, **changes: Any) -> None:
        self.status = replace(self.status, **changes)
        self.on_status(self.status)

    def _tell_echo(self, echo: Echo, milliseconds: int) -> None:
        proof = {"last_echo_at": self.clock(), "last_echo_ms": milliseconds} if echo is Echo.HERE else {}
        self._tell(echo=echo.name.lower(), echoes=self.status.echoes + 1, **proof)
        if level := ECHO_LEVELS.get(echo):
            logger.log(level, "echo proves nothing", extra={"reason": f"it {echo.value}"})

    def _count_renewal(self) -> None:
        self._tell(renewals=self.status.renewals + 1)


def _keep(task: asyncio.Task[None], tasks: set[asyncio.Task[Any]]) -> asyncio.Task[None]:
    """Hold a task as long as it runs: the loop itself would let it go."""
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    return task


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
