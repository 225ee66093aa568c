"""Owns the echoes that a listener sends to itself through the relay, to prove the channel on which they come in."""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from .address import HybridConnectionAddress
from .control_channel import ControlChannel
from .control_protocol import Accept
from .failures import HybridConnectionError
from .liveness import Echo
from .sender import send
from .tokens import TokenProvider

#: By this header of the sender, which comes with the accept, a listener knows an echo of its own.
ECHO_HEADER = "X-Listener-Echo"

#: Makes the text of an echo with this word in it: whatever listener gets it must give a reply to it.
EchoText = Callable[[str], str]


@dataclass
class EchoProbe:
    """Sends echoes to a hybrid connection, each of which has to be back within `deadline` seconds."""

    address: HybridConnectionAddress
    tokens: TokenProvider
    text: EchoText
    deadline: float
    _came_in: dict[str, ControlChannel | None] = field(default_factory=dict, init=False)

    def recognises(self, accept: Accept, channel: ControlChannel) -> bool:
        """Whether the accept that came in on a channel is an echo of ours that is under way."""
        nonce = accept.header(ECHO_HEADER)
        if nonce not in self._came_in:
            return False
        self._came_in[nonce] = channel
        return True

    async def send_for(self, channel: ControlChannel) -> Echo:
        """Send one, and say what it proves of a channel."""
        nonce = secrets.token_hex(8)
        self._came_in[nonce] = None
        headers = {ECHO_HEADER: nonce}
        try:
            async with asyncio.timeout(self.deadline):
                await send(self.address, self.tokens, self.text(nonce), self.deadline, headers)
        except HybridConnectionError as error:
            return Echo.FORBIDDEN if error.status in (401, 403) else Echo.MISSED
        except TimeoutError:
            return Echo.MISSED
        else:
            return Echo.HERE if self._came_in[nonce] is channel else Echo.ELSEWHERE
        finally:
            del self._came_in[nonce]
