"""Tell Manage about images that it will not get: once for each action, and as the last word on it.

Manage takes no image under an action after its report. So a report is sent only when no image of the action waits or is
on its way, and none has come for IMAGE_FAILURE_DELAY_SECONDS. Until it is on its way, it is withdrawn if a person has
the failed images sent again.
"""

import logging
from collections import Counter
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from core.database import serialise_on
from core.statements import insert_unless_known
from images.answers import Answer, Outcome
from images.models import FailureReport, ReceivedImage
from images.queue import action_lock, action_of, claim_row, columns_of, due, retry_at, settle

logger = logging.getLogger(__name__)

State, Reason = ReceivedImage.State, ReceivedImage.Reason

#: Images are kept for 90 days at most; nobody has older ones sent again, and all have been reported.
LOOKED_BACK = timedelta(days=91)
#: How soon to look again whether the images of an action have come to rest.
BUSY_WAIT = timedelta(seconds=5)


def queue_reports(now: datetime) -> int:
    """Queue a report for each action with a failed image, and withdraw those without one; return how many changed."""
    recent = ReceivedImage.objects.filter(state=State.FAILED, received_at__gte=now - LOOKED_BACK)
    for image in recent.filter(action_id="", item_id__isnull=False):  # failed before it came into the queue
        action = action_of(image, now)
        recent.filter(pk=image.pk, action_id="").update(action_id=action.id, action_day=action.day)
    failed = recent.exclude(action_id="")
    reported = FailureReport.objects.filter(action_id=OuterRef("action_id"))
    unreported = failed.filter(~Exists(reported)).order_by().values_list("action_id", flat=True).distinct()
    new = [
        insert_unless_known(FailureReport(action_id=action_id, next_attempt_at=now)) for action_id in list(unreported)
    ]
    waiting = FailureReport.objects.filter(next_attempt_at__isnull=False, lease_until=None)
    withdrawn, _ = waiting.filter(~Exists(failed.filter(action_id=OuterRef("action_id")))).delete()
    return sum(new) + withdrawn


def claim_report(now: datetime) -> FailureReport | None:
    """Return a report that is due and may be sent now, with a lease and its sentence; None if there is none."""
    for report in list(due(FailureReport.objects.all(), now).order_by("next_attempt_at")):
        with transaction.atomic():
            serialise_on(action_lock(report.action_id))
            free = due(FailureReport.objects.filter(pk=report.pk), now)
            if is_busy(report.action_id, now):
                free.update(next_attempt_at=now + BUSY_WAIT)
                continue
            free.update(sentence=sentence_of(report.action_id))
            if claim_row(free, report.pk, now):
                return FailureReport.objects.get(pk=report.pk)
    return None


def is_busy(action_id: str, now: datetime) -> bool:
    """Tell whether an image of the action waits, is on its way or has come just now; the report would shut it out."""
    of_action = ReceivedImage.objects.filter(action_id=action_id)
    related = Q(action_id=action_id) | Q(study_instance_uid__in=of_action.values("study_instance_uid"))
    related |= Q(item_id__in=of_action.filter(item_id__isnull=False).values("item_id"))
    quiet_since = now - timedelta(seconds=settings.IMAGE_FAILURE_DELAY_SECONDS)
    return ReceivedImage.objects.filter(related, Q(state=State.WAITING) | Q(received_at__gt=quiet_since)).exists()


def sentence_of(action_id: str) -> str:
    """Return what Manage shows to its support: how many images failed and why, without patient data."""
    images = ReceivedImage.objects.filter(action_id=action_id)
    failed = Counter(images.filter(state=State.FAILED).order_by("reason").values_list("reason", flat=True))
    taken = images.filter(state=State.UPLOADED).count()
    why = "; ".join(f"{Reason(reason).label if reason else 'unknown'} ({count})" for reason, count in failed.items())
    return f"Screening gateway: {failed.total()} not sent, {taken} sent. Why: {why}"[:200]


def apply_report_answer(report: FailureReport, answer: Answer, now: datetime) -> bool:
    """Write what follows from Manage's answer to a claimed report; return False if the lease has been lost."""
    extra = {"report": str(report.pk), "status": answer.status, "why": answer.error}
    if answer.outcome is Outcome.TAKEN:
        logger.info("failure reported to Manage", extra=extra)
        return settle(report, delivered_at=now, next_attempt_at=None, **columns_of(answer))
    if answer.outcome in {Outcome.NEVER, Outcome.OUR_FAULT}:
        logger.error("failure cannot be reported to Manage", extra=extra)
        return settle(report, next_attempt_at=None, **columns_of(answer))
    logger.info("failure will be reported to Manage again", extra=extra)
    return settle(report, next_attempt_at=retry_at(report.attempts, now), **columns_of(answer))
