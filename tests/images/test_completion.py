"""Items of machines without MPPS are completed so long after their last image."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from images.completion import complete_items
from tests.factories import create
from tests.images.received import stored
from tests.worklist.performed_step.reports import create_step, scheduled_step
from worklist.models import WorklistItem
from worklist.performed_step.images import image_received

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _after_ten_minutes(settings: Any) -> None:
    settings.IMAGE_COMPLETED_AFTER_MINUTES = 10


def item_with_images(*minutes_ago: int) -> WorklistItem:
    """Create an item with images that came so long ago."""
    item = create()
    for minutes in minutes_ago:
        at = timezone.now() - timedelta(minutes=minutes)
        stored(item_id=item.pk, received_at=at)
        image_received(item.pk, at)
    return item


def status(item: WorklistItem) -> str:
    """Return the item's status as it is stored."""
    item.refresh_from_db()
    return item.status


class TestCompleting:
    def test_waits_until_no_image_has_come_for_so_long(self) -> None:
        quiet, busy = item_with_images(30, 11), item_with_images(30, 9)
        assert complete_items(timezone.now()) == 1
        assert (status(quiet), status(busy)) == ("COMPLETED", "IN PROGRESS")

    def test_happens_once(self) -> None:
        item_with_images(11)
        assert [complete_items(timezone.now()) for _ in range(2)] == [1, 0]

    def test_leaves_an_item_to_the_machine_that_reports_it(self) -> None:
        item = item_with_images(11)
        create_step("1.1", scheduled_step(item))
        assert complete_items(timezone.now()) == 0
        assert status(item) == "IN PROGRESS"

    def test_is_off_by_default(self, settings: Any) -> None:
        settings.IMAGE_COMPLETED_AFTER_MINUTES = 0
        item_with_images(11)
        assert complete_items(timezone.now()) == 0
