"""run_relay_listener, but it is killed (SIGKILL) right after the commit of its first action and before the reply."""

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

import django

django.setup()

from relay.hybrid_connection.control_protocol import Accept  # noqa: E402
from relay.hybrid_connection.listener import Listener  # noqa: E402
from relay.hybrid_connection.status import ListenerStatus  # noqa: E402
from relay.management.commands.run_relay_listener import Command  # noqa: E402


class DyingCommand(Command):
    """Dies at the worst moment."""

    def listener(self, on_status: Callable[[ListenerStatus], None]) -> Listener:
        """The real one, but its first answer is its last."""
        listener = super().listener(on_status)

        async def answer(frame: bytes, accept: Accept) -> str:
            await listener.answer(frame, accept)
            os.kill(os.getpid(), signal.SIGKILL)
            return "never"

        return replace(listener, answer=answer)


if __name__ == "__main__":
    DyingCommand().handle()
