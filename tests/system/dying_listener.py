"""Run the relay listener, and kill it (SIGKILL) between the commit of its first action and the reply."""

import os
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
from tests.processes import KILL  # noqa: E402


class DyingCommand(Command):
    """The command with a listener that dies."""

    def listener(self, on_status: Callable[[ListenerStatus], None]) -> Listener:
        """Return the real listener, which dies instead of returning its first reply."""
        listener = super().listener(on_status)

        async def answer(frame: bytes, accept: Accept) -> str:
            await listener.answer(frame, accept)
            os.kill(os.getpid(), KILL)
            return "never"

        return replace(listener, answer=answer)


if __name__ == "__main__":
    DyingCommand().handle()
