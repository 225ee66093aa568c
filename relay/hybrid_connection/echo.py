"""Send echoes to the listener itself through the relay, to prove the channel on which they arrive (see liveness)."""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from .address import HybridConnectionAddress
from .control_channel import ControlChannel
from .control_protocol import Accept
from .failures import HybridConnectionError
from .liveness import EchoOutcome
from .sender import send
from .tokens import TokenProvider

#: The sender's header by which a listener recognises its own echo; the service passes it on with the accept.
ECHO_HEADER = "X-Listener-Echo"

#: Makes the text of an echo from a random word. Any listener of the hybrid connection must be able to answer it.
EchoText = Callable[[str], str]


@dataclass
class EchoProbe:
    """Sends echoes to a hybrid connection; each must be back within `deadline` seconds."""

    address: HybridConnectionAddress
    tokens: TokenProvider
    text: EchoText
    deadline: float
    #: The echoes under way, and the channel on which each has arrived.
    _arrived_on: dict[str, ControlChannel | None] = field(default_factory=dict, init=False)

    def recognises(self, accept: Accept, channel: ControlChannel) -> bool:
        """Return whether `accept`, which arrived on `channel`, is an echo of this probe; if so, note the channel."""
        nonce = accept.header(ECHO_HEADER)
        if nonce not in self._arrived_on:
            return False
        self._arrived_on[nonce] = channel
        return True

    async def send_for(self, channel: ControlChannel) -> EchoOutcome:
        """Send one echo and return what it proves about `channel`."""
        nonce = secrets.token_hex(8)
        self._arrived_on[nonce] = None
        try:
            async with asyncio.timeout(self.deadline):
                await send(self.address, self.tokens, self.text(nonce), self.deadline, {ECHO_HEADER: nonce})
        except HybridConnectionError as error:
            return EchoOutcome.FORBIDDEN if error.status in (401, 403) else EchoOutcome.MISSED
        except TimeoutError:
            return EchoOutcome.MISSED
        else:
            return EchoOutcome.HERE if self._arrived_on[nonce] is channel else EchoOutcome.ELSEWHERE
        finally:
            del self._arrived_on[nonce]
