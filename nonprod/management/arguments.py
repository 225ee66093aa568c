"""Owns how a command is told which worklist server to ask, and as which modality."""

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.conf import settings

from nonprod.modality_emulator import ModalityEmulator

LOOPBACK = "127.0.0.1"


def add_modality_arguments(
    parser: ArgumentParser, host: str = LOOPBACK, calling: str = "AE title of the modality"
) -> None:
    """--host, --port, --called and --calling; `calling` is what is said of the last."""
    parser.add_argument("--host", default=host)
    parser.add_argument("--port", type=int, default=settings.MWL_PORT)
    parser.add_argument("--called", default=settings.MWL_AE_TITLE, help="AE title of the worklist server")
    parser.add_argument("--calling", default="MAMMO1", help=calling)


def modality_of(options: Mapping[str, Any]) -> ModalityEmulator:
    """The modality that these arguments name."""
    return ModalityEmulator(options["host"], options["port"], options["called"], options["calling"])
