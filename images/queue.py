"""Queue the images for Manage: which is sent next by whom, under which action, and what follows from the answer.

Several uploaders on several machines share the queue. A row is claimed by a conditional update, which succeeds for
only one of two at the same instant, and is held by a lease. While an uploader works, it renews the lease; if it is
killed, the lease expires and another takes the row over. An uploader that has lost its lease writes no result. The
clocks of the hosts must agree to within LEASE.

**The action.** Manage knows a Study under one action only. So once an image of a Study was taken under an action, the
others of the same item go under it, too; likewise while an attempt under it today may have left something in Manage.
Until then it is the newest confirmed action of the item. Manage takes an image only on the day of the action.
"""

import logging
import random
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias, TypeVar

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from core.database import serialise_on
from core.instance import instance_name
from core.large_tables import midnight
from images.answers import Answer, Outcome
from images.items import Action, Item, worklist
from images.linking import LONGEST_PATIENT_ID, is_perhaps_of_before
from images.models import FailureReport, Queued, ReceivedImage

logger = logging.getLogger(__name__)

State: TypeAlias = ReceivedImage.State
Reason: TypeAlias = ReceivedImage.Reason
Row = TypeVar("Row", bound=Queued)

#: How long a claimed row stays with an uploader that does not renew the lease.
LEASE = timedelta(seconds=60)
#: How many rows are tried for one claim, in case others take the first ones.
CANDIDATES = 20
#: Seconds to wait after the first attempt, and the factor by which each further wait is longer.
FIRST_WAIT, GROWTH = 2.0, 1.6
#: How soon to look again whether a failure report that is being sent has arrived.
REPORT_WAIT = timedelta(seconds=5)


# Claims and leases ----------------------------------------------------------------------------------------------------


def claim_image(now: datetime) -> ReceivedImage | None:
    """Return an image that is due, with a lease; None if nothing is."""
    return claim(ReceivedImage.objects.filter(state=State.WAITING), now)


def claim(rows: QuerySet[Row], now: datetime) -> Row | None:
    """Return the row that has been due the longest, with a lease; None if no row is due."""
    found = due(rows, now)
    for key in list(found.order_by("next_attempt_at").values_list("pk", flat=True)[:CANDIDATES]):
        if claim_row(found, key, now):
            return rows.get(pk=key)
    return None


def due(rows: QuerySet[Row], now: datetime) -> QuerySet[Row]:
    """Return the rows that are due and not under a lease."""
    return rows.filter(free(now), next_attempt_at__lte=now)


def free(now: datetime) -> Q:
    """Return the condition that a row is not under a lease."""
    return Q(lease_until=None) | Q(lease_until__lte=now)


def claim_row(rows: QuerySet[Row], key: Any, now: datetime) -> bool:
    """Lease a row if it is still among these; of two uploaders at the same instant, one succeeds."""
    # One name for each claim: a process that slept through its lease is not its own successor.
    holder = f"{instance_name()}:{secrets.token_hex(4)}"
    return bool(rows.filter(pk=key).update(attempts=F("attempts") + 1, lease_until=now + LEASE, leased_by=holder))


def under_lease(row: Queued) -> QuerySet[Any]:
    """Return the row if nobody has taken its lease over, and no person has taken the image out of the queue."""
    rows: QuerySet[Any] = type(row)._default_manager.filter(pk=row.pk, leased_by=row.leased_by)
    return rows.filter(state=State.WAITING) if isinstance(row, ReceivedImage) else rows


def renew(row: Queued, now: datetime) -> bool:
    """Extend the lease; return False if it has been lost."""
    return bool(under_lease(row).update(lease_until=now + LEASE))


def settle(row: Queued, **changes: Any) -> bool:
    """End the lease and write what became of the row; return False if the lease has been lost."""
    if not under_lease(row).update(lease_until=None, leased_by="", updated_at=timezone.now(), **changes):
        return False
    for name, value in changes.items():
        setattr(row, name, value)
    return True


def retry_at(attempts: int, now: datetime, *, slower: bool = False) -> datetime:
    """Return when to try again: later after each attempt, with jitter, but before the day has ended.

    At midnight everything is due, as an image of yesterday's action has then failed.
    """
    longest = float(settings.IMAGE_RETRY_SECONDS)
    seconds = longest if slower else min(longest, FIRST_WAIT * GROWTH ** min(attempts - 1, 50))
    wait = timedelta(seconds=seconds * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret
    return min(now + wait, max(now, midnight(timezone.localdate(now) + timedelta(days=1))))


# The action -----------------------------------------------------------------------------------------------------------


#: Images that name an action because an attempt under it may have left something with Manage.
MAY_BE_WITH_MANAGE = Q(state__in=(State.WAITING, State.HELD)) | Q(state=State.DISCARDED, reason=Reason.PERHAPS_SENT)


def action_of(image: ReceivedImage, now: datetime) -> Action:
    """Return the action that an image has to go under now. Call it in a transaction that holds the Study."""
    item = worklist().item(image.item_id) if image.item_id else None
    of_study = ReceivedImage.objects.filter(study_instance_uid=image.study_instance_uid).exclude(action_id="")
    reported = FailureReport.objects.filter(action_id=OuterRef("action_id"), delivered_at__isnull=False)
    attempted_today = of_study.filter(~Exists(reported), MAY_BE_WITH_MANAGE, action_day=timezone.localdate(now))
    for known in (of_study.filter(state=State.UPLOADED), attempted_today):
        for other in known.order_by("received_at"):
            # A unit may give two women one Study Instance UID, and a person may link its images to different items.
            if other.item_id == image.item_id or _is_item(other, item):
                return Action(other.action_id, other.action_day)
    return Action(item.action_id, item.action_day) if item else Action()


def _is_item(image: ReceivedImage, item: Item | None) -> bool:
    """Tell whether an image belongs to this item, or to one that it has superseded."""
    current = worklist().item(image.item_id) if image.item_id else None
    return current is not None and item is not None and current.id == item.id


@dataclass(frozen=True)
class Hindrance:
    """Why an image cannot be sent now: the state that it gets, or WAITING if it is to be tried again soon."""

    state: State
    reason: Reason | None = None


def hindrance(image: ReceivedImage, action: Action, now: datetime) -> Hindrance | None:
    """Return why an image cannot be sent under its action; None if it can."""
    item = worklist().item(image.item_id) if image.item_id else None
    if item and is_perhaps_of_before(image, item):
        return Hindrance(State.HELD, Reason.PUT_BACK)
    if not action.id:
        return Hindrance(State.NOT_SENT, Reason.NO_ACTION)
    if len(image.patient_id) > LONGEST_PATIENT_ID:
        return Hindrance(State.FAILED, Reason.LONG_PATIENT_ID)
    if (action.day or timezone.localdate(image.received_at)) < timezone.localdate(now):
        return Hindrance(State.FAILED, Reason.DAY_OVER)
    report = FailureReport.objects.filter(action_id=action.id).first()
    if report and report.delivered_at:
        return Hindrance(State.FAILED, Reason.AFTER_REPORT)
    is_on_its_way = report and report.lease_until and report.lease_until > now
    return Hindrance(State.WAITING) if is_on_its_way else None


#: Hindrances that another action of Manage's ends, as when it sends the woman again.
OVERCOME_BY_A_NEW_ACTION = frozenset({Reason.DAY_OVER, Reason.AFTER_REPORT})


def hindrance_now(image: ReceivedImage, now: datetime) -> Reason | None:
    """Return which of those hindrances an image of an item has now; None without one."""
    hindered = hindrance(image, action_of(image, now), now)
    return hindered.reason if hindered and hindered.reason in OVERCOME_BY_A_NEW_ACTION else None


def ready_to_send(image: ReceivedImage, now: datetime, *, on_its_way: bool) -> Action | None:
    """Return the action that a claimed image may be sent under; settle the image and return None if it may not.

    `on_its_way` notes the action in the row, so that the other images of the Study go under the same.
    """
    with action_chosen(image, now) as action:
        hindered = hindrance(image, action, now)
        if hindered is None:
            noted = {"action_id": action.id, "action_day": action.day} if on_its_way else {}
            is_ours = bool(under_lease(image).update(lease_until=now + LEASE, **noted))
            return action if is_ours else None
        if hindered.state == State.WAITING:
            settle(image, next_attempt_at=now + REPORT_WAIT)
        elif hindered.state == State.HELD:  # under the action of an earlier attempt only, as Manage may know it
            end(image, Action(image.action_id, image.action_day), State.HELD, hindered.reason or "")
        else:
            end(image, action, hindered.state, hindered.reason or "")
    return None


@contextmanager
def action_chosen(image: ReceivedImage, now: datetime) -> Iterator[Action]:
    """Choose the action of an image; others wait to choose for its Study, or to report its action, until the end."""
    with transaction.atomic():
        serialise_on(f"study {image.study_instance_uid}")
        action = action_of(image, now)
        serialise_on(action_lock(action.id))
        yield action


def action_lock(action_id: str) -> str:
    """Return the name on which images and the failure report of an action are serialised."""
    return f"images of action {action_id}"


# Results --------------------------------------------------------------------------------------------------------------

#: Outcome of an upload → the image's final state and why. After any other outcome the image is sent again.
ENDS: dict[Outcome, tuple[State, Reason | str]] = {
    Outcome.TAKEN: (State.UPLOADED, ""),
    Outcome.NEVER: (State.FAILED, Reason.REFUSED),
    Outcome.OUR_FAULT: (State.FAILED, Reason.OUR_FAULT),
}


def end(image: ReceivedImage, action: Action, state: State, reason: Reason | str, **changes: Any) -> bool:
    """Write the final state of a claimed image; return False if the lease has been lost."""
    outcome = {"state": state, "reason": reason, "action_id": action.id, "action_day": action.day}
    is_written = settle(image, **outcome, next_attempt_at=None, **changes)
    if is_written and state != State.UPLOADED:
        level = logging.ERROR if reason == Reason.OUR_FAULT else logging.WARNING
        logger.log(level, "image not sent to Manage", extra={**extra_of(image), "state": state, "reason": reason})
    return is_written


def try_again(image: ReceivedImage, now: datetime, error: str) -> bool:
    """Have a claimed image tried again later, as nothing could be sent; return False if the lease has been lost."""
    return settle(image, next_attempt_at=retry_at(image.attempts, now), last_outcome="", last_error=error[:200])


def columns_of(answer: Answer) -> dict[str, Any]:
    """Return what the columns of a row keep of an answer."""
    return {"last_outcome": answer.outcome.value, "last_status": answer.status, "last_error": answer.error[:200]}


def apply_answer(image: ReceivedImage, action: Action, answer: Answer, now: datetime) -> bool:
    """Write what follows from Manage's answer to an image; return False if the lease has been lost."""
    if answer.outcome in ENDS:
        taken = {"uploaded_at": now} if answer.outcome is Outcome.TAKEN else {}
        state, reason = ENDS[answer.outcome]
        is_written = end(image, action, state, reason, **columns_of(answer), **taken)
        if is_written and answer.outcome is Outcome.TAKEN:
            wake_others(image, now)
        return is_written
    slower = answer.outcome is Outcome.SLOWER
    # If something may be with Manage, the next attempt goes under the same action: this one's, or an earlier attempt's,
    # which was in the row when it was claimed.
    earlier = Action(image.action_id, image.action_day)
    under = {Outcome.UNKNOWN: action, Outcome.SLOWER: Action()}.get(answer.outcome, earlier)
    is_written = settle(
        image,
        next_attempt_at=retry_at(image.attempts, now, slower=slower),
        action_id=under.id,
        action_day=under.day,
        **columns_of(answer),
    )
    if slower:
        # Manage does not take this action: the next attempt may go under a newer one. Without its day an action no
        # longer decides under which the Study goes, but it still says that Manage may have an image.
        others = ReceivedImage.objects.filter(study_instance_uid=image.study_instance_uid, action_id=action.id)
        others.filter(MAY_BE_WITH_MANAGE, free(now)).update(action_day=None)
    logger.info("image will be sent again", extra={**extra_of(image), "status": answer.status, "why": answer.error})
    return is_written


def wake_others(image: ReceivedImage, now: datetime) -> None:
    """Make due the images that waited for the same reason: those of the same Study, and those without a connection.

    An image to which Manage gave no answer keeps its own waits: it may be what holds Manage up.
    """
    waiting = ReceivedImage.objects.filter(state=State.WAITING, next_attempt_at__gt=now, attempts__gt=0)
    of_study = Q(study_instance_uid=image.study_instance_uid, last_status__isnull=False)
    had_no_connection = Q(last_outcome=Outcome.NOT_ARRIVED.value)
    waiting.filter(free(now), of_study | had_no_connection).update(next_attempt_at=now)


def extra_of(image: ReceivedImage) -> dict[str, Any]:
    """Return what a log line says about an image."""
    return {"image": str(image.pk), "attempts": image.attempts, "correlation_id": image.correlation_id}
