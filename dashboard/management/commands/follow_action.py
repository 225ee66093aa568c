"""Show step by step what happened to an action and its item: received, answered, sent, imaged, reported to Manage."""

from argparse import ArgumentParser
from contextlib import suppress
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Q
from django.utils import timezone

from core.checks import GATEWAY
from dashboard.timeline import Entry, item_of_action, timeline_of, timeline_of_action
from relay.models import ReceivedAction
from worklist.models import WorklistItem


class Command(BaseCommand):
    """`python manage.py follow_action ID`"""

    help = __doc__
    requires_system_checks = (GATEWAY,)

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take any identifier that people have."""
        parser.add_argument("id", help="The action's ID, a correlation ID, or an accession number.")

    def handle(self, *args: Any, id: str, **options: Any) -> None:  # noqa: A002 - as people call it
        """Print the timeline; exit with 1 if nothing has this identifier."""
        if action := find_action(id):
            heading = f"{action.action_type} {action.action_id}: {action.outcome}"
            if action.accession_number:
                item = item_of_action(action)
                heading += f"\nItem {action.accession_number}: {item.status if item else 'not found'}"
            self._print(heading, timeline_of_action(action))
        elif item := WorklistItem.objects.filter(Q(accession_number=id) | Q(correlation_id=id)).first():
            self._print(f"Item {item.accession_number}: {item.status}", timeline_of(item))
        else:
            raise CommandError(f"No action and no item has the ID {id}")

    def _print(self, heading: str, entries: list[Entry]) -> None:
        self.stdout.write(f"{heading}\n\n")
        for entry in entries:
            self.stdout.write(f"{timezone.localtime(entry.at):%Y-%m-%d %H:%M:%S}  {entry.words}")


def find_action(identifier: str) -> ReceivedAction | None:
    """Find an action by its action ID, its ID in the admin, or a correlation ID: its own, or that of another try."""
    wanted = Q(action_id=identifier) | Q(correlation_id=identifier)
    with suppress(ValueError):
        wanted |= Q(pk=UUID(identifier))
    if found := ReceivedAction.objects.filter(wanted).first():
        return found
    again = Q(resends__correlation_id=identifier) | Q(reprocessings__correlation_id=identifier)
    return ReceivedAction.objects.filter(again).first()
