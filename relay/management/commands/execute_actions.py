"""Execute actions from a file, for a clinic that cannot reach the relay.

FILE contains a JSON list of actions; `-` reads standard input. The dispatcher executes them by the same once-only rule
as actions from the relay, so it is safe to run the same file again. Prints one reply a line, in the order of the file,
once the action is stored.
Exits with 1 if an action failed.
"""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from core.checks import GATEWAY
from relay.action_files import BadFile, frames_in
from relay.configuration import configured_dispatcher


class Command(BaseCommand):
    """`python manage.py execute_actions FILE`"""

    help = __doc__
    requires_system_checks = (GATEWAY,)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE")

    def handle(self, *args: Any, file: str, **options: Any) -> None:
        frames = read_frames(file)
        failed = 0
        connection.ensure_connection()  # the dispatcher closes only a connection that it opened itself
        named = [(frame, f"file:{Path(file).name}#{position}") for position, frame in enumerate(frames, 1)]
        for answer in configured_dispatcher().answer_all(named):
            self.stdout.write(answer.text)
            failed += answer.failed
        if failed:
            raise CommandError(f"{failed} of {len(frames)} actions failed")


def read_frames(file: str) -> list[str]:
    """Read the actions of a file; raise CommandError if it has none."""
    try:
        return frames_in(sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes())
    except OSError as error:
        raise CommandError(f"Cannot read {file}: {error.strerror}") from None
    except BadFile as reason:
        raise CommandError(f"{file} {reason}") from None
