"""Delete files from the spool: when their time is over, earlier if disk space runs short, and files without a row.

Rows stay, with `file` empty. Nothing that waits to go to Manage is ever deleted.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any, TypeAlias

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce

from core.audit import Auditor
from images.linking import ACTOR
from images.models import ReceivedImage
from images.spool import NEED_THEIR_FILE, Spool, recognise

logger = logging.getLogger(__name__)

State: TypeAlias = ReceivedImage.State
Reason: TypeAlias = ReceivedImage.Reason

#: Staff are warned of a deletion this long before.
NOTICE = timedelta(days=1)
#: The states of which staff are warned: somebody may still want the files.
WARNED_OF = (State.FAILED, State.NOT_SENT, State.UNLINKED, State.HELD)
#: When less than this multiple of IMAGE_MIN_FREE_BYTES is free, files that are not needed are deleted early.
SHORT = 2
#: A younger file without a row may be one whose row is about to be committed.
ORPHAN_AGE = timedelta(hours=1)
AT_ONCE = 500
HAS_FILES = ~Q(file="", copy="")


def kept_for() -> Mapping[State, tuple[str, timedelta]]:
    """Return how long files are kept in each state, and the field from which that counts."""
    used = timedelta(hours=settings.IMAGE_KEEP_HOURS)
    failed = timedelta(days=settings.IMAGE_KEEP_FAILED_DAYS)
    unlinked = timedelta(days=settings.IMAGE_KEEP_UNLINKED_DAYS)
    return {
        State.UPLOADED: ("uploaded_at", used),
        State.NOT_SENT: ("received_at", failed),
        State.FAILED: ("received_at", failed),
        State.UNLINKED: ("received_at", unlinked),
        State.HELD: ("received_at", unlinked),
        State.DISCARDED: ("discarded_at", used),
    }


def expired(at: datetime) -> QuerySet[ReceivedImage]:
    """Return the images whose files are to be deleted at this time or before."""
    ended = [Q(state=state, **{f"{field}__lte": at - kept}) for state, (field, kept) in kept_for().items()]
    images = ReceivedImage.objects.alias(discarded_at=Coalesce("decided_at", "received_at"))
    return images.filter(HAS_FILES, reduce(or_, ended))


def expiring_soon(now: datetime) -> QuerySet[ReceivedImage]:
    """Return the images that nobody has dealt with and whose files will be deleted within NOTICE."""
    return expired(now + NOTICE).filter(state__in=WARNED_OF)


def delete_expired(spool: Spool, now: datetime) -> int:
    """Delete the files of the images whose time is over; return how many images that were."""
    recognise(spool)
    return sum(_delete(spool, image, now) for image in list(expired(now).order_by("received_at")[:AT_ONCE]))


def make_room(spool: Spool, now: datetime) -> int:
    """If disk space runs short, delete originals whose copies Manage has, the oldest first; return how many."""
    recognise(spool)
    enough = SHORT * settings.IMAGE_MIN_FREE_BYTES
    deleted = 0
    while spool.free_bytes() < enough:
        image = ReceivedImage.objects.filter(state=State.UPLOADED).exclude(file="").order_by("uploaded_at").first()
        if image is None:
            break
        deleted += _delete(spool, image, now, keep_copy=True)
    if deleted:
        logger.warning("disk space is short: originals deleted early", extra={"deleted": deleted})
    return deleted


def _delete(spool: Spool, image: ReceivedImage, now: datetime, *, keep_copy: bool = False) -> bool:
    """Delete an image's files unless somebody has changed it meanwhile; return whether they were deleted.

    The row comes first: a file without a row is found again, a row without its file would be an alarm.
    """
    files = [spool.original(image.file)] if image.file else []
    changes: dict[str, Any] = {"file": "", "deleted_at": now}
    if image.copy and not keep_copy:
        files.append(spool.copy(image.copy))
        changes["copy"] = ""
    if image.state in {State.UNLINKED, State.HELD}:
        changes |= {"state": State.DISCARDED, "reason": Reason.EXPIRED}
    with transaction.atomic():
        still = ReceivedImage.objects.filter(
            pk=image.pk, state=image.state, file=image.file, received_at=image.received_at
        )
        if not still.select_for_update(no_key=True).exists() or not Auditor(ACTOR).update(image, **changes):
            return False
    _unlink(files)
    return True


def _unlink(files: Iterable[Path]) -> None:
    for file in files:
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            logger.error("file not deleted from the spool", extra={"file": file.name, "error": error.strerror})


# Orphans --------------------------------------------------------------------------------------------------------------


def settle_orphans(spool: Spool, now: datetime) -> int:
    """Delete files without a row, and fail images without their file; return how many of both.

    A file without a row belongs to a C-STORE that was never answered 0000, or to an image that was being deleted.
    Raise DiskFails or OSError if the spool is missing, or is another one.
    """
    recognise(spool)
    return fail_lost(spool) + delete_orphans(spool, now)


def fail_lost(spool: Spool) -> int:
    """Fail the images that still need their file, and have neither it nor a copy; return how many."""
    needed = ReceivedImage.objects.filter(state__in=NEED_THEIR_FILE, lease_until=None).exclude(file="")
    rows = list(needed.values_list("pk", "file", "copy"))  # before the files, as a file comes before its row
    originals, copies = ({file.name for file in folder.iterdir()} for folder in (spool.originals, spool.copies))
    lost = [(key, file) for key, file, copy in rows if file not in originals and copy not in copies]
    failed = 0
    for key, file in lost:  # by its file, too: the image may have come again meanwhile
        still = needed.filter(pk=key, file=file)
        failed += still.update(state=State.FAILED, reason=Reason.FILE_LOST, next_attempt_at=None)
    if failed:
        logger.error("files of images are missing from the spool", extra={"images": failed})
    return failed


def delete_orphans(spool: Spool, now: datetime) -> int:
    """Delete the files that no row names and that are old enough; return how many.

    Originals are kept for as long as those that failed: after the database was restored from a backup, the rows of
    images that were answered 0000 are missing. None is deleted if there is no row at all: it is then more likely
    that this is the wrong database.
    """
    if not ReceivedImage.objects.exists():
        return 0
    deleted = 0
    ages = (
        (spool.originals, "file", timedelta(days=settings.IMAGE_KEEP_FAILED_DAYS)),
        (spool.copies, "copy", ORPHAN_AGE),
    )
    for folder, field, age in ages:
        old = list(_older_than(folder, (now - age).timestamp()))
        for first in range(0, len(old), AT_ONCE):
            some = old[first : first + AT_ONCE]
            rows = ReceivedImage.objects.filter(**{f"{field}__in": [file.name for file in some]})
            known = set(rows.values_list(field, flat=True))
            orphans = [file for file in some if file.name not in known]
            _unlink(orphans)
            deleted += len(orphans)
    if deleted:
        logger.warning("files without an image deleted from the spool", extra={"deleted": deleted})
    return deleted


def _older_than(folder: Path, moment: float) -> Iterator[Path]:
    for file in folder.iterdir():
        with suppress(FileNotFoundError):  # deleted meanwhile
            if file.stat().st_mtime < moment:
                yield file
