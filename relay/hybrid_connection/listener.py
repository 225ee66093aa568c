"""Listen on a hybrid connection: keep a control channel open, and run a task for each sender (protocol: listen).

The listener keeps one *current* control channel, and opens the next one for either of two reasons:

- The current channel ends. The listener is then offline, and backs off before it tries again.
- The current channel has to be replaced, because echoes no longer prove it, it is too old, or maintenance asks for it.
  The next channel is opened first, and only then is the old one closed, so there is no gap.

A channel that is being closed is read until its closing handshake is complete, since the service may have sent accepts
before it learnt that the channel is closing.

    run ─┬─ _keep_listening ── _listen_once: open a channel, hold it, back off; again and again
         ├─ _read, one task for each channel: dispatch its events
         └─ serve, one task for each sender or HTTP request
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
from .liveness import EchoOutcome, LivenessPolicy, PingTally
from .reconnection import ReconnectionPolicy
from .rendezvous import AnswerFrame, RendezvousPolicy, serve_sender
from .rendezvous_limit import RendezvousLimit
from .status import ListenerState, ListenerStatus
from .tokens import TokenProvider
from .websocket import pings_sent

logger = logging.getLogger(__name__)

#: How long a stopping listener reads a channel that is being closed. Seconds.
CLOSING_TIMEOUT = 6.0
#: Echo outcomes that are logged. ELSEWHERE is not: with two listeners every other echo is answered by the other one.
ECHO_LOG_LEVELS = {EchoOutcome.MISSED: logging.WARNING, EchoOutcome.FORBIDDEN: logging.INFO}


@dataclass(frozen=True)
class Replacement:
    """Why an open channel has to be replaced, and the listener's state until it is."""

    why: str
    state: ListenerState = ListenerState.ONLINE


@dataclass
class Listener:
    """A listener on one hybrid connection.

    `answer` is awaited with each frame of a sender and returns the text of the reply; `respond` is awaited with each
    HTTP request. `echo_text` makes the text of the echoes that the listener sends to itself to prove a channel; without
    it, none is sent. `on_status` is called with each new status. `stop_grace` is in seconds.
    """

    address: HybridConnectionAddress
    tokens: TokenProvider
    answer: AnswerFrame
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
        #: The listener's own echoes do not queue behind senders: a busy channel is not a dead one.
        self._echo_limit = RendezvousLimit()
        self._pings = PingTally()
        self._opened = 0
        self._readers: dict[ControlChannel, asyncio.Task[None]] = {}
        #: Tasks that a stop waits for, and answers to the listener's own echoes, for which it does not.
        self._tasks: set[asyncio.Task[Any]] = set()
        self._echoes: set[asyncio.Task[Any]] = set()
        self._is_stopping = False
        self._replacement_requested = asyncio.Event()

    def replace_channel(self) -> None:
        """Replace the current channel by a new one without a gap, for maintenance."""
        self._replacement_requested.set()

    async def run(self, stopping: asyncio.Event, aborting: asyncio.Event | None = None) -> None:
        """Listen until `stopping` is set, then let the senders being served finish, within `stop_grace` seconds.

        Set `aborting` to stop without waiting for them. No task is left when this returns.
        """
        keeping = asyncio.create_task(self._keep_listening(), name="listener")
        stop_requested = asyncio.create_task(stopping.wait(), name="stopping")
        aborted = asyncio.create_task((aborting or asyncio.Event()).wait(), name="aborting")
        self._report(state=ListenerState.CONNECTING)
        try:
            await asyncio.wait({keeping, stop_requested, aborted}, return_when=asyncio.FIRST_COMPLETED)
            if keeping.done():
                keeping.result()  # it never ends by itself, so this raises what ended it
            self._is_stopping = True
            keeping.cancel()
            finishing = self._start(self._finish(), "finishing")
            await asyncio.wait({finishing, aborted}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            unfinished = (*self._readers.values(), *self._tasks, *self._echoes)
            await _cancel(keeping, stop_requested, aborted, *unfinished)
            self._report(state=ListenerState.OFFLINE, why="stopped", online_since=None)

    async def _finish(self) -> None:
        """Accept no more senders, and wait for those being served."""
        ends_at = asyncio.get_running_loop().time() + self.stop_grace
        readers = set(self._readers.values())
        for channel in self._readers:
            self._start(channel.close(), "closing")
        if readers:
            await asyncio.wait(readers, timeout=min(CLOSING_TIMEOUT, self.stop_grace))
        self.rendezvous_limit.drain()
        if unfinished := self._tasks - {asyncio.current_task()}:
            seconds_left = max(0.0, ends_at - asyncio.get_running_loop().time())
            logger.info("finishing", extra={"tasks": len(unfinished), "grace_seconds": round(seconds_left)})
            await asyncio.wait(unfinished, timeout=seconds_left)

    # One channel after another ---------------------------------------------------------------------------------------

    async def _keep_listening(self) -> None:
        failures = 0
        while True:
            try:
                failures = await self._listen_once(failures)
            except Exception:  # the outermost edge: nothing may end the listener, not even an `on_status` that raises
                logger.exception("listener failed")
                await asyncio.sleep(self.reconnection.first)

    async def _listen_once(self, failures: int) -> int:
        """Open a channel, hold it until it ends or has to be replaced, and wait as long as the policy says.

        Takes and returns the number of failures in a row.
        """
        channel = None
        try:
            channel = await self._open_next()
            replacement = await self._hold(channel)
        except HybridConnectionError as error:
            failures = self.reconnection.failures_after(failures, channel.age if channel else 0.0) + 1
            await self._back_off(str(error), self.reconnection.delay(failures, error.failure.pace))
            return failures
        except Exception as error:  # the edge of a channel: its fault is reported and followed by another channel
            logger.exception("control channel failed")
            reason = f"an internal error of the listener ({type(error).__name__})"
            await self._back_off(reason, self.reconnection.delay(failures + 1, Pace.BACK_OFF))
            return failures + 1
        logger.info("replacing the control channel", extra={"reason": replacement.why})
        self._report(state=replacement.state, why=replacement.why)
        if replacement.state is ListenerState.ONLINE:
            return self.reconnection.failures_after(failures, channel.age)
        # A suspect channel counts as a failure. One that was never proven resets nothing, however long it lived:
        # where echoes cannot get through at all, channels would be replaced in a storm.
        failures = self.reconnection.failures_after(failures, channel.age if channel.is_proven else 0.0) + 1
        await asyncio.sleep(self.reconnection.delay(failures, Pace.BACK_OFF))
        return failures

    async def _open_next(self) -> ControlChannel:
        """Open a channel, then begin to close the old one, if that is still open."""
        self._replacement_requested.clear()
        if not self._open_channels():
            logger.info("listener connecting", extra={"namespace": self.address.namespace})
        ping = None if self._pings.forbids_pings(self.liveness) else self.liveness.ping
        channel = await open_control_channel(self.address, self.tokens, ping, self.clock())
        for old in self._open_channels():
            self._start(old.close(), "closing")
        self._readers[channel] = asyncio.create_task(self._read(channel), name="control-channel")
        self._opened += 1
        self._report(
            state=ListenerState.ONLINE,
            why="",
            online_since=self.status.online_since or self.clock(),
            reconnects=self._opened - 1,
        )
        logger.info("listener online", extra={"namespace": self.address.namespace, "path": self.address.path})
        return channel

    async def _hold(self, channel: ControlChannel) -> Replacement:
        """Wait until the channel has to be replaced; raise HybridConnectionError when it ends by itself."""
        reader = self._readers[channel]
        checker = asyncio.create_task(self._check_liveness(channel), name="liveness")
        replacement_requested = asyncio.create_task(self._replacement_requested.wait(), name="replacement-requested")
        try:
            await asyncio.wait({reader, checker, replacement_requested}, return_when=asyncio.FIRST_COMPLETED)
            self._count_pings(channel, dropped=reader.done())
            if reader.done():
                reader.result()  # raises if a fault of ours ended it
                raise HybridConnectionError(listening_on(self.address), channel.failure)
            return checker.result() if checker.done() else Replacement("requested")
        finally:
            await _cancel(checker, replacement_requested)

    def _count_pings(self, channel: ControlChannel, *, dropped: bool) -> None:
        """Note whether the service dropped the channel at its first ping, and stop all pings when it does so again."""
        sent, since_last = pings_sent(channel.websocket)
        forbidden_before = self._pings.forbids_pings(self.liveness)
        self._pings = self._pings.after(sent, since_last, self.liveness, dropped=dropped)
        if self._pings.forbids_pings(self.liveness) and not forbidden_before:
            reason = (
                "the service drops the channel each time it is pinged: echoes and replacement must detect a dead one"
            )
            logger.warning("no more pings are sent", extra={"reason": reason})
            self.rendezvous_policy = replace(self.rendezvous_policy, ping=None)

    async def _back_off(self, reason: str, delay: float) -> None:
        """Wait before the next attempt. The listener is offline meanwhile, unless the old channel still works."""
        details = {"reason": reason, "next_attempt_in_seconds": round(delay, 1)}
        if self._open_channels():
            logger.warning("channel not replaced yet", extra=details)
        else:
            self._report(state=ListenerState.OFFLINE, why=reason, online_since=None)
            logger.warning("listener offline", extra=details)
        await asyncio.sleep(delay)

    def _open_channels(self) -> list[ControlChannel]:
        return [channel for channel in self._readers if channel.is_open]

    async def _check_liveness(self, channel: ControlChannel) -> Replacement:
        """Send echoes until the channel counts as dead or, if echoes cannot prove it, is too old."""
        await asyncio.sleep(self.liveness.retry)
        while self._probe and not channel.echoes.forbidden:
            sent_at = channel.age
            outcome = await self._probe.send_for(channel)
            channel.echoes = channel.echoes.after(outcome)
            proof: dict[str, Any] = {}
            if outcome is EchoOutcome.HERE:
                channel.is_proven = True
                proof = {"last_echo_at": self.clock(), "last_echo_ms": round((channel.age - sent_at) * 1000)}
            self._report(echo=outcome.name.lower(), echoes=self.status.echoes + 1, **proof)
            if level := ECHO_LOG_LEVELS.get(outcome):
                logger.log(level, "echo failed", extra={"reason": f"the echo {outcome.value}"})
            if reason := channel.echoes.reason_dead(self.liveness):
                return Replacement(reason, ListenerState.SUSPECT)
            if not channel.echoes.forbidden:
                await asyncio.sleep(channel.echoes.next_echo_in(self.liveness))
        await asyncio.sleep(max(0.0, self.liveness.max_age - channel.age))
        return Replacement("echoes cannot prove it, and it has reached its maximum age")

    # Events of a channel ---------------------------------------------------------------------------------------------

    async def _read(self, channel: ControlChannel) -> None:
        """Dispatch the events of a channel, and renew its token, until it has ended."""

        def count_renewal() -> None:
            self._report(renewals=self.status.renewals + 1)

        renewing = channel.keep_renewing(self.tokens, self.address.audience, self.clock, count_renewal)
        renewer = asyncio.create_task(renewing, name="token-renewal")
        try:
            async for event in channel.events(self.rendezvous_policy.body):
                self._dispatch(event, channel)
        finally:
            channel.abort()
            del self._readers[channel]
            if not self._readers and not self._is_stopping:
                why = f"{listening_on(self.address)}: {channel.failure}"
                self._report(state=ListenerState.OFFLINE, why=why, online_since=None)
            await _cancel(renewer)

    def _dispatch(self, event: Event, channel: ControlChannel) -> None:
        """Start a task for an event; the listener's own echoes bypass the limit and do not count as senders."""
        match event:
            case Unrecognised(key):
                logger.warning("control channel message not understood", extra={"key": key})
                return
            case Accept() if self._probe and self._probe.recognises(event, channel):
                echo = serve_sender(event, self.answer, self._echo_limit, self.rendezvous_policy)
                _keep(asyncio.create_task(echo, name="echo"), self._echoes)
                return
        self._start(self.serve(event, channel), "rendezvous" if isinstance(event, Accept) else "request")
        if isinstance(event, Accept) and event.header(ECHO_HEADER):
            return  # another listener's echo
        self._report(last_accept_at=self.clock())

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

    def _start(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        return _keep(asyncio.create_task(work, name=name), self._tasks)

    def _report(self, **changes: Any) -> None:
        self.status = replace(self.status, **changes)
        self.on_status(self.status)


def _keep(task: asyncio.Task[None], tasks: set[asyncio.Task[Any]]) -> asyncio.Task[None]:
    """Keep a reference to a task while it runs: the event loop itself holds only a weak one."""
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    return task


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
