"""Owns test items: a person sees with them that a machine gets its list, and that nobody is meant is plain in each."""

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
from worklist.performed_step.linking import lock
from worklist.services.create_worklist_item import IDENTIFIERS

PREFIX = "TEST"
#: Whose items they are. The NHS gives no number that begins with 999.
NOBODY = {
    "patient_id": "9999999999",
    "patient_name": "TEST^ITEM",
    "patient_birth_date": date(1970, 1, 1),
    "patient_sex": "F",
    "study_description": "TEST - NO PATIENT",
}


def is_test_item(item: WorklistItem) -> bool:
    """Whether it was made here."""
    return item.accession_number.startswith(PREFIX) and item.patient_id == NOBODY["patient_id"]


def create_test_item(station_ae_title: str, modality: str, actor: str) -> WorklistItem:
    """A new item for now, for one machine, or for any where there is no AE title."""
    now = timezone.localtime()
    with correlated(new_correlation_id()), transaction.atomic():
        item = WorklistItem(
            accession_number=f"{PREFIX}{now:%y%m%d}{secrets.token_hex(3).upper()}",
            scheduled_date=now.date(),
            scheduled_time=now.time().replace(second=0, microsecond=0),
            station_ae_title=station_ae_title,
            modality=modality,
            correlation_id=correlation_id(),
            **NOBODY,
            **{name: make() for name, make in IDENTIFIERS.items()},
        )
        Auditor(actor).create_unless_known(item)
    return item


@transaction.atomic
def discontinue_test_item(item: WorklistItem, actor: str) -> None:
    """A test item leaves the lists, as if Manage had discontinued it; CannotResolve for a woman's."""
    (locked,) = lock([item.pk])
    if not is_test_item(locked):
        raise CannotResolve("It is no test item: only Manage takes a woman off the list")
    recompute_status(locked, actor, from_manage=ItemStatus.DISCONTINUED)
