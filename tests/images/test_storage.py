"""C-STORE: what is kept, what is refused, and that a refusal leaves nothing behind."""

import errno
import hashlib
import logging
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID

from dicom.models import Modality
from images.arrival_rate import BURST_SECONDS, ArrivalRate
from images.models import ReceivedImage
from images.phantoms import Phantom
from nonprod.modality_emulator.encodings import TRANSFER_SYNTAXES, encoded
from tests.dicom.raw import AFFECTED_UID, ERROR_COMMENT, abort, command_set, data, message, us
from tests.dicom.serving import all_ended
from tests.factories import WorklistItemFactory
from tests.images.receiving import (
    STORE_CONTEXT,
    Receiver,
    data_set_of,
    image,
    receiving,
    store_request,
    storing,
)
from tests.processes import PATIENCE
from tests.worklist_fixtures import database_down  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db(transaction=True)

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    """An image server."""
    with receiving(tmp_path / "spool") as running:
        yield running


class TestAnImage:
    @pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES.values(), ids=TRANSFER_SYNTAXES)
    def test_is_kept_as_it_is_in_each_transfer_syntax(self, receiver: Receiver, syntax: UID) -> None:
        sent = encoded(image(), syntax)
        assert receiver.store(sent).Status == 0x0000
        row = ReceivedImage.objects.get()
        (file,) = receiver.files()
        assert file == receiver.spool.original(row.file)
        kept = dcmread(file)
        assert kept == sent
        assert kept.file_meta.TransferSyntaxUID == row.transfer_syntax_uid == syntax
        assert kept.file_meta.MediaStorageSOPInstanceUID == row.sop_instance_uid == sent.SOPInstanceUID

    def test_has_a_row_that_says_what_it_is(self, receiver: Receiver) -> None:
        sent = image()
        answer = receiver.store_raw(data_set_of(sent), sent)
        assert (answer.status, answer.text(AFFECTED_UID)) == (0x0000, sent.SOPInstanceUID)
        row = ReceivedImage.objects.get()
        assert (row.sop_class_uid, row.study_instance_uid) == (sent.SOPClassUID, sent.StudyInstanceUID)
        assert (row.accession_number, row.patient_id, row.calling_ae_title) == ("ACC1", "9990000001", "MAMMO1")
        assert (row.image_laterality, row.view_position, row.version) == ("L", "CC", 1)
        assert row.state == ReceivedImage.State.UNLINKED
        assert row.digest == hashlib.sha256(data_set_of(sent)).hexdigest()
        assert row.size == receiver.spool.original(row.file).stat().st_size

    def test_keeps_all_its_accession_numbers_uncut(self, receiver: Receiver) -> None:
        sent, requested = image(), Dataset()
        requested.AccessionNumber = "ACC2"
        sent.RequestAttributesSequence = [requested]
        sent["AccessionNumber"]._value = "X" * 20
        assert receiver.store_raw(data_set_of(sent), sent).status == 0x0000
        assert ReceivedImage.objects.get().accession_numbers == ("X" * 20, "ACC2")

    def test_is_for_this_user_alone(self, receiver: Receiver) -> None:
        receiver.store(image())
        (file,) = receiver.files()
        modes = {path.stat().st_mode & 0o777 for path in (file.parent, file.parent.parent)}
        assert (file.stat().st_mode & 0o777, modes) == (0o600, {0o700})

    def test_of_an_item_is_told_to_the_worklist(self, receiver: Receiver) -> None:
        item = WorklistItemFactory.create(accession_number="ACC1", patient_id="9990000001")
        receiver.store(image())
        assert ReceivedImage.objects.get().item_id == item.id
        item.refresh_from_db()
        assert item.status == "IN PROGRESS"

    def test_is_in_the_log_without_the_patient(self, receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        sent = image()
        receiver.store(sent)
        (line,) = [vars(each) for each in caplog.records if each.getMessage() == "image received"]
        assert (line["status"], line["sop_instance_uid"], line["calling_ae_title"]) == (
            "0000",
            sent.SOPInstanceUID,
            "MAMMO1",
        )
        written = "\n".join(f"{each.getMessage()} {vars(each)}" for each in caplog.records if "images" in each.name)
        assert "SMITH" not in written
        assert "9990000001" not in written

    def test_may_come_in_fragments_of_any_length(self, receiver: Receiver) -> None:
        sent = image()
        with storing(receiver.port, sent) as association:
            association.send(message(STORE_CONTEXT, store_request(sent), data_set_of(sent), fragment=500))
            (answer,) = association.answers()
        assert answer.status == 0x0000
        assert dcmread(receiver.files()[0]) == sent


class TestTheSameInstanceAgain:
    def test_with_the_same_bytes_is_taken_and_not_kept_twice(self, receiver: Receiver) -> None:
        sent = image()
        assert [receiver.store(sent).Status for _ in range(3)] == [0x0000] * 3
        assert ReceivedImage.objects.count() == len(receiver.files()) == 1

    def test_with_other_bytes_is_kept_as_another_version(self, receiver: Receiver) -> None:
        sent = image()
        assert receiver.store(sent).Status == 0x0000
        sent.ImageComments = "changed"
        assert [receiver.store(sent).Status for _ in range(2)] == [0x0000] * 2
        assert sorted(ReceivedImage.objects.values_list("version", flat=True)) == [1, 2]
        assert len(receiver.files()) == 2

    def test_with_other_bytes_is_held_for_a_person(self, receiver: Receiver) -> None:
        WorklistItemFactory.create(accession_number="ACC1", patient_id="9990000001")
        sent = image()
        receiver.store(sent)
        sent.ImageComments = "changed"
        receiver.store(sent)
        second = ReceivedImage.objects.get(version=2)
        assert (second.state, second.reason) == ("held", "another_version")

    def test_replaces_a_file_that_has_been_lost(self, receiver: Receiver) -> None:
        sent = image()
        receiver.store(sent)
        receiver.files()[0].unlink()
        assert receiver.store(sent).Status == 0x0000
        row = ReceivedImage.objects.get()
        assert receiver.files() == [receiver.spool.original(row.file)]

    @pytest.mark.parametrize("changes", [True, False])
    def test_at_the_same_moment_is_right_too(self, receiver: Receiver, changes: bool) -> None:
        ready = Barrier(4, timeout=PATIENCE)
        uid = f"2.25.{uuid4().int}"

        def send(number: int) -> int:
            sent = image(ImageComments=str(number if changes else 0))
            sent.SOPInstanceUID = sent.file_meta.MediaStorageSOPInstanceUID = UID(uid)
            sent.SeriesInstanceUID = sent.StudyInstanceUID = "2.25.1"
            ready.wait()
            return int(receiver.store(sent).Status)

        with ThreadPoolExecutor(4) as units:
            assert list(units.map(send, range(4))) == [0x0000] * 4
        versions = [1, 2, 3, 4] if changes else [1]
        assert sorted(ReceivedImage.objects.values_list("version", flat=True)) == versions
        assert {receiver.spool.original(row.file) for row in ReceivedImage.objects.all()} == set(receiver.files())


class TestARefusal:
    def test_of_another_sop_class_in_the_data_set_is_a900(self, receiver: Receiver) -> None:
        sent = image()
        other = image(SOPClassUID=SECONDARY_CAPTURE)
        answer = receiver.store_raw(data_set_of(other), sent, sop_instance=other.SOPInstanceUID)
        assert answer.status == 0xA900
        assert answer.text(ERROR_COMMENT) == "The SOP Class UID is not that of the command"
        receiver.assert_keeps_nothing()

    def test_of_another_sop_instance_is_a900(self, receiver: Receiver) -> None:
        sent = image()
        answer = receiver.store_raw(data_set_of(sent), sent, sop_instance="2.25.99")
        assert answer.status == 0xA900
        receiver.assert_keeps_nothing()

    def test_of_another_sop_class_in_the_command_is_0122(self, receiver: Receiver) -> None:
        sent = image()
        assert receiver.store_raw(data_set_of(sent), sent, sop_class=SECONDARY_CAPTURE).status == 0x0122
        receiver.assert_keeps_nothing()

    def test_of_pixel_data_that_are_cut_off_is_c000(self, receiver: Receiver) -> None:
        sent = image()
        answer = receiver.store_raw(data_set_of(sent)[:-100], sent)
        assert (answer.status, answer.text(ERROR_COMMENT)) == (0xC000, "(7FE0,0010) is cut off")
        receiver.assert_keeps_nothing()

    def test_of_what_is_no_data_set_is_c000(self, receiver: Receiver) -> None:
        assert receiver.store_raw(b"no data set", image()).status == 0xC000
        receiver.assert_keeps_nothing()

    def test_without_a_data_set_is_a900(self, receiver: Receiver) -> None:
        sent = image()
        request = [each for each in store_request(sent) if each.tag != 0x00000800]
        with storing(receiver.port, sent) as association:
            association.send(message(STORE_CONTEXT, [*request, us(0x00000800, 0x0101)]))
            (answer,) = association.answers()
        assert answer.status == 0xA900
        receiver.assert_keeps_nothing()

    def test_of_a_modality_that_is_no_longer_allowed_is_0124(self, receiver: Receiver) -> None:
        sent = image()
        modality = Modality.objects.create(ae_title="MAMMO1")
        with storing(receiver.port, sent) as association:
            modality.is_allowed = False
            modality.save()
            association.send(message(STORE_CONTEXT, store_request(sent), data_set_of(sent)))
            (answer,) = association.answers()
        assert answer.status == 0x0124
        receiver.assert_keeps_nothing()

    def test_without_a_database_is_a700(
        self,
        receiver: Receiver,
        database_down: Callable[[], AbstractContextManager[None]],  # noqa: F811
    ) -> None:
        with database_down():
            answer = receiver.store(image())
        assert (answer.Status, answer.ErrorComment) == (0xA700, "Database not available, try again")
        receiver.assert_keeps_nothing()

    def test_for_want_of_disk_space_is_a700(self, tmp_path: Path) -> None:
        with receiving(tmp_path, min_free_bytes=1 << 60) as full:
            answer = full.store(image())
            assert (answer.Status, answer.ErrorComment) == (0xA700, "Out of disk space, see IMAGE_MIN_FREE_BYTES")
            full.assert_keeps_nothing()

    def test_of_a_disk_that_fills_while_it_comes_is_a700_and_the_association_goes_on(
        self, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sent = image(Phantom(rows=1000, columns=1000))
        write = os.write
        written = 0

        def fills(descriptor: int, content: Any) -> int:
            nonlocal written
            written += len(content)
            if written > 1_000_000:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write(descriptor, content)

        with storing(receiver.port, sent) as association:
            monkeypatch.setattr("images.spool.os.write", fills)
            association.send(message(STORE_CONTEXT, store_request(sent), data_set_of(sent)))
            (answer,) = association.answers()
            assert answer.status == 0xA700
            assert answer.text(ERROR_COMMENT) == "Not written to disk: No space left on device"
            assert receiver.files() == []
            monkeypatch.undo()
            association.send(message(STORE_CONTEXT, store_request(sent), data_set_of(sent)))
            (answer,) = association.answers()
            assert answer.status == 0x0000

    def test_of_more_images_than_an_address_may_send_is_a700_until_later(self, tmp_path: Path) -> None:
        now = 0.0
        arrivals = ArrivalRate(1, clock=lambda: now)
        for _ in range(round(BURST_SECONDS)):
            arrivals.count("127.0.0.1")
        with receiving(tmp_path, arrivals=arrivals) as busy:
            os.utime(busy.spool.incoming, (0, 0))
            answer = busy.store(image())
            assert (answer.Status, answer.ErrorComment) == (0xA700, "Too many images from this address, try again")
            busy.assert_keeps_nothing()
            assert busy.spool.incoming.stat().st_mtime == 0, "a file was opened for it"
            now = 1.0
            assert busy.store(image()).Status == 0x0000

    def test_of_a_data_set_that_is_too_long_is_a700(self, tmp_path: Path) -> None:
        with receiving(tmp_path, max_bytes=10_000) as strict:
            answer = strict.store(image())
            assert (answer.Status, answer.ErrorComment) == (0xA700, "The data set is longer than IMAGE_MAX_BYTES")
            strict.assert_keeps_nothing()

    def test_of_one_that_does_not_end_is_the_end_of_the_association(self, tmp_path: Path) -> None:
        with receiving(tmp_path, max_bytes=10_000, max_data_set_bytes=20_000) as strict:
            sent = image(Phantom(rows=1000, columns=1000))
            with storing(strict.port, sent) as association:
                association.send(message(STORE_CONTEXT, store_request(sent), data_set_of(sent)))
                assert association.receive().kind == 0x07
            strict.assert_keeps_nothing()

    def test_of_one_that_stops_is_c000(self, tmp_path: Path) -> None:
        with receiving(tmp_path, data_set_seconds=0.2) as hasty:
            sent = image()
            with storing(hasty.port, sent) as association:
                association.send(data(STORE_CONTEXT, 0x03, command_set(store_request(sent))))
                association.send(data(STORE_CONTEXT, 0x00, data_set_of(sent)[:1000]))
                (answer,) = association.answers()
            assert answer.status == 0xC000
            hasty.assert_keeps_nothing()

    @pytest.mark.parametrize("ends", [lambda line: line.send(abort()), lambda line: line.close()], ids=["abort", "cut"])
    def test_is_not_needed_where_the_association_ends_in_mid_data_set(
        self, receiver: Receiver, ends: Callable[[Any], None]
    ) -> None:
        sent = image()
        with storing(receiver.port, sent) as association:
            association.send(data(STORE_CONTEXT, 0x03, command_set(store_request(sent))))
            association.send(data(STORE_CONTEXT, 0x00, data_set_of(sent)[:15_000]))
            ends(association)
        receiver.assert_keeps_nothing()

    def test_leaves_no_thread(self, receiver: Receiver) -> None:
        before = set(threading.enumerate())
        receiver.store_raw(data_set_of(image())[:-10], image())
        all_ended(receiver.server)
        assert set(threading.enumerate()) <= before


class TestSopClasses:
    def test_of_other_kinds_are_not_negotiated(self, receiver: Receiver) -> None:
        with pytest.raises(AssertionError):
            receiver.store(image(SOPClassUID=SECONDARY_CAPTURE))
        receiver.assert_keeps_nothing()

    def test_may_be_more_by_setting(self, tmp_path: Path, settings: Any) -> None:
        settings.IMAGE_SECONDARY_CAPTURE = True
        with receiving(tmp_path) as running:
            assert running.store(image(SOPClassUID=SECONDARY_CAPTURE)).Status == 0x0000
