"""Define the arguments with which a command chooses a worklist server and the AE title that it calls from."""

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.conf import settings

from nonprod.modality_emulator import ModalityEmulator

LOOPBACK = "127.0.0.1"


def add_modality_arguments(
    parser: ArgumentParser,
    host: str = LOOPBACK,
    calling: str = "MAMMO1",
    what: str = "AE title of the modality",
) -> None:
    """Add --host, --port, --called and --calling, the last with this default; `what` is its help text."""
    parser.add_argument("--host", default=host, help="address of the worklist server")
    parser.add_argument("--port", type=int, default=settings.MWL_PORT)
    parser.add_argument("--called", default=settings.MWL_AE_TITLE, help="AE title of the worklist server")
    parser.add_argument("--calling", default=calling, help=what)


def modality_of(options: Mapping[str, Any]) -> ModalityEmulator:
    return ModalityEmulator(options["host"], options["port"], options["called"], options["calling"])
