"""A disk or database that fails while images arrive: A700, nothing is left behind, and later all is well again."""

import logging
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from images.models import ReceivedImage, SpoolIdentity
from tests.dicom.raw import ERROR_COMMENT, Answer, RawAssociation, command_set, data, message
from tests.dicom.serving import all_ended
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


def test_a_new_folder_is_taken_where_no_image_needs_its_file(receiver: Receiver) -> None:
    assert receiver.store(image()).Status == 0x0000
    ReceivedImage.objects.update(state=ReceivedImage.State.UPLOADED)
    shutil.rmtree(receiver.spool.root)
    receiver.spool.prepare()
    assert not receiver.context.check_disk()
    assert receiver.store(image()).Status == 0x0000
    assert receiver.spool.read_id() == SpoolIdentity.objects.get().spool_id


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
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, stays_away: bool
) -> None:
    sent = image()
    connection.ensure_connection()
    configured = connection.settings_dict
    line = LineToPostgresql((str(configured["HOST"]), int(str(configured["PORT"]))), breaks_for_good=stays_away)
    with monkeypatch.context() as elsewhere, line:
        elsewhere.setitem(configured, "HOST", "127.0.0.1")
        elsewhere.setitem(configured, "PORT", line.port)
        assert receiver.store(sent).Status == (0xA700 if stays_away else 0x0000)
    (file,) = receiver.files()
    assert file == receiver.spool.original(ReceivedImage.objects.get().file)
    assert receiver.store(sent).Status == 0x0000
    assert receiver.files() == [file]


class LineToPostgresql:
    """A TCP relay before PostgreSQL, which breaks once: instead of passing the answer to a COMMIT on.

    If it `breaks_for_good`, it refuses every connection after that.
    """

    def __init__(self, server: tuple[str, int], *, breaks_for_good: bool) -> None:
        self._server = server
        self._breaks_for_good = breaks_for_good
        self._has_broken = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]

    def __enter__(self) -> "LineToPostgresql":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._refuse_others()

    def _refuse_others(self) -> None:
        with suppress(OSError):  # it does already
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _address = self._listener.accept()
                server = socket.create_connection(self._server)
                threading.Thread(target=self._pass_requests, args=(client, server), daemon=True).start()
                threading.Thread(target=self._pass_answers, args=(client, server), daemon=True).start()

    def _pass_requests(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError), server:
            while request := client.recv(1 << 16):
                server.sendall(request)

    def _pass_answers(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError), client:
            while answer := server.recv(1 << 16):
                if b"COMMIT" in answer and not self._has_broken:
                    self._has_broken = True
                    if self._breaks_for_good:
                        self._refuse_others()
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(answer)


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
