"""Find what needs attention among the images: whose they are, which ones Manage does not get, and disk space.

Neither images of test items nor images whose files are deleted are counted: nobody can do anything about them.
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.db.models import Case, Q, Value, When
from django.utils import timezone

from core.concerns import COUNTED, LISTED, Concern, Occurrence, Severity
from core.large_tables import AtLeast
from core.links import admin_url, page_url
from core.wording import count_of
from images.models import ReceivedImage
from images.retention import NOTICE, SHORT, expiring_soon
from images.spool import spool

State, Reason = ReceivedImage.State, ReceivedImage.Reason

VIEW = "images.view_receivedimage"
#: After the first of these times an image has waited too long for Manage, after the second much too long.
LONG, TOO_LONG = timedelta(minutes=10), timedelta(hours=1)
#: Manage's HTTP statuses for a gateway or an action that it does not accept.
NOT_ACCEPTED = (401, 403)

#: If there are too many images to count, the worst are counted first.
WORST_FIRST = Case(When(state=State.HELD, then=Value(0)), When(state=State.FAILED, then=Value(1)), default=Value(2))
SEE_WHY = "Open the image to see why. Tell Manage’s support if the pictures are needed; the PACS has the originals."
#: Why images failed → what to do about them.
FAILED = {
    Reason.NO_COPY: "Look at the picture in the PACS. Sending the same image again changes nothing; if it is whole, "
    "give support its SOP Instance UID.",
    Reason.LONG_PATIENT_ID: "Correct her NHS number at the machine, to 10 digits, and send the image again from there.",
    Reason.FILE_LOST: "Send the images again from the machine.",
    Reason.DAY_OVER: "Manage no longer takes them. Tell Manage’s support, and look at the pictures in the PACS.",
}


class Kind(NamedTuple):
    """One kind of thing that can be wrong with images; `title` has {} for their number."""

    key: str
    severity: Severity
    title: str
    what_to_do: str
    one_by_one: bool = False


MAY_BE_ANOTHER_WOMANS = Kind(
    "image_another_patient",
    Severity.PROBLEM,
    "{} that may be another woman’s",
    "Stop work at that machine. Check whose image it is, tell the PACS team, and link or discard it.",
    one_by_one=True,
)
ANOTHER_VERSION = Kind(
    "image_another_version",
    Severity.WARNING,
    "{} sent again by a machine with other content",
    "Find out at the machine which one is right. Manage keeps the first that it gets: call its support to change it.",
)
OF_ITEM_PUT_BACK = Kind(
    "images_put_back",
    Severity.WARNING,
    "{} held back: taken before their item was put back on the list",
    "Find out whose they are: link them to the right item, or discard them. If they are hers and were taken later, the "
    "machine’s clock may be wrong.",
)
OF_NO_ITEM = Kind(
    "images_unlinked",
    Severity.WARNING,
    "{} without an item on the worklist",
    "Link them to the women’s items, or discard them.",
)
DELETED_SOON = Kind(
    "images_deleted_soon",
    Severity.WARNING,
    "{} without an item, to be deleted within a day",
    "Link them to the women’s items now, or discard them.",
)
REFUSED_NOW = Kind(
    "images_not_accepted",
    Severity.WARNING,
    "{} not accepted by Manage at present",
    "They are sent again until the day ends. Manage’s support can check the gateway’s identity and the action.",
)
OF_NO_ACTION = Kind(
    "images_of_no_action",
    Severity.WARNING,
    "{} of an item that no action of Manage’s made",
    "Manage does not get them. Send the woman from Manage, and link the images to her new item.",
)
LATE = Kind(
    "images_waiting",
    Severity.WARNING,
    "{} waiting for Manage for more than 10 minutes",
    "They are sent as soon as Manage answers, until the day ends. If this lasts, call support.",
)
VERY_LATE = LATE._replace(severity=Severity.PROBLEM, title="{} waiting for Manage for more than an hour")

#: Why images are held back → what is wrong; for any other reason they may be another woman's.
HELD: dict[str, Kind] = {Reason.ANOTHER_VERSION: ANOTHER_VERSION, Reason.PUT_BACK: OF_ITEM_PUT_BACK}


def kind_of(image: ReceivedImage, now: datetime) -> Kind:
    """Return what is wrong with an image."""
    if image.state == State.HELD:
        return HELD.get(image.reason, MAY_BE_ANOTHER_WOMANS)
    if image.state == State.UNLINKED:
        deleted_at = image.received_at + timedelta(days=settings.IMAGE_KEEP_UNLINKED_DAYS)
        return DELETED_SOON if deleted_at - now < NOTICE else OF_NO_ITEM
    if image.state == State.FAILED:
        return _failure(image)
    if image.state == State.NOT_SENT:
        return OF_NO_ACTION
    if image.last_status in NOT_ACCEPTED:
        return REFUSED_NOW
    return VERY_LATE if now - image.received_at > TOO_LONG else LATE


def _failure(image: ReceivedImage) -> Kind:
    reason = Reason(image.reason) if image.reason else None
    what_to_do = FAILED.get(reason, SEE_WHY) if reason else SEE_WHY
    if reason == Reason.DAY_OVER:
        day = image.action_day or timezone.localtime(image.received_at).date()
        title = f"{{}} of {day.day} {day:%B} had not reached Manage when the day ended"
        return Kind("images_day_over", Severity.PROBLEM, title, what_to_do)
    title = f"{{}} did not reach Manage ({reason.label if reason else 'reason unknown'})"
    return Kind("images_failed", Severity.PROBLEM, title, what_to_do)


def image_concerns(now: datetime) -> Iterator[Concern]:
    """Yield a concern for each kind of thing that is wrong with images of patients, in one query."""
    waiting = Q(state=State.WAITING) & (Q(received_at__lt=now - LONG) | Q(last_status__in=NOT_ACCEPTED))
    rows = ReceivedImage.objects.filter(is_test=False, deleted_at=None).filter(
        Q(state__in=(State.HELD, State.UNLINKED, State.FAILED, State.NOT_SENT)) | waiting
    )
    found = list(rows.order_by(WORST_FIRST, "-received_at")[: COUNTED + 1])
    count = AtLeast if len(found) > COUNTED else int
    kinds: dict[Kind, list[ReceivedImage]] = defaultdict(list)
    for image in found[:COUNTED]:
        kinds[kind_of(image, now)].append(image)
    for kind, images in kinds.items():
        query = {"state__exact": images[0].state}
        if images[0].state == State.FAILED:
            query["reason__exact"] = images[0].reason
        yield Concern(
            key=kind.key,
            severity=kind.severity,
            title=kind.title.format(count_of(count(len(images)), "image")),
            what_to_do=kind.what_to_do,
            permission=VIEW,
            count=count(len(images)),
            latest=tuple(_occurrence(image) for image in images[:LISTED]),
            link=page_url("admin:images_receivedimage_changelist", query=query),
            one_by_one=kind.one_by_one,
        )


def _occurrence(image: ReceivedImage) -> Occurrence:
    words, number = str(image), image.item_accession_number or image.accession_number or "no number"
    if image.state == State.HELD:
        words = f"An image may be another woman’s: {image.get_reason_display()}"
    return Occurrence(f"{words} ({number})", admin_url(image), words, image.received_at)


def disk_space(now: datetime) -> Iterator[Concern]:
    """Yield a concern while the disk of the images is short of space."""
    try:
        free = spool().free_bytes()
    except OSError:  # the spool is on another host, or has not been made yet
        return
    reserve = settings.IMAGE_MIN_FREE_BYTES
    if free >= SHORT * reserve:
        return
    is_full = free < reserve
    title = "The disk is full: no image is received" if is_full else "The disk for images is nearly full"
    yield Concern(
        key="image_disk",
        severity=Severity.PROBLEM if is_full else Severity.WARNING,
        title=f"{title} ({free / (1 << 30):.1f} GiB free)",
        what_to_do="Support: make space on the disk of IMAGE_SPOOL_DIR. The machines keep their images meanwhile.",
        permission=VIEW,
        count=1,
        latest=(),
        link=page_url("admin:images_receivedimage_changelist"),
    )


def undecided_deleted_soon(now: datetime) -> Iterator[Concern]:
    """Yield a concern while images that Manage does not get are about to be deleted, besides those that say why.

    The concern about images without an item says so itself.
    """
    undecided = expiring_soon(now).filter(is_test=False).exclude(state=State.UNLINKED)
    found = list(undecided.order_by("received_at")[: COUNTED + 1])
    count = (AtLeast if len(found) > COUNTED else int)(len(found[:COUNTED]))
    yield Concern(
        key="failed_images_deleted_soon",
        severity=Severity.WARNING,
        title=f"{count_of(count, 'image')} that Manage may not have, to be deleted within a day",
        what_to_do="Check that the PACS has them. What Manage still needs can be sent again until then.",
        permission=VIEW,
        count=count,
        latest=tuple(_occurrence(image) for image in found[:LISTED]),
        link=page_url("admin:images_receivedimage_changelist", query={"state__exact": found[0].state if found else ""}),
    )


CONCERNS = (image_concerns, undecided_deleted_soon, disk_space)
