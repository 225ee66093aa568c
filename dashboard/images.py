"""Count today's images, and describe the daemons that receive and send them; nothing where images are off.

The app `images` may not be installed (IMAGES=off), so its model is looked up and never imported.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.apps import apps
from django.db.models import Count, Min, QuerySet
from django.utils import timezone

from core.concerns import Severity
from core.heartbeat import DAEMONS
from core.large_tables import midnight
from core.models import Heartbeat
from core.wording import count_of
from dashboard.daemons import DaemonStatus, StateWords, daemon_status

RECEIVER, UPLOADER = "image_scp", "image_uploader"
RECEIVER_WORDS = {
    "receiving": StateWords(Severity.OK, "Receiving images"),
    "disk_fails": StateWords(
        Severity.PROBLEM,
        "No image can be stored",
        "The machines keep their images, and repeat them later. Support: check the disk of IMAGE_SPOOL_DIR. "
        "Images are received again as soon as it can be written to.",
    ),
    "": StateWords(
        Severity.PROBLEM,
        "Not receiving images",
        "The machines cannot send images to the gateway, and repeat them later. Support: start run_image_scp.",
    ),
}
UPLOADER_WORDS = {
    "uploading": StateWords(Severity.OK, "Sending to Manage"),
    "disk_fails": StateWords(
        Severity.PROBLEM,
        "No image can be sent",
        "Images wait. None is lost, but those that have not been sent by midnight fail. Support: check that "
        "IMAGE_SPOOL_DIR is the folder that run_image_scp writes to, and that its disk is mounted. Images are then "
        "sent without a restart.",
    ),
    "": StateWords(
        Severity.PROBLEM,
        "Not sending to Manage",
        "Images wait. None is lost, but those that have not been sent by midnight fail. Support: start "
        "run_image_uploader.",
    ),
}


@dataclass(frozen=True)
class ImageCounts:
    """How many images have arrived, and what has become of them."""

    received: int = 0
    with_manage: int = 0
    failed: int = 0
    held: int = 0
    unlinked: int = 0

    @property
    def words(self) -> str:
        """Return the counts in words: `4 images, 3 with Manage, 1 failed`."""
        parts = {
            "with Manage": self.with_manage,
            "failed": self.failed,
            "held back": self.held,
            "without an item": self.unlinked,
        }
        states = [f"{count} {state}" for state, count in parts.items() if count]
        if self.received and self.with_manage == self.received:
            states = ["all with Manage"]
        return ", ".join([count_of(self.received, "image"), *states])

    @property
    def severity(self) -> Severity:
        """Return PROBLEM if an image does not reach Manage, or may be another woman's."""
        return Severity.PROBLEM if self.failed or self.held else Severity.OK


@dataclass(frozen=True)
class ImagesToday:
    """Today's images, and the two daemons that receive and send them."""

    counts: ImageCounts
    waiting: int
    oldest_waiting: datetime | None
    receiver: DaemonStatus
    uploader: DaemonStatus

    @property
    def severity(self) -> Severity:
        """Return the severity of the worse of the two daemons."""
        both = (self.receiver.severity, self.uploader.severity)
        return Severity.PROBLEM if Severity.PROBLEM in both else Severity.OK

    @property
    def daemons(self) -> tuple[DaemonStatus, DaemonStatus]:
        """The daemon that receives images, and the one that sends them to Manage."""
        return self.receiver, self.uploader


def are_images_on() -> bool:
    """Tell whether the app that deals with images is installed."""
    return apps.is_installed("images")


def received_images() -> QuerySet[Any]:
    """Return all images that were received; only where images are on."""
    rows: QuerySet[Any] = apps.get_model("images", "ReceivedImage")._default_manager.all()
    return rows


def free_bytes_for_images() -> int | None:
    """Return the free space on the disk of the images; None if it is not on this machine."""
    from images.spool import spool  # noqa: PLC0415 - only where images are on

    try:
        return spool().free_bytes()
    except OSError:
        return None


def counts_by_number(now: datetime) -> Mapping[str, ImageCounts]:
    """Return today's images by the accession number of the item that they belong to or name."""
    if not are_images_on():
        return {}
    tallies: dict[str, Counter[str]] = defaultdict(Counter)
    rows = _of_today(now).exclude(item_accession_number="").values_list("item_accession_number", "state")
    for number, state, count in rows.annotate(found=Count("*")):
        tallies[number][state] = count
    return {number: _counts(found) for number, found in tallies.items()}


def images_today(beats: Iterable[Heartbeat], now: datetime) -> ImagesToday | None:
    """Describe today's images; None where images are off."""
    if not are_images_on():
        return None
    by_state = _of_today(now).filter(is_test=False).values_list("state").annotate(found=Count("*"))
    waiting = received_images().filter(state="waiting", is_test=False).order_by()
    queue = waiting.aggregate(images=Count("*"), oldest=Min("received_at"))
    receiver, uploader = image_daemons(beats, now)
    return ImagesToday(
        counts=_counts(Counter(dict(by_state))),
        waiting=queue["images"],
        oldest_waiting=queue["oldest"],
        receiver=receiver,
        uploader=uploader,
    )


def image_daemons(beats: Iterable[Heartbeat], now: datetime) -> tuple[DaemonStatus, DaemonStatus]:
    """Describe the daemon that receives images, and the one that sends them to Manage."""
    known = [beat for beat in beats if beat.role in DAEMONS]
    receiver = daemon_status(RECEIVER, RECEIVER_WORDS, "", known, now)
    return receiver, daemon_status(UPLOADER, UPLOADER_WORDS, "", known, now)


def _of_today(now: datetime) -> QuerySet[Any]:
    today = midnight(timezone.localtime(now).date())
    return received_images().filter(received_at__gte=today).exclude(state="discarded").order_by()


def _counts(found: Counter[str]) -> ImageCounts:
    return ImageCounts(found.total(), found["uploaded"], found["failed"], found["held"], found["unlinked"])
