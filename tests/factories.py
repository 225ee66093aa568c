"""Create actions and worklist items for tests, valid unless a test changes them."""

import copy
from datetime import date, time
from typing import Any

import factory
from django.db import transaction

from core.contract import GatewayAction
from nonprod.manage_emulator import create_item_action
from worklist.models import WorklistItem
from worklist.services.create_worklist_item import create_worklist_item


def payload(**item_changes: Any) -> dict[str, Any]:
    """Return a worklist.create_item action with a new action_id and accession number.

    `participant__name=…` changes one value; None removes it.
    """
    action = create_item_action()
    for path, value in item_changes.items():
        set_at(action["parameters"]["worklist_item"], path, value)
    return action


def set_at(item: dict[str, Any], path: str, value: Any) -> None:
    """Set the value at a path such as `participant__name`; None removes the key."""
    *parents, last = path.split("__")
    for parent in parents:
        item = item.setdefault(parent, {})
    if value is None:
        item.pop(last, None)
    else:
        item[last] = copy.deepcopy(value)


class WorklistItemFactory(factory.django.DjangoModelFactory[WorklistItem]):
    """An item scheduled at 14:30."""

    class Meta:
        model = WorklistItem

    accession_number = factory.Sequence(lambda n: f"ACC{n:06}")
    patient_id = factory.Sequence(lambda n: f"999{n:07}")
    patient_name = "SMITH^JANE"
    patient_birth_date = date(1970, 3, 21)
    patient_sex = "F"
    scheduled_date = date(2026, 11, 23)
    scheduled_time = time(14, 30)
    station_ae_title = "MAMMO1"
    modality = "MG"
    study_description = "Screening Mammography"
    study_instance_uid = factory.Sequence(lambda n: f"2.25.{n + 1}")
    requested_procedure_id = factory.Sequence(lambda n: f"RP{n:014}")
    scheduled_procedure_step_id = factory.Sequence(lambda n: f"SP{n:014}")
    correlation_id = factory.Sequence(lambda n: f"correlation-{n}")


def create(**values: Any) -> WorklistItem:
    """Create an item in the database."""
    return WorklistItemFactory.create(**values)


def item_of_an_action(**changes: Any) -> WorklistItem:
    """Create an item through an action, as Manage does."""
    content = payload(**changes)
    with transaction.atomic():
        create_worklist_item(GatewayAction(content, content["action_type"], content["action_id"]))
    return WorklistItem.objects.get()
