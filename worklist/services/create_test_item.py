"""Create and discontinue test items, with which staff check that a modality gets its worklist.

Every name and number in a test item shows that there is no patient.
"""

import secrets
from datetime import date

from django.db import transaction
from django.utils import timezone

from core.audit import Auditor
from core.contract import ItemStatus
from core.correlation import correlated, correlation_id, new_correlation_id
from worklist.models import WorklistItem
from worklist.performed_step.exceptions import CannotResolve
from worklist.performed_step.item_status_update import recompute_status
from worklist.performed_step.linking import lock_items
from worklist.services.create_worklist_item import new_identifiers

PREFIX = "TEST"
#: The NHS issues no number that begins with 999.
TEST_PATIENT = {
    "patient_id": "9999999999",
    "patient_name": "TEST^ITEM",
    "patient_birth_date": date(1970, 1, 1),
    "patient_sex": "F",
    "study_description": "TEST - NO PATIENT",
}


def create_test_item(station_ae_title: str, modality: str, actor: str) -> WorklistItem:
    """Create an item for now, for one modality, or for all if the AE title is empty."""
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
            **TEST_PATIENT,
            **new_identifiers(),
        )
        Auditor(actor).create_unless_known(item)
    return item


@transaction.atomic
def discontinue_test_item(item: WorklistItem, actor: str) -> None:
    """Take a test item off the worklist, as if Manage had discontinued it; CannotResolve for a patient's item."""
    (locked,) = lock_items([item.pk])
    if not locked.is_test:
        raise CannotResolve("It is not a test item: only Manage can discontinue a patient's item")
    recompute_status(locked, actor, from_manage=ItemStatus.DISCONTINUED)
