"""Define the arguments with which a command chooses its servers, the AE title that it calls from, and its images."""

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.apps import apps
from django.conf import settings

from dicom.scu import StorageScu
from nonprod.modality_emulator import Exposure, ModalityEmulator
from nonprod.modality_emulator.encodings import TRANSFER_SYNTAXES

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


def add_image_arguments(parser: ArgumentParser, host: str = LOOPBACK) -> None:
    """Add --images, and where to send them."""
    parser.add_argument(
        "--images",
        choices=TRANSFER_SYNTAXES,
        metavar="TRANSFER-SYNTAX",
        help=f"send a phantom of each view, in a transfer syntax (not with IMAGES=off): {', '.join(TRANSFER_SYNTAXES)}",
    )
    parser.add_argument("--images-host", default=host, help="address of the image server")
    parser.add_argument("--images-port", type=int, default=settings.IMAGE_PORT)
    parser.add_argument("--images-called", default=settings.IMAGE_AE_TITLE, help="AE title of the image server")
    parser.add_argument("--rows", type=int, default=Exposure.rows, help="size of an image (default: %(default)s)")
    parser.add_argument("--columns", type=int, default=Exposure.columns, help="(default: %(default)s)")


def exposure_of(options: Mapping[str, Any]) -> Exposure | None:
    """Return how the modality takes and sends images; None if it sends none."""
    if not options["images"] or not apps.is_installed("images"):
        return None
    server = StorageScu(options["images_host"], options["images_port"], options["images_called"], options["calling"])
    return Exposure(server, TRANSFER_SYNTAXES[options["images"]], options["rows"], options["columns"])
