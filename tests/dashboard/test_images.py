"""Each woman's images on the live page, in `status`, in the timeline and in the metrics."""

from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from core.concerns import Severity, open_concerns
from core.heartbeat import check_daemon
from dashboard.images import ImageCounts
from dashboard.snapshot import take_snapshot
from dashboard.timeline import timeline_of
from images.decisions import discard
from images.models import ReceivedImage
from tests.dashboard.records import beat, configure_modality, item_of_today, run_all_daemons
from tests.dashboard.test_metrics import sample
from tests.images.received import stored
from tests.users import page
from worklist.models import WorklistItem

pytestmark = [pytest.mark.django_db, pytest.mark.once]

State, Reason = ReceivedImage.State, ReceivedImage.Reason


def image_of(item: WorklistItem, **changes: Any) -> ReceivedImage:
    """Store an image of an item."""
    return stored(item_id=item.pk, item_accession_number=item.accession_number, **changes)


def her_images() -> ImageCounts | None:
    """Return the counts in the row of the only woman."""
    ((row,),) = [room.rows for room in take_snapshot().rooms]
    return row.images


class TestHerRow:
    def test_says_nothing_without_images(self) -> None:
        item_of_today()
        assert her_images() is None

    def test_counts_what_was_received_what_manage_has_and_what_failed(self) -> None:
        item = item_of_today()
        image_of(item)
        image_of(item, state=State.UPLOADED)
        image_of(item, state=State.FAILED, reason=Reason.REFUSED)
        found = her_images()
        assert found == ImageCounts(received=3, with_manage=1, failed=1)
        assert (found.words, found.severity) == ("3 images, 1 with Manage, 1 failed", Severity.PROBLEM)

    def test_says_so_in_short_if_manage_has_all(self) -> None:
        image_of(item_of_today(), state=State.UPLOADED)
        found = her_images()
        assert found is not None
        assert (found.words, found.severity) == ("1 image, all with Manage", Severity.OK)

    def test_counts_an_image_that_only_names_her_item_as_held_back(self) -> None:
        number = item_of_today().accession_number
        stored(state=State.HELD, reason=Reason.ANOTHER_PATIENT, item_accession_number=number)
        assert her_images() == ImageCounts(received=1, held=1)

    def test_leaves_out_what_was_discarded_and_what_came_on_another_day(self) -> None:
        item = item_of_today()
        image_of(item, state=State.DISCARDED)
        image_of(item, received_at=timezone.now() - timedelta(days=2))
        assert her_images() is None

    def test_is_on_the_page(self, admin_client: Client) -> None:
        configure_modality()
        image_of(item_of_today(station_ae_title="MAMMO1"), state=State.FAILED, reason=Reason.REFUSED)
        assert "1 image, 1 failed" in page(admin_client, reverse("live-page"))


class TestTheDay:
    def test_is_counted_without_test_images(self) -> None:
        run_all_daemons()
        stored(state=State.UPLOADED)
        stored(received_at=timezone.now() - timedelta(minutes=3))
        stored(is_test=True)
        images = take_snapshot().images
        assert images is not None
        assert (images.counts.received, images.counts.with_manage, images.waiting) == (2, 1, 1)

    def test_is_in_status(self) -> None:
        run_all_daemons()
        stored(state=State.UPLOADED)
        output = StringIO()
        call_command("status", stdout=output)
        assert "1 image, all with Manage" in output.getvalue()


class TestTheTimeline:
    def test_tells_when_an_image_came_and_what_became_of_it(self) -> None:
        item = item_of_today()
        taken = timezone.now() + timedelta(seconds=2)
        image_of(item, state=State.UPLOADED, uploaded_at=taken, action_id="action-1")
        discard(image_of(item, image_laterality="L"), "admin:jane", "A repeat.")
        words = " | ".join(entry.words for entry in timeline_of(item))
        assert "Image RCC received from MAMMO1, 8,000,000 bytes" in words
        assert "Image RCC taken by Manage under action action-1" in words
        assert "Image LCC discarded by admin:jane" in words


class TestTheMetrics:
    def test_count_the_images_by_what_became_of_them(self, settings: Any, tmp_path: Path) -> None:
        settings.IMAGE_SPOOL_DIR = tmp_path
        stored(received_at=timezone.now() - timedelta(minutes=2))
        stored(state=State.FAILED, reason=Reason.REFUSED)
        stored(state=State.FAILED, reason=Reason.REFUSED, is_test=True)
        assert (sample("images_received_total"), sample("image_bytes_total")) == (3, 24_000_000)
        assert (sample("images", state="waiting"), sample("images_waiting")) == (1, 1)
        assert sample("images_failed", reason="refused") == 1
        assert (sample("images_oldest_waiting_seconds") or 0) >= 120
        assert sample("image_spool_free_bytes")

    def test_count_what_the_servers_refuse(self) -> None:
        beat("image_scp", "receiving", refused={"A700 disk": 2, "0124 not_allowed": 1})
        told = [("A700", "disk"), ("0124", "not_allowed"), ("C000", "unreadable")]
        found = [sample("images_refused_total", status=status, reason=reason) for status, reason in told]
        assert found == [2, 1, 0]

    def test_measure_the_time_from_the_machine_to_manage(self) -> None:
        for seconds in (1.5, 40):
            at = timezone.now() - timedelta(hours=1)
            stored(state=State.UPLOADED, received_at=at, uploaded_at=at + timedelta(seconds=seconds))
        assert sample("images_uploaded_total") == sample("image_upload_seconds_count") == 2
        assert sample("image_upload_seconds_bucket", le="2.0") == 1
        assert sample("image_upload_seconds_sum") == 41.5


@pytest.mark.parametrize(
    ("role", "key", "title"),
    [
        ("image_scp", "image_server", "Images: no image can be stored"),
        ("image_uploader", "image_uploader", "Images: no image can be sent"),
    ],
)
def test_a_process_whose_disk_fails_is_a_problem_with_its_reason(role: str, key: str, title: str) -> None:
    beat(role, "disk_fails", why="Not written to disk: Input/output error")
    (concern,) = [each for each in open_concerns(timezone.now()) if each.key == key]
    assert (concern.severity, concern.title) == (Severity.PROBLEM, title)
    assert concern.latest[0].words == "Not written to disk: Input/output error"
    assert not check_daemon(role)["ok"]
