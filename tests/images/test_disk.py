"""A disk or database that fails while images arrive: A700, nothing is left behind, and later all is well again."""

import logging
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from images.models import ReceivedImage, SpoolIdentity
from images.spool import ID_FILE
from tests.dicom.raw import ERROR_COMMENT, Answer, RawAssociation, command_set, data, message
from tests.dicom.serving import all_ended
from tests.images.postgresql import LineToPostgresql, OwnPostgresql, address_of_database, database_at
from tests.images.receiving import STORE_CONTEXT, Receiver, data_set_of, image, receiving, store_request, storing
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    """An image server."""
    with receiving(tmp_path / "spool") as running:
        yield running


def send(association: RawAssociation, made: Any) -> Answer:
    """Send an image, and return the answer."""
    association.send(message(STORE_CONTEXT, store_request(made), data_set_of(made)))
    (answer,) = association.answers()
    return answer


@contextmanager
def away(folder: Path) -> Iterator[None]:
    """Take a folder of the spool away for a while, as a disk that is unmounted."""
    aside = folder.rename(folder.with_name("aside"))
    try:
        yield
    finally:
        aside.rename(folder)


@pytest.mark.parametrize("lost", ["root", "incoming", "originals"])
def test_a_disk_that_is_not_there_is_told_to_the_machine_and_to_people_until_it_is_back(
    receiver: Receiver, caplog: pytest.LogCaptureFixture, lost: str
) -> None:
    sent = image()
    with storing(receiver.port, sent) as association:
        assert not receiver.context.check_disk()
        with away(getattr(receiver.spool, lost)):
            assert receiver.context.check_disk()  # before any image has to find out
            answer = send(association, sent)
            why = "Not written to disk: No such file or directory"
            assert (answer.status, answer.text(ERROR_COMMENT)) == (0xA700, why)
            assert receiver.context.disk_problem == why
        assert receiver.files() == []
        assert not receiver.context.check_disk()
        assert receiver.context.disk_problem == ""
        assert send(association, sent).status == 0x0000
    assert len(receiver.files()) == 1
    assert receiver.context.refused == {"A700 disk": 1}
    errors = [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR]
    assert errors == ["no image can be stored", "request failed"]


def test_a_folder_that_is_not_the_spool_of_the_images_takes_none_until_the_disk_is_mounted_again(
    receiver: Receiver,
) -> None:
    assert receiver.store(image()).Status == 0x0000
    with away(receiver.spool.root):
        receiver.spool.prepare()  # as at the start of a server whose disk is not mounted
        assert receiver.context.check_disk()
        answer = receiver.store(image())
        assert (answer.Status, str(answer.ErrorComment)) == (0xA700, receiver.context.disk_problem)
        assert receiver.context.disk_problem.startswith("IMAGE_SPOOL_DIR is not the folder with spool-id ")
        assert receiver.files() == []
        shutil.rmtree(receiver.spool.root)
    assert not receiver.context.check_disk()
    assert receiver.store(image()).Status == 0x0000


def test_a_new_folder_is_taken_once_somebody_has_given_it_the_id(receiver: Receiver) -> None:
    """Nobody has to wait for an image: it could be the folder on which the disk is mounted later."""
    assert receiver.store(image()).Status == 0x0000
    ReceivedImage.objects.update(state=ReceivedImage.State.UPLOADED, file="")
    shutil.rmtree(receiver.spool.root)
    receiver.spool.prepare()
    assert receiver.store(image()).Status == 0xA700
    (receiver.spool.root / ID_FILE).write_text(f"{SpoolIdentity.objects.get().spool_id}\n")
    assert not receiver.context.check_disk()
    assert receiver.store(image()).Status == 0x0000


def test_a_file_that_gets_lost_while_it_arrives_is_a_failure_of_the_disk(receiver: Receiver) -> None:
    sent = image()
    raw = data_set_of(sent)
    with storing(receiver.port, sent) as association:
        association.send(data(STORE_CONTEXT, 0x03, command_set(store_request(sent))))
        eventually(receiver.files)
        receiver.files()[0].unlink()
        association.send(data(STORE_CONTEXT, 0x02, raw))
        (answer,) = association.answers()
        assert (answer.status, receiver.context.disk_problem != "") == (0xA700, True)
        assert send(association, sent).status == 0x0000


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no line that could break")
@pytest.mark.parametrize("stays_away", [False, True])
def test_a_commit_whose_acknowledgement_is_lost_leaves_no_row_without_its_file(
    receiver: Receiver, stays_away: bool
) -> None:
    sent = image()
    line = LineToPostgresql(address_of_database(), b"COMMIT", breaks_for_good=stays_away)
    with line, database_at(line.address):
        assert receiver.store(sent).Status == (0xA700 if stays_away else 0x0000)
    (file,) = receiver.files()
    assert file == receiver.spool.original(ReceivedImage.objects.get().file)
    assert receiver.store(sent).Status == 0x0000
    assert receiver.files() == [file]


@pytest.mark.skipif(
    connection.vendor != "postgresql" or sys.platform != "linux",
    reason="SQLite has no process; it is killed by Linux's pidfd",
)
def test_a_database_that_is_killed_has_each_image_that_was_answered_0000_and_no_half_of_another(
    receiver: Receiver,
) -> None:
    with OwnPostgresql() as own:
        for moment, is_committed in ((b"INSERT 0 1", False), (b"COMMIT", True)):
            sent = image()
            line = LineToPostgresql(own.address, moment, own.kill, breaks_for_good=True)
            with line, database_at(line.address):
                assert receiver.store(sent).Status == 0xA700
            own.start()
            with database_at(own.address):
                rows = ReceivedImage.objects.filter(sop_instance_uid=sent.SOPInstanceUID)
                names = set(rows.values_list("file", flat=True))
                assert len(names) == is_committed
                assert names <= {file.name for file in receiver.files()}
                assert receiver.store(sent).Status == 0x0000
                assert set(ReceivedImage.objects.values_list("file", flat=True)) == {
                    file.name for file in receiver.files()
                }


def test_a_database_that_takes_no_changes_is_told_to_the_machine(receiver: Receiver) -> None:
    sent = image()

    def forbid_changes(connection: BaseDatabaseWrapper, **_: Any) -> None:
        statements = {
            "sqlite": "PRAGMA query_only = ON",
            "postgresql": "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        }
        with connection.cursor() as cursor:
            cursor.execute(statements[connection.vendor])

    connection.close()
    connection_created.connect(forbid_changes)
    try:
        answer = receiver.store(sent)
    finally:
        connection_created.disconnect(forbid_changes)
    assert (answer.Status, answer.ErrorComment) == (0xA700, "Database not available, try again")
    all_ended(receiver.server)
    assert receiver.files() == []
    assert receiver.store(sent).Status == 0x0000
    assert ReceivedImage.objects.count() == 1
