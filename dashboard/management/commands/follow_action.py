"""Says step by step what happened to an action and its item: received, answered, shown, performed, told to Manage."""

from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Q

from dashboard.timeline import Entry, item_of, line, timeline_of, timeline_of_action
from relay.models import ReceivedAction
from worklist.models import WorklistItem


class Command(BaseCommand):
    """`python manage.py follow_action ID`"""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which action."""
        parser.add_argument("id", help="The action's id, a correlation id, or an accession number.")

    def handle(self, *args: Any, id: str, **options: Any) -> None:  # noqa: A002 - as people call it
        """Print its timeline; exit 1 where nothing has this id."""
        if action := action_with(id):
            self._tell(_heading(action), timeline_of_action(action))
        elif item := WorklistItem.objects.filter(Q(accession_number=id) | Q(correlation_id=id)).first():
            self._tell(f"Item {item.accession_number}: {item.status}", timeline_of(item))
        else:
            raise CommandError(f"Nothing that came, and no item, has the id {id}")

    def _tell(self, heading: str, entries: list[Entry]) -> None:
        self.stdout.write(f"{heading}\n\n")
        for entry in entries:
            self.stdout.write(line(entry))


def action_with(identifier: str) -> ReceivedAction | None:
    """The action of an action id, a correlation id (of a resend or another try, too) or the admin's own id."""
    wanted = Q(action_id=identifier) | Q(correlation_id=identifier)
    if found := ReceivedAction.objects.filter(wanted | _by_key(identifier)).first():
        return found
    again = Q(resends__correlation_id=identifier) | Q(reprocessings__correlation_id=identifier)
    return ReceivedAction.objects.filter(again).first()


def _by_key(identifier: str) -> Q:
    try:
        return Q(pk=UUID(identifier))
    except ValueError:
        return Q()


def _heading(action: ReceivedAction) -> str:
    words = f"{action.action_type} {action.action_id}: {action.outcome}"
    if not action.accession_number:
        return words
    item = item_of(action)
    return f"{words}\nItem {action.accession_number}: {item.status if item else 'there is none'}"
