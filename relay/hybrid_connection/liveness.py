"""Owns whether a control channel is proven to be alive: by echoes through the relay, not by its state. Pure.

A channel that answers pings can still be dead, when nothing is dispatched to it any more. An echo that is sent to the
hybrid connection and comes in on this very channel proves that it is not. Where there are several listeners it may
come in at another one, which proves nothing of this channel.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum


class Echo(Enum):
    """What became of one echo."""

    HERE = "came in on this channel and was answered"
    ELSEWHERE = "was answered by another listener"
    MISSED = "did not come back in time"
    FORBIDDEN = "may not be sent: the policy has no Send right"


@dataclass(frozen=True)
class LivenessPolicy:
    """When to ask, and when to stop believing. Times in seconds.

    `interval` between echoes, `deadline` for one to come back, `soon` until the next one where one proved nothing.
    So many `misses` mean dead; so do as many echoes answered elsewhere as would happen by luck less often than `luck`
    among so many `listeners` as there may be. Where no echo may be sent, a channel is replaced at `max_age`. One that
    does not answer a ping within `pong` ends; one is sent so often, too.
    """

    pong: float = 20.0
    interval: float = 60.0
    deadline: float = 20.0
    soon: float = 5.0
    misses: int = 2
    listeners: int = 2
    luck: float = 0.001
    max_age: float = 900.0

    @property
    def elsewheres(self) -> int:
        """How many echoes in a row answered elsewhere are no luck any more."""
        missed_by_luck = 1 - 1 / self.listeners
        return 1 if missed_by_luck == 0 else math.floor(math.log(self.luck) / math.log(missed_by_luck)) + 1

    @property
    def soon_elsewhere(self) -> float:
        """Seconds until the next echo after one that was answered elsewhere: the more it takes, the closer they come,
        so that all of them together take no longer than an interval."""
        return min(self.soon, self.interval / self.elsewheres)


@dataclass(frozen=True)
class Evidence:
    """What the echoes since the last proof say of one channel."""

    misses: int = 0
    elsewheres: int = 0
    forbidden: bool = False

    def after(self, echo: Echo) -> "Evidence":
        """The evidence with one echo more; a proof takes all doubt away."""
        return AFTER[echo](self)

    def doubt(self, policy: LivenessPolicy) -> str:
        """Why the channel counts as dead; empty while it does not."""
        if self.misses >= policy.misses:
            return f"{self.misses} echoes through the relay did not come back: dead, whatever its state says"
        if self.elsewheres >= policy.elsewheres:
            return f"{self.elsewheres} echoes in a row came in at another listener: nothing is dispatched here"
        return ""

    def next_echo_in(self, policy: LivenessPolicy) -> float:
        """Seconds until the next echo."""
        if self.misses:
            return policy.soon
        return policy.soon_elsewhere if self.elsewheres else policy.interval


AFTER: Mapping[Echo, Callable[[Evidence], Evidence]] = {
    Echo.HERE: lambda _: Evidence(),
    Echo.ELSEWHERE: lambda evidence: replace(evidence, elsewheres=evidence.elsewheres + 1),
    Echo.MISSED: lambda evidence: replace(evidence, misses=evidence.misses + 1),
    Echo.FORBIDDEN: lambda _: Evidence(forbidden=True),
}
