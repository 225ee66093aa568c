"""Upload images: make the copy of each, send it to Manage, and report what failed, in a few threads.

Each thread claims an image or a failure report, deals with it, and claims the next. Another thread renews their leases
meanwhile. A process that is killed at any moment leaves a row whose lease expires: the next uploader makes the
copy again if it was not finished, and sends it again if no answer was written. To Manage it is the same image.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone

from core.correlation import correlated
from core.database import borrowed_connection
from images.answers import Outcome
from images.copies import CannotCopy
from images.failure_reports import apply_report_answer, claim_report
from images.manage_api import ManageApi
from images.models import Queued, ReceivedImage
from images.pictures import MakeCopy
from images.queue import apply_answer, claim_image, end, extra_of, ready_to_send, renew, try_again, under_lease
from images.spool import DiskFails, Spool, recognise

logger = logging.getLogger(__name__)

State: TypeAlias = ReceivedImage.State
Reason: TypeAlias = ReceivedImage.Reason
#: How many images are copied and sent at the same time.
THREADS = 2
#: How often to look for due rows, and how often to renew leases.
POLL_SECONDS, RENEW_SECONDS = 1.0, 10.0
#: An attempt that takes longer than this is stuck, and its lease is left to expire.
LONGEST_ATTEMPT = 900.0


class Uploader:
    """Works through the queue until `stopping` is set."""

    def __init__(
        self,
        api: ManageApi,
        spool: Spool,
        make_copy: MakeCopy,
        stopping: threading.Event,
        clock: Callable[[], datetime] = timezone.now,
    ) -> None:
        self._api = api
        self._spool = spool
        self._make_copy = make_copy
        self._stopping = stopping
        self._clock = clock
        #: Thread → the row that it is dealing with, and since when (monotonic seconds).
        self._in_progress: dict[int, tuple[Queued, float]] = {}
        self._threads = [threading.Thread(target=self._run, name=f"upload-{n}", daemon=True) for n in range(THREADS)]
        self._renewing = threading.Thread(target=self._renew_until_stopped, name="upload-leases", daemon=True)
        self.last_taken_at: datetime | None = None
        self.last_problem = ""
        #: Why the spool could not be used when that was last looked at; empty if it could.
        self.spool_problem = ""

    def start(self) -> None:
        """Start the threads."""
        for thread in (*self._threads, self._renewing):
            thread.start()

    def join(self, patience: float) -> None:
        """Wait until the current attempts have ended, at most `patience` seconds for all of them."""
        deadline = time.monotonic() + patience
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def is_working(self) -> bool:
        """Tell whether every thread lives and none is stuck."""
        return all(thread.is_alive() for thread in (*self._threads, self._renewing)) and not any(
            is_stuck(since) for _row, since in list(self._in_progress.values())
        )

    def _run(self) -> None:
        while not self._stopping.is_set():
            worked = False
            try:
                worked = self.work_once()
            except (DatabaseError, InterfaceError) as error:
                logger.warning("queue of images not available", extra={"error": type(error).__name__})
                connection.close()
            except Exception:  # the outermost edge of this thread: the next attempt may succeed
                logger.exception("upload failed")
            if not worked:
                self._stopping.wait(POLL_SECONDS)
        connection.close()

    def check_spool(self) -> bool:
        """Check that the spool is there and is the right one; return whether it is not."""
        try:
            recognise(self._spool)
        except DiskFails as failure:
            self._note_problem(failure)
            return True
        self.spool_problem = ""
        return False

    def _note_problem(self, failure: DiskFails) -> None:
        if self.spool_problem != str(failure):
            logger.error("no image can be sent", extra={"reason": str(failure)})
        self.spool_problem = str(failure)

    def work_once(self) -> bool:
        """Deal with one image or report that is due; return False if nothing is.

        While the spool cannot be used, the images are left to the uploaders that have it.
        """
        image = None if self.spool_problem else claim_image(self._clock())
        row = image or claim_report(self._clock())
        if row is None:
            return False
        self._in_progress[threading.get_ident()] = (row, time.monotonic())
        try:
            if isinstance(row, ReceivedImage):
                self._upload(row)
            else:
                answer = self._api.report_failure(row.action_id, row.sentence)
                apply_report_answer(row, answer, self._clock())
        finally:
            del self._in_progress[threading.get_ident()]
        return True

    def _upload(self, image: ReceivedImage) -> None:
        with correlated(image.correlation_id):
            try:
                self._copy_and_send(image)
            except (DatabaseError, InterfaceError):
                raise
            except DiskFails as failure:
                self._note_problem(failure)
                try_again(image, self._clock(), f"The spool cannot be used: {failure}")
            except OSError as error:  # a full disk, a spool that is not mounted
                logger.warning("image not copied or read", extra={**extra_of(image), "error": error.strerror})
                try_again(image, self._clock(), f"The spool cannot be used: {error.strerror}")
            except Exception:  # a fault of ours in one image must not make the others wait
                logger.exception("image not sent", extra=extra_of(image))
                try_again(image, self._clock(), "A fault in the gateway, see the log")

    def _copy_and_send(self, image: ReceivedImage) -> None:
        action = ready_to_send(image, self._clock(), on_its_way=False)
        if action is None:
            return
        try:
            copy = self._copy_of(image)
        except CannotCopy as reason:
            end(image, action, State.FAILED, Reason.NO_COPY, last_error=str(reason)[:200])
            return
        if copy is None:
            end(image, action, State.FAILED, Reason.FILE_LOST)
            return
        action = ready_to_send(image, self._clock(), on_its_way=True)
        if action is None:
            return
        answer = self._api.upload(action.id, copy)
        self.last_problem = answer.error
        is_written = apply_answer(image, action, answer, self._clock())
        if answer.outcome is Outcome.TAKEN:
            self.last_taken_at = self._clock()
            seconds = round((self.last_taken_at - image.received_at).total_seconds(), 1)
            logger.info("image sent to Manage", extra={**extra_of(image), "seconds": seconds})
        if not is_written:
            logger.warning("another uploader or a person took the image over", extra=extra_of(image))

    def _copy_of(self, image: ReceivedImage) -> Path | None:
        """Return a copy that has been proven, made now or by an earlier attempt; None if the original is lost."""
        copy = self._spool.copy(image.copy or image.file)
        if image.copy and copy.is_file():
            return copy
        original = self._spool.original(image.file)
        if not original.is_file():
            recognise(self._spool)
            self._spool.originals.stat()  # raises OSError if the whole spool is missing
            return None
        copy = self._spool.copy(image.file)
        self._make_copy(original, copy, settings.IMAGE_PREVIEW_PIXELS, settings.IMAGE_PREVIEW_RATIO)
        under_lease(image).update(copy=copy.name)
        return copy

    # Leases -----------------------------------------------------------------------------------------------------------

    def _renew_until_stopped(self) -> None:
        while not self._stopping.wait(RENEW_SECONDS):
            with suppress(DatabaseError, InterfaceError), borrowed_connection():
                self.renew_leases()
        while self._in_progress:  # an attempt that was begun may end after `stopping`
            time.sleep(POLL_SECONDS)
            with suppress(DatabaseError, InterfaceError), borrowed_connection():
                self.renew_leases()

    def renew_leases(self) -> None:
        """Extend the leases of all rows in progress, except those that are stuck."""
        for row, since in list(self._in_progress.values()):
            if not is_stuck(since):
                renew(row, self._clock())


def is_stuck(since: float) -> bool:
    """Return whether an attempt that began at this moment has taken longer than any should."""
    return time.monotonic() - since > LONGEST_ATTEMPT
