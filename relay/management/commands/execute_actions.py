"""Executes actions that were handed over as a file, for a site whose relay is away.

They go through the same dispatcher, with the same once-only rule. FILE holds a JSON list of actions, `-` is standard
input. Prints one reply a line, in the order of the file, and exits 1 if any of them failed. Safe to run again with the
same file.
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

BETWEEN = re.compile(r"[\s,]*")


class Command(BaseCommand):
    """`python manage.py execute_actions FILE`"""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """FILE."""
        parser.add_argument("file", metavar="FILE")

    def handle(self, *args: Any, file: str, **options: Any) -> None:
        """Execute each action in turn."""
        frames = read_frames(file)
        dispatch = configured_dispatcher().dispatch
        failed = 0
        connection.ensure_connection()  # one for all: each dispatch closes only what it opened itself
        for place, frame in enumerate(frames, 1):
            reply = dispatch(frame, f"file:{Path(file).name}#{place}")
            self.stdout.write(reply)
            failed += json.loads(reply)["status"] == "error"
        if failed:
            raise CommandError(f"{failed} of {len(frames)} actions failed")


def read_frames(file: str) -> list[str]:
    """Each member of the JSON list in a file, as it stands there; CommandError says what is wrong with the file."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig")
        is_list = isinstance(json.loads(text), list)
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandError(f"{file} is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise CommandError(f"{file} is not JSON: {error.msg} in line {error.lineno}") from None
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{file} has a number or a nesting without end ({type(error).__name__})") from None
    if not is_list:
        raise CommandError(f"{file} does not hold a JSON list of actions")
    return list(members(text))


def members(text: str) -> Iterator[str]:
    """The texts of the members of a JSON list that is known to be well formed."""
    decoder = json.JSONDecoder()
    start = BETWEEN.match(text, text.index("[") + 1).end()  # type: ignore[union-attr]
    while text[start] != "]":
        _, end = decoder.raw_decode(text, start)
        yield text[start:end]
        start = BETWEEN.match(text, end).end()  # type: ignore[union-attr]
