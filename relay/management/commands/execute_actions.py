"""Execute actions from a file, for a clinic that cannot reach the relay.

FILE contains a JSON list of actions; `-` reads standard input. The dispatcher executes them by the same once-only rule
as actions from the relay, so it is safe to run the same file again. Prints one reply a line, in the order of the file.
Exits with 1 if an action failed.
"""

import json
import re
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from relay.configuration import configured_dispatcher

#: What separates the members of a list.
SEPARATOR = re.compile(r"[\s,]*")


class Command(BaseCommand):
    """`python manage.py execute_actions FILE`"""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE")

    def handle(self, *args: Any, file: str, **options: Any) -> None:
        frames = read_frames(file)
        dispatch = configured_dispatcher().dispatch
        failed = 0
        connection.ensure_connection()  # each dispatch closes only a connection that it opened itself
        for position, frame in enumerate(frames, 1):
            reply = dispatch(frame, f"file:{Path(file).name}#{position}")
            self.stdout.write(reply)
            failed += json.loads(reply)["status"] == "error"
        if failed:
            raise CommandError(f"{failed} of {len(frames)} actions failed")


def read_frames(file: str) -> list[str]:
    """Read each member of the JSON list in a file, byte for byte; raise CommandError if the file has none.

    The error never quotes the file, which contains patient data.
    """
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig")
        is_list = isinstance(json.loads(text), list)
    except OSError as error:
        raise CommandError(f"Cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandError(f"{file} is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise CommandError(f"{file} is not JSON: {error.msg} on line {error.lineno}") from None
    except (ValueError, RecursionError) as error:
        raise CommandError(
            f"{file} contains too long a number or is nested too deeply ({type(error).__name__})"
        ) from None
    if not is_list:
        raise CommandError(f"{file} does not contain a JSON list of actions")
    return list(members(text))


def members(text: str) -> Iterator[str]:
    """Yield the text of each member of a JSON list, which must be well formed."""
    decoder = json.JSONDecoder()
    start = SEPARATOR.match(text, text.index("[") + 1).end()  # type: ignore[union-attr]
    while text[start] != "]":
        _, end = decoder.raw_decode(text, start)
        yield text[start:end]
        start = SEPARATOR.match(text, end).end()  # type: ignore[union-attr]
