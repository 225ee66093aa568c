"""Find what needs attention among the images: whose they are, what Manage does not get, and space on the disk.

Images of test items are not counted, and nor are those whose files are deleted: nobody can do anything about them.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone

from core.admin import admin_url
from core.concerns import COUNTED, LISTED, Concern, Occurrence, Severity, grouped
from core.large_tables import counted
from core.wording import count_of
from images.models import ReceivedImage
from images.spool import spool

State, Reason = ReceivedImage.State, ReceivedImage.Reason

VIEW = "images.view_receivedimage"
#: The reasons for which an image may be another woman's.
PERHAPS_ANOTHER_WOMANS = (Reason.ANOTHER_PATIENT, Reason.SEVERAL_ITEMS, Reason.TEST_MACHINE)
#: An image has waited too long for Manage after this time, and much too long after the other.
LONG, TOO_LONG = timedelta(minutes=10), timedelta(hours=1)
#: Manage's HTTP statuses for a gateway or an action that it does not accept.
NOT_ACCEPTED = (401, 403)
#: Files that nobody has decided about are announced this long before they are deleted.
ANNOUNCED = timedelta(days=1)
#: There is little space left while it is less than so many times the reserve.
LITTLE_SPACE = 2


class FailureWording(NamedTuple):
    """How the images that failed for one reason are worded."""

    title: str
    what_to_do: str


SEE_WHY = "Open the image to see why. Tell Manage’s support if the pictures are needed; the PACS has the originals."
FAILURES = {
    Reason.NO_COPY: FailureWording(
        "no copy could be made", "Check at the machine that the image is complete, and send it again from there."
    ),
    Reason.LONG_PATIENT_ID: FailureWording(
        "the NHS number is too long for Manage",
        "Correct her NHS number at the machine: 10 digits without spaces. Then send the image again from there.",
    ),
    Reason.REFUSED: FailureWording("Manage refused them", SEE_WHY),
    Reason.FILE_LOST: FailureWording("their files are lost", "Send the images again from the machine."),
}


def of_patients() -> QuerySet[ReceivedImage]:
    """Return the images of patients whose files are still there, the latest first."""
    return ReceivedImage.objects.filter(is_test=False, deleted_at=None).order_by("-received_at")


def perhaps_another_womans(now: datetime) -> Iterator[Concern]:
    """Yield the images that are held back because they may be another woman's."""
    rows = of_patients().filter(state=State.HELD, reason__in=PERHAPS_ANOTHER_WOMANS)
    words = "An image may be another woman’s: it names {}, but {}"
    latest = tuple(
        Occurrence(
            words.format(image.item_accession_number, image.get_reason_display()),
            admin_url(image),
            words.format("an item", image.get_reason_display()),
            image.received_at,
        )
        for image in rows[:LISTED]
    )
    yield _of_images(
        rows,
        {"state__exact": State.HELD},
        latest,
        key="image_another_patient",
        severity=Severity.PROBLEM,
        title="Images that may be another woman’s",
        what_to_do="Stop work at that machine. Check whose image it is, tell the PACS team, and link or discard it.",
        one_by_one=True,
    )


def held_versions(now: datetime) -> Iterator[Concern]:
    """Yield the images that came before with other content."""
    rows = of_patients().filter(state=State.HELD, reason=Reason.ANOTHER_VERSION)
    yield _of_images(
        rows,
        {"state__exact": State.HELD, "reason__exact": Reason.ANOTHER_VERSION},
        key="image_another_version",
        severity=Severity.WARNING,
        title="{} sent again by a machine with other content",
        what_to_do="Find out at the machine which one is right. Send it again here, and discard the other one.",
    )


def unlinked_images(now: datetime) -> Iterator[Concern]:
    """Yield the images that belong to no item, and apart from them those that are soon deleted."""
    rows = of_patients().filter(state=State.UNLINKED)
    kept = timedelta(days=settings.IMAGE_KEEP_UNLINKED_DAYS)
    soon = now - kept + ANNOUNCED
    page = {"state__exact": State.UNLINKED}
    ending, others = rows.filter(received_at__lt=soon), rows.filter(received_at__gte=soon)
    yield _of_images(
        ending,
        page,
        key="images_deleted_soon",
        severity=Severity.WARNING,
        title="{} of no item, to be deleted within a day",
        what_to_do="Link them to the women’s items now, or discard them.",
    )
    yield _of_images(
        others,
        page,
        key="images_unlinked",
        severity=Severity.WARNING,
        title="{} of no item on the worklist",
        what_to_do=f"Link them to the women’s items, or discard them. They are kept for {count_of(kept.days, 'day')}.",
    )


def failed_images(now: datetime) -> Iterator[Concern]:
    """Yield the images that Manage does not get, by reason; those that a day has ended for, by day."""
    rows = of_patients().filter(state=State.FAILED)
    late = rows.filter(reason=Reason.DAY_OVER)
    if latest := late.first():
        day = timezone.localtime(latest.received_at)
        yield _of_images(
            late,
            {"state__exact": State.FAILED, "reason__exact": Reason.DAY_OVER},
            key="images_day_over",
            severity=Severity.PROBLEM,
            title=f"{{}} of {day.day} {day:%B} had not reached Manage when the day ended",
            what_to_do="Manage takes them no more. Tell Manage’s support, and look at the pictures in the PACS.",
        )
    for reason, images, count in grouped(rows.exclude(reason=Reason.DAY_OVER), "reason"):
        wording = FAILURES.get(Reason(reason)) if reason else None
        title = wording.title if wording else images[0].get_reason_display() or "for another reason"
        yield Concern(
            key="images_failed",
            severity=Severity.PROBLEM,
            title=f"{count_of(count, 'image')} did not reach Manage: {title}",
            what_to_do=wording.what_to_do if wording else SEE_WHY,
            permission=VIEW,
            count=count,
            latest=_occurrences(images),
            link=_list({"state__exact": State.FAILED, **({"reason__exact": reason} if reason else {})}),
        )


def waiting_images(now: datetime) -> Iterator[Concern]:
    """Yield the images that have waited too long for Manage, and those that it does not accept from this gateway."""
    waiting = of_patients().filter(state=State.WAITING).order_by("received_at")
    page = {"state__exact": State.WAITING}
    refused = waiting.filter(last_status__in=NOT_ACCEPTED)
    yield _of_images(
        refused,
        page,
        key="images_not_accepted",
        severity=Severity.WARNING,
        title="{} not accepted by Manage at present",
        what_to_do="They are sent again until the day ends. Manage’s support can check the gateway’s identity.",
    )
    late = waiting.exclude(last_status__in=NOT_ACCEPTED).filter(received_at__lt=now - LONG)
    oldest = late.first()
    if oldest is not None:
        minutes = int((now - oldest.received_at).total_seconds() // 60)
        yield _of_images(
            late,
            page,
            key="images_waiting",
            severity=Severity.PROBLEM if now - oldest.received_at > TOO_LONG else Severity.WARNING,
            title=f"{{}} waiting for Manage, for up to {count_of(minutes, 'minute')}",
            what_to_do="They are sent as soon as Manage answers, until the day ends. If this lasts, call support.",
        )


def disk_space(now: datetime) -> Iterator[Concern]:
    """Yield a concern while the disk of the images is short of space."""
    try:
        free = spool().free_bytes()
    except OSError:  # the images are on another machine, or none has come yet
        return
    reserve = settings.IMAGE_MIN_FREE_BYTES
    if free >= LITTLE_SPACE * reserve:
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
        link=_list({}),
    )


CONCERNS = (
    perhaps_another_womans,
    failed_images,
    disk_space,
    waiting_images,
    held_versions,
    unlinked_images,
)


def _of_images(
    rows: QuerySet[ReceivedImage],
    page: Mapping[str, str],
    latest: tuple[Occurrence, ...] | None = None,
    *,
    title: str,
    **words: Any,
) -> Concern:
    """Return a concern about these images; `title` has {} for their number."""
    latest = _occurrences(rows) if latest is None else latest
    count = counted(rows, COUNTED) if len(latest) == LISTED else len(latest)
    words["title"] = title.format(count_of(count, "image"))
    return Concern(permission=VIEW, count=count, latest=latest, link=_list(page), **words)


def _occurrences(images: Any) -> tuple[Occurrence, ...]:
    return tuple(
        Occurrence(
            f"{image} of {image.item_accession_number or image.accession_number or 'no number'}",
            admin_url(image),
            str(image),
            image.received_at,
        )
        for image in images[:LISTED]
    )


def _list(query: Mapping[str, str]) -> str:
    return reverse("admin:images_receivedimage_changelist", query={name: str(value) for name, value in query.items()})
