"""run_relay_listener, but it is killed (SIGKILL) right after the commit of its first action and before the reply."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

import django

django.setup()

from relay.hybrid_connection.control_channel import Accept  # noqa: E402
from relay.management.commands.run_relay_listener import Command  # noqa: E402


class DyingCommand(Command):
    """Dies at the worst moment."""

    async def answer(self, frame: bytes, accept: Accept) -> str:
        """Commit, and die."""
        reply: Any = await super().answer(frame, accept)
        os.kill(os.getpid(), signal.SIGKILL)
        return str(reply)


if __name__ == "__main__":
    DyingCommand().handle()
