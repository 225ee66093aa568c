"""Make copies of the images that have come, and send them to Manage, until SIGTERM or SIGINT."""

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from core.checks import GATEWAY
from core.daemon import exit_process, stop_event
from core.heartbeat import BEAT_SECONDS, HeartbeatWriter
from core.regular_check import RegularCheck
from images.completion import complete_items
from images.configuration import DISK_FAILS, UPLOADING
from images.copies.worker import copy_in_process
from images.failure_reports import queue_reports
from images.linking import link_late
from images.manage_api import configured_manage_api
from images.models import WholeWayTest
from images.pictures import copy_undecided
from images.retention import delete_expired, make_room, settle_orphans
from images.spool import DiskFails, spool
from images.uploader import Uploader
from images.whole_way import run_next_test

logger = logging.getLogger(__name__)

#: How long uploads in progress may take to end, before the process ends without them.
PATIENCE = 5.0


def regular_checks(stopping: threading.Event) -> list[RegularCheck]:
    """Return what is checked at regular intervals besides the queue."""
    files = spool()
    checks: list[tuple[str, Callable[[datetime], int], float]] = [
        ("images without an item", link_late, 60.0),
        ("items whose images are complete", complete_items, 30.0),
        ("failed images", queue_reports, 5.0),
        ("pictures for people who decide", partial(copy_undecided, files, copy_in_process), 20.0),
        ("orphans in the spool", partial(settle_orphans, files), 3600.0),
        ("disk space", partial(make_room, files), 30.0),
        ("old images", partial(delete_expired, files), 300.0),
    ]
    return [RegularCheck(name, _now(check), seconds, stopping) for name, check, seconds in checks]


def _now(check: Callable[[datetime], int]) -> Callable[[], int]:
    def check_now() -> int:
        try:
            return check(timezone.now())
        except DiskFails as failure:
            logger.warning("the spool cannot be used", extra={"error": str(failure)})
        except OSError as error:
            logger.warning("the spool cannot be used", extra={"error": error.strerror})
        return 0

    return check_now


def whole_way_check(stopping: threading.Event) -> RegularCheck:
    """Return the thread that runs the tests until `stopping` is set."""

    def run(test: WholeWayTest) -> None:
        # The uploader does without numpy and pynetdicom as long as nobody asks for a test.
        from images.test_machine import work_through  # noqa: PLC0415

        work_through(test, stopping)

    return RegularCheck("tests of the whole way", lambda: run_next_test(run), 2.0, stopping)


class Command(BaseCommand):
    help = __doc__
    requires_system_checks = (GATEWAY,)

    def handle(self, *args: Any, **options: Any) -> None:
        """Work until a signal."""
        with stop_event() as stopping:
            uploader = Uploader(configured_manage_api(), spool(), copy_in_process, stopping)
            uploader.start()
            spool_check = RegularCheck("spool", uploader.check_spool, 30.0, stopping)
            for check in (*regular_checks(stopping), whole_way_check(stopping), spool_check):
                check.start()
            heartbeat = HeartbeatWriter("image_uploader", UPLOADING, watchdog=True).start()
            logger.info("uploading images")
            while not stopping.is_set():
                if uploader.is_working():
                    heartbeat.keep_alive()
                last = uploader.last_taken_at
                heartbeat.set_state(
                    DISK_FAILS if uploader.spool_problem else UPLOADING,
                    last_taken_at=last and last.isoformat(timespec="seconds"),
                    why=uploader.spool_problem or uploader.last_problem,
                )
                stopping.wait(BEAT_SECONDS)
            uploader.join(PATIENCE)
            heartbeat.stop(patience=2)
        logger.info("image uploader stopped")
        exit_process()
