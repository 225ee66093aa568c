"""Plays the mammography unit until SIGTERM or SIGINT: performs the steps of `worklist.create_test_item` by itself."""

import logging
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from core.daemon import stop_event
from nonprod.modality_emulator import Modality
from nonprod.modality_emulator.worker import Worker

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
#: Where a server that listens on all addresses of this machine is found.
ANY_ADDRESS, LOOPBACK = "0.0.0.0", "127.0.0.1"  # noqa: S104 - nothing listens here


class Command(BaseCommand):
    """`python manage.py run_modality_emulator`"""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whom to ask, and how long an exposure takes."""
        host = LOOPBACK if settings.MWL_HOST == ANY_ADDRESS else settings.MWL_HOST
        parser.add_argument("--host", default=host)
        parser.add_argument("--port", type=int, default=settings.MWL_PORT)
        parser.add_argument("--called", default=settings.MWL_AE_TITLE, help="AE title of the worklist server")
        parser.add_argument("--calling", default="MAMMO1", help="AE title where the item names none")
        parser.add_argument("--seconds", type=float, default=2.0, help="between N-CREATE and N-SET")

    def handle(self, *args: Any, seconds: float, **options: Any) -> None:
        """Work until told to stop."""
        modality = Modality(options["host"], options["port"], options["called"], options["calling"])
        worker = Worker(modality, seconds)
        with stop_event() as stopping:
            logger.info("modality emulator working", extra={"host": modality.host, "port": modality.port})
            while not stopping.is_set():
                worker.turn()
                stopping.wait(POLL_SECONDS)
            worker.finish()
        logger.info("modality emulator stopped")
