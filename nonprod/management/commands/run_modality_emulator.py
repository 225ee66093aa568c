"""Emulate a mammography unit: perform the test items of `worklist.create_test_item` until SIGTERM or SIGINT."""

import logging
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from core.checks import GATEWAY
from core.daemon import stop_event
from dicom.models import Modality
from nonprod.management.arguments import (
    LOOPBACK,
    add_image_arguments,
    add_modality_arguments,
    exposure_of,
    modality_of,
)
from nonprod.modality_emulator.worker import TEST_MACHINE, Worker

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
#: A server that listens on all addresses is reached on loopback.
ANY_ADDRESS = "0.0.0.0"  # noqa: S104 - nothing listens here


class Command(BaseCommand):
    help = __doc__
    requires_system_checks = (GATEWAY,)

    def add_arguments(self, parser: ArgumentParser) -> None:
        host = LOOPBACK if settings.MWL_HOST == ANY_ADDRESS else settings.MWL_HOST
        add_modality_arguments(parser, host, TEST_MACHINE, "its AE title, which is marked as a test machine")
        add_image_arguments(parser, host)
        parser.add_argument("--seconds", type=float, default=2.0, help="time between N-CREATE and N-SET (default: 2)")

    def handle(self, *args: Any, seconds: float, **options: Any) -> None:
        modality = modality_of(options)
        Modality.register_test_machine(modality.ae_title, "Modality emulator", "nonprod")
        worker = Worker(modality, seconds, exposure_of(options))
        with stop_event() as stopping:
            logger.info("modality emulator started", extra={"host": modality.host, "port": modality.port})
            while not stopping.is_set():
                worker.turn()
                stopping.wait(POLL_SECONDS)
            worker.finish()
        logger.info("modality emulator stopped")
