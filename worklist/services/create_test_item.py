"""Create test items for staff, who check with them that a modality gets its worklist, and end all old test items.

Every name and number in a test item that is made here shows that there is no patient. Test items from Manage
(`worklist.create_test_item`) are created as other items are, by create_worklist_item.py.
"""

import secrets
import threading
from datetime import date, timedelta

from django.db import transaction
from django.utils import timezone

from core.audit import Auditor
from core.contract import ItemStatus
from core.correlation import correlated, correlation_id, new_correlation_id
from core.regular_check import RegularCheck
from worklist.models import WorklistItem
from worklist.models.items import OPEN
from worklist.performed_step.item_status_update import recompute_status
from worklist.performed_step.linking import lock_items
from worklist.performed_step.mpps_exceptions import DecisionRefused
from worklist.services.create_worklist_item import new_identifiers

PREFIX = "TEST"
#: A test item that waits ends this long after it was made; one that a machine has begun, this long after it began.
ENDS_AFTER = timedelta(hours=1)
CHECK_SECONDS = 60.0
#: The NHS issues no number that begins with 999.
TEST_PATIENT = {
    "patient_id": "9999999999",
    "patient_name": "ZZTEST^NOT A PATIENT",
    "patient_birth_date": date(1970, 1, 1),
    "patient_sex": "F",
    "study_description": "TEST - NO PATIENT",
}


def create_test_item(station_ae_title: str, modality: str, actor: str) -> WorklistItem:
    """Create a test item for now: for one real machine, or for the test machines if the AE title is empty."""
    now = timezone.localtime()
    with correlated(new_correlation_id()), transaction.atomic():
        item = WorklistItem(
            accession_number=f"{PREFIX}{now:%y%m%d}{secrets.token_hex(3).upper()}",
            scheduled_date=now.date(),
            scheduled_time=now.time().replace(second=0, microsecond=0),
            station_ae_title=station_ae_title,
            modality=modality,
            correlation_id=correlation_id(),
            is_test=True,
            proves_ae_title=station_ae_title,
            **TEST_PATIENT,
            **new_identifiers(),
        )
        Auditor(actor).create_unless_known(item)
    return item


@transaction.atomic
def discontinue_test_item(item: WorklistItem, actor: str) -> None:
    """Take a test item off the worklist, as if Manage had discontinued it; DecisionRefused for a patient's item."""
    (locked,) = lock_items([item.pk])
    if not locked.is_test:
        raise DecisionRefused("It is not a test item: only Manage can discontinue a patient's item")
    if locked.status not in OPEN:
        raise DecisionRefused("A machine has already ended it")
    recompute_status(locked, actor, from_manage=ItemStatus.DISCONTINUED)


@transaction.atomic
def end_old_test_items() -> int:
    """Discontinue test items that have waited, or been in progress, longer than ENDS_AFTER; return how many."""
    before = timezone.now() - ENDS_AFTER
    old = WorklistItem.objects.open().filter(is_test=True, created_at__lt=before)
    due = old.exclude(status=ItemStatus.IN_PROGRESS, updated_at__gte=before)
    # A machine may have completed one just before the lock: leave it alone.
    items = [item for item in lock_items(due.values_list("pk", flat=True)) if item.status in OPEN]
    for item in items:
        recompute_status(item, "gateway", from_manage=ItemStatus.DISCONTINUED)
    return len(items)


def old_test_items_check(stopping: threading.Event) -> RegularCheck:
    """Return the thread that ends old test items until `stopping` is set."""
    return RegularCheck("old test items", end_old_test_items, CHECK_SECONDS, stopping)
