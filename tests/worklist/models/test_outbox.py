"""Reading the outbox is noted, though not every time."""

from typing import Any

import pytest

from core.contract import GatewayAction
from worklist.models import OutboxReader
from worklist.services.changes_since import changes_since


@pytest.mark.django_db
class TestOutboxReader:
    def test_notes_how_far_the_changes_have_been_read(self) -> None:
        changes_since(GatewayAction({}, "worklist.changes_since", None))
        assert OutboxReader.objects.get().number == 0

    def test_keeps_the_furthest_change(self) -> None:
        for number in (7, 3):
            OutboxReader.objects.note(number)
        assert OutboxReader.objects.get().number == 7

    def test_is_not_written_for_every_question(self, django_assert_num_queries: Any) -> None:
        OutboxReader.objects.note(7)
        with django_assert_num_queries(1):
            OutboxReader.objects.note(7)
