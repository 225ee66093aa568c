"""Copies are made and sent to an emulated Manage, whatever stands in the way."""

import errno
import shutil
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from images.copies import CannotCopy
from images.failure_reports import queue_reports
from images.manage_api import ManageApi
from images.models import FailureReport, ReceivedImage, SpoolIdentity
from images.queue import LEASE
from images.spool import Spool, recognise
from images.uploader import Uploader
from nonprod.models import Appointment, ManageFailure, ManageImage
from tests.images.waiting import KnownItems, known_to_manage, order_fault, waiting_image, write_phantom

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("items")]

State, Reason = ReceivedImage.State, ReceivedImage.Reason


def copied(original: Path, copy: Path, longest_side: int, ratio: int) -> None:
    """Make a copy that is the original: small enough here, and Manage can decode it."""
    shutil.copy(original, copy)


def failing_with(error: Exception) -> Callable[..., None]:
    """Return a function that makes no copy."""

    def make_copy(*_: object) -> None:
        raise error

    return make_copy


@pytest.fixture
def item(items: KnownItems) -> Any:
    item = items.add()
    known_to_manage(item)
    return item


def received(spool: Spool, item: Any, view: str = "L CC", **values: Any) -> ReceivedImage:
    """Add an image that waits, with its file."""
    image = waiting_image(item, view, **values)
    write_phantom(spool.original(image.file), image)
    return image


class Clock:
    """The time of an uploader, at first one at which whatever a test adds is due; a test moves it."""

    def __init__(self) -> None:
        self.now = timezone.now() + timedelta(seconds=60)

    def __call__(self) -> Any:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def uploader(manage: ManageApi, spool: Spool, clock: Clock) -> Uploader:
    return Uploader(manage, spool, copied, threading.Event(), clock)


def settled(uploader: Uploader) -> None:
    """Work until nothing is due."""
    while uploader.work_once():
        pass


class TestUpload:
    def test_an_image_goes_to_manage_and_its_copy_stays(self, uploader: Uploader, spool: Spool, item: Any) -> None:
        image = received(spool, item)
        settled(uploader)
        image.refresh_from_db()
        assert (image.state, image.action_id, image.copy) == (State.UPLOADED, item.action_id, image.file)
        assert spool.copy(image.copy).is_file()
        assert ManageImage.objects.get().sop_instance_uid == image.sop_instance_uid

    def test_until_the_appointment_is_in_progress_it_is_tried_again(
        self, uploader: Uploader, spool: Spool, items: KnownItems, clock: Clock, settings: Any
    ) -> None:
        settings.AZURE_RELAY_NAMESPACE = "127.0.0.1:1"  # no gateway tells of any change
        item = items.add()
        known_to_manage(item, status="")
        image = received(spool, item)
        settled(uploader)
        assert ReceivedImage.objects.get().last_status == 500
        Appointment.objects.update(worklist_status="IN PROGRESS")
        clock.now += timedelta(seconds=2)
        settled(uploader)
        image.refresh_from_db()
        assert (image.state, image.attempts) == (State.UPLOADED, 2)

    def test_a_failed_image_does_not_hold_up_the_others(
        self, uploader: Uploader, spool: Spool, items: KnownItems, item: Any
    ) -> None:
        forbidden = items.add()  # Manage does not know its action
        received(spool, forbidden)
        received(spool, item)
        settled(uploader)
        assert sorted(ReceivedImage.objects.values_list("state", flat=True)) == [State.UPLOADED, State.WAITING]

    def test_the_line_is_away_for_long_and_comes_back(
        self, spool: Spool, item: Any, manage: ManageApi, clock: Clock, settings: Any
    ) -> None:
        settings.IMAGE_RETRY_SECONDS = 5
        for view in ("L CC", "R CC"):
            received(spool, item, view)
        uploader = Uploader(manage, spool, copied, threading.Event(), clock)
        order_fault(status=503, times=100)
        for _ in range(50):
            settled(uploader)
            clock.now += timedelta(seconds=5)
        assert set(ReceivedImage.objects.values_list("state", "attempts")) == {(State.WAITING, 50)}
        settled(uploader)
        assert set(ReceivedImage.objects.values_list("state", flat=True)) == {State.UPLOADED}
        assert ManageImage.objects.count() == 2

    def test_what_is_left_at_midnight_has_failed_and_is_reported(
        self, uploader: Uploader, spool: Spool, item: Any, clock: Clock
    ) -> None:
        received(spool, item)
        order_fault(status=503, times=1000)
        settled(uploader)
        clock.now = timezone.localtime(clock.now).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        settled(uploader)
        image = ReceivedImage.objects.get()
        assert (image.state, image.reason) == (State.FAILED, Reason.DAY_OVER)
        assert image.action_day == timezone.localdate()
        clock.now += timedelta(seconds=121)
        queue_reports(clock.now)
        assert FailureReport.objects.get().action_id == item.action_id


class TestWithoutACopy:
    def test_no_copy_can_be_made_and_manage_is_told(
        self, manage: ManageApi, spool: Spool, item: Any, clock: Clock
    ) -> None:
        received(spool, item)
        uploader = Uploader(manage, spool, failing_with(CannotCopy("damaged")), threading.Event(), clock)
        settled(uploader)
        image = ReceivedImage.objects.get()
        assert (image.state, image.reason, image.last_error) == (State.FAILED, Reason.NO_COPY, "damaged")
        clock.now += timedelta(seconds=121)
        queue_reports(clock.now)
        settled(uploader)
        assert "1 not sent" in ManageFailure.objects.get(action_id=item.action_id).error

    def test_an_image_after_the_report_fails_and_says_so(
        self, manage: ManageApi, spool: Spool, item: Any, clock: Clock
    ) -> None:
        self.test_no_copy_can_be_made_and_manage_is_told(manage, spool, item, clock)
        late = received(spool, item, "R CC", received_at=clock.now, next_attempt_at=clock.now)
        settled(Uploader(manage, spool, copied, threading.Event(), clock))
        late.refresh_from_db()
        assert (late.state, late.reason) == (State.FAILED, Reason.AFTER_REPORT)

    @pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("a fault")])
    def test_what_may_pass_is_tried_again(
        self, manage: ManageApi, spool: Spool, item: Any, clock: Clock, error: Exception
    ) -> None:
        received(spool, item)
        settled(Uploader(manage, spool, failing_with(error), threading.Event(), clock))
        image = ReceivedImage.objects.get()
        assert (image.state, image.lease_until) == (State.WAITING, None)
        clock.now += timedelta(seconds=2)
        settled(Uploader(manage, spool, copied, threading.Event(), clock))
        assert ReceivedImage.objects.get().state == State.UPLOADED

    def test_a_lost_file_is_a_failure(self, uploader: Uploader, spool: Spool, item: Any) -> None:
        recognise(spool, marks=True)
        spool.original(received(spool, item).file).unlink()
        settled(uploader)
        image = ReceivedImage.objects.get()
        assert (image.state, image.reason) == (State.FAILED, Reason.FILE_LOST)

    def test_in_another_folder_no_file_is_lost_and_people_are_told_until_it_is_the_right_one(
        self, uploader: Uploader, spool: Spool, item: Any, clock: Clock
    ) -> None:
        recognise(spool, marks=True)
        received(spool, item)
        aside = spool.root.rename(spool.root.with_name("aside"))
        spool.prepare()
        settled(uploader)
        assert uploader.check_spool()
        image = ReceivedImage.objects.get()
        why = f"IMAGE_SPOOL_DIR is not the folder with spool-id {SpoolIdentity.objects.get().spool_id}"
        assert (image.state, image.last_error) == (State.WAITING, f"The spool cannot be used: {why}")
        assert uploader.spool_problem == why
        received(spool, item, "R CC")
        assert not uploader.work_once(), "it leaves the images to uploaders that have the spool"
        shutil.rmtree(spool.root)
        aside.rename(spool.root)
        clock.now += timedelta(seconds=2)
        assert not uploader.check_spool()
        settled(uploader)
        assert ReceivedImage.objects.get(pk=image.pk).state == State.UPLOADED

    def test_a_spool_that_is_not_there_is_none(self, uploader: Uploader, spool: Spool, item: Any) -> None:
        received(spool, item)
        shutil.rmtree(spool.root)
        settled(uploader)
        assert ReceivedImage.objects.get().state == State.WAITING


class TestLeases:
    def test_a_slow_upload_keeps_its_lease(self, manage: ManageApi, spool: Spool, item: Any, clock: Clock) -> None:
        received(spool, item)
        renewed: list[Any] = []

        def slow_copy(original: Path, copy: Path, *_: int) -> None:
            clock.now += LEASE / 2
            slow.renew_leases()
            renewed.append(ReceivedImage.objects.get().lease_until)
            shutil.copy(original, copy)

        slow = Uploader(manage, spool, slow_copy, threading.Event(), clock)
        settled(slow)
        assert renewed == [clock.now + LEASE]

    def test_two_uploaders_send_each_image_once(self, manage: ManageApi, spool: Spool, items: KnownItems) -> None:
        for _ in range(5):
            item = items.add()
            known_to_manage(item)
            for view in ("L CC", "R CC"):
                received(spool, item, view)
        stopping = threading.Event()
        uploaders = [Uploader(manage, spool, copied, stopping) for _ in range(2)]
        for uploader in uploaders:
            uploader.start()
        done = threading.Event()
        while ReceivedImage.objects.exclude(state=State.UPLOADED).exists():
            assert all(uploader.is_working() for uploader in uploaders)
            done.wait(0.2)
        stopping.set()
        for uploader in uploaders:
            uploader.join(30)
        assert set(ManageImage.objects.values_list("times_received", flat=True)) == {1}
        assert ManageImage.objects.count() == 10
