"""Decide from echoes whether a control channel is dead. Pure: no socket, no event loop.

Why pings are not enough. A ping proves that the TCP connection to the service is alive; nothing more. The service can
answer pings on a channel and yet send no accept to it any more, because it has forgotten that the channel belongs to
the hybrid connection. Such a channel looks connected for ever, and no sender reaches the gateway.

So the listener also plays the sender: it sends an *echo* to its own hybrid connection. The service passes it to one of
the connected listeners. Four outcomes are possible:

- HERE: it arrived on this very channel, which proves that accepts reach it.
- ELSEWHERE: another listener answered it, which proves nothing. Once is luck; often in a row is not. With n listeners,
  k echoes in a row miss a healthy channel with probability (1 - 1/n)^k, so the channel counts as dead when that falls
  below `false_alarm`.
- MISSED: nobody answered in time. One may be a slow network; `max_missed` since the last proof mean dead.
- FORBIDDEN: the policy has no Send right, so nothing can be proved. The channel is replaced when it is `max_age` old.

Pings can do harm. A service has been seen that drops the channel each time it is pinged (azure-relay-dotnet #103), so
every channel lives until its first ping. When `max_dropped` channels in a row have ended so, no more pings are sent,
and echoes and replacement alone find dead channels.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum


class EchoOutcome(Enum):
    """The outcome of one echo; the value completes the sentence "the echo …"."""

    HERE = "arrived on this channel and was answered"
    ELSEWHERE = "was answered by another listener"
    MISSED = "did not come back in time"
    FORBIDDEN = "is forbidden: the policy has no Send right"


@dataclass(frozen=True)
class LivenessPolicy:
    """When to send pings and echoes, and when a channel counts as dead. Times in seconds.

    `ping`: between pings, and for the service to answer one. `interval`: between echoes. `deadline`: for an echo to
    come back. `retry`: until the next echo after one that proved nothing. `listeners`: how many may be connected to
    the hybrid connection. The other fields are explained at the top of this module.
    """

    ping: float = 20.0
    interval: float = 60.0
    deadline: float = 20.0
    retry: float = 5.0
    max_missed: int = 2
    listeners: int = 2
    false_alarm: float = 0.001
    max_age: float = 300.0
    max_dropped: int = 2

    @property
    def drop_window(self) -> float:
        """How soon after a ping the channel must end for the ping to be the cause. Seconds."""
        return self.ping / 4

    @property
    def max_elsewhere(self) -> int:
        """How many echoes answered elsewhere in a row mean that the channel is dead."""
        missed_by_luck = 1 - 1 / self.listeners
        return 1 if missed_by_luck == 0 else math.floor(math.log(self.false_alarm) / math.log(missed_by_luck)) + 1

    @property
    def retry_elsewhere(self) -> float:
        """Seconds until the next echo after one answered elsewhere, so that all `max_elsewhere` fit into `interval`."""
        return min(self.retry, self.interval / self.max_elsewhere)


@dataclass(frozen=True)
class EchoTally:
    """The echoes sent for one channel since one last arrived on it."""

    missed: int = 0
    elsewhere: int = 0
    forbidden: bool = False

    def after(self, outcome: EchoOutcome) -> "EchoTally":
        """Return the tally with one more echo."""
        return AFTER[outcome](self)

    def reason_dead(self, policy: LivenessPolicy) -> str:
        """Return why the channel counts as dead; empty while it does not."""
        if self.missed >= policy.max_missed:
            return f"{self.missed} echoes through the relay did not come back: the channel looks open but is dead"
        if self.elsewhere >= policy.max_elsewhere:
            return f"{self.elsewhere} echoes in a row were answered by another listener: this channel gets no accepts"
        return ""

    def next_echo_in(self, policy: LivenessPolicy) -> float:
        """Return the seconds until the next echo."""
        if self.missed:
            return policy.retry
        return policy.retry_elsewhere if self.elsewhere else policy.interval


AFTER: Mapping[EchoOutcome, Callable[[EchoTally], EchoTally]] = {
    EchoOutcome.HERE: lambda _: EchoTally(),
    EchoOutcome.ELSEWHERE: lambda tally: replace(tally, elsewhere=tally.elsewhere + 1),
    EchoOutcome.MISSED: lambda tally: replace(tally, missed=tally.missed + 1),
    EchoOutcome.FORBIDDEN: lambda _: EchoTally(forbidden=True),
}


@dataclass(frozen=True)
class PingTally:
    """How many channels in a row the service has dropped at their first ping."""

    dropped: int = 0

    def after(self, pings: int, since_last: float, policy: LivenessPolicy, *, dropped: bool) -> "PingTally":
        """Return the tally after one more channel, which was sent this many pings, the last `since_last` seconds ago.

        `dropped` means that the service ended the channel. One that was not pinged, or replaced after one ping, tells
        nothing.
        """
        if pings == 0 or (pings == 1 and not dropped):
            return self
        return PingTally(self.dropped + 1 if pings == 1 and since_last <= policy.drop_window else 0)

    def forbids_pings(self, policy: LivenessPolicy) -> bool:
        return self.dropped >= policy.max_dropped
