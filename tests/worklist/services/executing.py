"""Execute actions as the dispatcher does."""

from typing import Any

from django.db import transaction

from core.contract import GatewayAction, Reply, repaired, validate
from core.correlation import correlated
from nonprod.manage_emulator import update_status_action
from worklist.services.create_worklist_item import create_worklist_item
from worklist.services.update_worklist_item_status import update_worklist_item_status


def action(content: dict[str, Any]) -> GatewayAction:
    """Return the action after repairing and validating it."""
    accepted = repaired(GatewayAction(content, content["action_type"], content["action_id"]))
    validate(accepted.payload)
    return accepted


def create(content: dict[str, Any]) -> Reply:
    """Execute a worklist.create_item as the dispatcher does, in a transaction and with a correlation id."""
    with correlated("0123456789abcdef"), transaction.atomic():
        return create_worklist_item(action(content))


def update(accession_number: str, status: str) -> Reply:
    """Execute a worklist.update_status."""
    with transaction.atomic():
        return update_worklist_item_status(action(update_status_action(accession_number, status)))
