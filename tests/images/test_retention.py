"""Which files are deleted from the spool, and when."""

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from images.models import ReceivedImage
from images.retention import delete_expired, expiring_soon, make_room, settle_orphans
from images.spool import Spool, WrongSpool, recognise
from tests.images.waiting import KnownItems, waiting_image

pytestmark = pytest.mark.django_db

State, Reason = ReceivedImage.State, ReceivedImage.Reason
NOW = timezone.now()
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class SmallDisk(Spool):
    """A spool on a disk that holds `capacity` bytes."""

    capacity = 1 << 40

    def free_bytes(self) -> int:
        files = [file for folder in (self.originals, self.copies) for file in folder.iterdir()]
        return self.capacity - sum(file.stat().st_size for file in files)


@pytest.fixture
def spool(tmp_path: Path) -> SmallDisk:
    made = SmallDisk(tmp_path / "spool")
    made.prepare()
    return made


def stored(spool: Spool, state: str, **values: Any) -> ReceivedImage:
    """Add an image in a state, with an original of 1000 bytes, and a copy where Manage has one."""
    image = waiting_image(KnownItems().add(), state=state, **values)
    spool.original(image.file).write_bytes(bytes(1000))
    if state == State.UPLOADED:
        ReceivedImage.objects.filter(pk=image.pk).update(copy=image.file)
        spool.copy(image.file).write_bytes(bytes(10))
    return image


def files(spool: Spool) -> tuple[int, int]:
    """Return the number of originals and of copies."""
    return len(list(spool.originals.iterdir())), len(list(spool.copies.iterdir()))


class TestInTime:
    def test_what_manage_has_goes_after_a_day_with_its_copy(self, spool: SmallDisk) -> None:
        stored(spool, State.UPLOADED, uploaded_at=NOW)
        assert delete_expired(spool, NOW + 23 * HOUR) == 0
        assert delete_expired(spool, NOW + 24 * HOUR) == 1
        assert files(spool) == (0, 0)
        image = ReceivedImage.objects.get()
        assert (image.state, image.file, image.copy, image.deleted_at) == (State.UPLOADED, "", "", NOW + 24 * HOUR)

    @pytest.mark.parametrize("state", [State.FAILED, State.NOT_SENT, State.UNLINKED, State.HELD])
    def test_what_a_person_might_want_goes_after_a_week_told_the_day_before(self, spool: SmallDisk, state: str) -> None:
        stored(spool, state, received_at=NOW)
        assert not expiring_soon(NOW + 5 * DAY).exists()
        assert expiring_soon(NOW + 6 * DAY).exists()
        assert delete_expired(spool, NOW + 7 * DAY - HOUR) == 0
        assert delete_expired(spool, NOW + 7 * DAY) == 1
        assert files(spool) == (0, 0)
        assert not expiring_soon(NOW + 7 * DAY).exists()

    def test_what_nobody_linked_has_expired(self, spool: SmallDisk) -> None:
        stored(spool, State.UNLINKED, received_at=NOW)
        delete_expired(spool, NOW + 7 * DAY)
        image = ReceivedImage.objects.get()
        assert (image.state, image.reason) == (State.DISCARDED, Reason.EXPIRED)

    def test_what_a_person_discards_goes_a_day_later(self, spool: SmallDisk) -> None:
        stored(spool, State.DISCARDED, received_at=NOW - 3 * DAY, decided_at=NOW)
        assert delete_expired(spool, NOW + 23 * HOUR) == 0
        assert delete_expired(spool, NOW + 24 * HOUR) == 1

    def test_what_comes_again_meanwhile_stays(self, spool: SmallDisk) -> None:
        class ReceivingDisk(SmallDisk):
            def original(self, name: str) -> Path:
                ReceivedImage.objects.update(received_at=NOW + 7 * DAY)
                return super().original(name)

        recognise(spool, marks=True)
        stored(spool, State.HELD, received_at=NOW)
        assert delete_expired(ReceivingDisk(spool.root), NOW + 7 * DAY) == 0
        assert files(spool) == (1, 0)

    def test_what_waits_never_goes(self, spool: SmallDisk) -> None:
        stored(spool, State.WAITING, received_at=NOW)
        assert delete_expired(spool, NOW + 1000 * DAY) == 0
        assert files(spool) == (1, 0)


class TestShortOfSpace:
    def test_originals_that_manage_has_go_the_oldest_first(self, spool: SmallDisk, settings: Any) -> None:
        settings.IMAGE_MIN_FREE_BYTES = 1000
        new = stored(spool, State.UPLOADED, uploaded_at=NOW)
        stored(spool, State.UPLOADED, uploaded_at=NOW - HOUR)
        for state in (State.WAITING, State.HELD, State.FAILED, State.UNLINKED):
            stored(spool, state)
        spool.capacity = 6 * 1000 + 20 + 1000
        assert make_room(spool, NOW) == 1
        assert files(spool) == (5, 2)
        assert spool.original(new.file).exists()

    def test_nothing_else_goes_however_short_it_is(self, spool: SmallDisk, settings: Any) -> None:
        settings.IMAGE_MIN_FREE_BYTES = 1 << 40
        for state in (State.WAITING, State.HELD, State.FAILED, State.UNLINKED):
            stored(spool, state)
        assert make_room(spool, NOW) == 0
        assert files(spool) == (4, 0)


class TestOrphans:
    def age(self, file: Path, age: timedelta = 2 * HOUR) -> None:
        """Make a file this old."""
        os.utime(file, ((NOW - age).timestamp(),) * 2)

    def test_an_old_file_without_a_row_is_deleted(self, spool: SmallDisk) -> None:
        known = stored(spool, State.WAITING)
        for folder, age in ((spool.originals, 7 * DAY + HOUR), (spool.copies, 2 * HOUR)):
            (folder / "old.dcm").write_bytes(b"")
            (folder / "new.dcm").write_bytes(b"")
            self.age(folder / "old.dcm", age)
        self.age(spool.original(known.file), 8 * DAY)
        assert settle_orphans(spool, NOW) == 2
        assert {file.name for file in spool.originals.iterdir()} == {known.file, "new.dcm"}
        assert {file.name for file in spool.copies.iterdir()} == {"new.dcm"}

    def test_with_an_empty_database_nothing_is_deleted(self, spool: SmallDisk) -> None:
        spool.original("old.dcm").write_bytes(b"")
        self.age(spool.original("old.dcm"))
        assert settle_orphans(spool, NOW) == 0
        assert spool.original("old.dcm").exists()

    def test_a_row_without_its_file_has_failed(self, spool: SmallDisk) -> None:
        lost = stored(spool, State.WAITING)
        spool.original(lost.file).unlink()
        stored(spool, State.WAITING)
        assert settle_orphans(spool, NOW) == 1
        lost.refresh_from_db()
        assert (lost.state, lost.reason, lost.next_attempt_at) == (State.FAILED, Reason.FILE_LOST, None)

    def test_a_row_whose_copy_can_be_sent_has_not_failed(self, spool: SmallDisk) -> None:
        image = stored(spool, State.WAITING, copy="a.dcm")
        stored(spool, State.WAITING)
        spool.copy("a.dcm").write_bytes(bytes(10))
        spool.original(image.file).unlink()
        assert settle_orphans(spool, NOW) == 0

    def test_an_original_without_a_row_is_kept_for_a_week(self, spool: SmallDisk) -> None:
        stored(spool, State.WAITING)
        spool.original("since_the_backup.dcm").write_bytes(b"")
        self.age(spool.original("since_the_backup.dcm"), 6 * DAY)
        assert settle_orphans(spool, NOW) == 0

    @pytest.mark.parametrize("act", [settle_orphans, delete_expired, make_room])
    def test_in_another_folder_nothing_is_concluded_or_deleted(
        self, spool: SmallDisk, tmp_path: Path, act: Callable[[Spool, datetime], int]
    ) -> None:
        recognise(spool, marks=True)
        stored(spool, State.WAITING)
        empty = SmallDisk(tmp_path / "not mounted")
        empty.prepare()
        with pytest.raises(WrongSpool):
            act(empty, NOW)
        assert ReceivedImage.objects.get().state == State.WAITING

    def test_after_an_update_a_folder_with_none_of_the_files_is_another_one(
        self, spool: SmallDisk, tmp_path: Path
    ) -> None:
        stored(spool, State.WAITING)
        empty = SmallDisk(tmp_path / "not mounted")
        empty.prepare()
        with pytest.raises(WrongSpool):
            recognise(empty, marks=True)
        recognise(spool, marks=True)
        assert spool.read_id()

    def test_without_a_spool_nothing_is_concluded(self, tmp_path: Path) -> None:
        waiting_image(KnownItems().add())
        with pytest.raises(WrongSpool):
            settle_orphans(Spool(tmp_path / "not mounted"), NOW)
        assert ReceivedImage.objects.get().state == State.WAITING
