"""Uploaders as processes: killed at every step, and several at once. Each image arrives, and once."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from core.contract import ActionType
from core.heartbeat import check_daemon
from images.items import Item, worklist
from images.models import ReceivedImage
from images.spool import Spool
from nonprod.models import ManageImage
from relay.models import ReceivedAction
from tests.factories import create
from tests.images.waiting import API, order_fault, waiting_image, write_phantom
from tests.processes import KILL, PATIENCE, Process, Start, free_ports
from tests.system.test_database_down import locked_database
from tests.worklist_fixtures import database_down  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db(transaction=True)

State = ReceivedImage.State
Away = Callable[[], AbstractContextManager[None]]
SENT = "image sent to Manage"


@pytest.fixture
def environment(live_server: Any, spool: Spool) -> dict[str, str]:
    """The environment of uploaders that send to an emulated Manage."""
    return {
        "MANAGE_API_URL": f"{live_server.url}{API}",
        "IMAGE_SPOOL_DIR": str(spool.root),
        "IMAGE_RETRY_SECONDS": "1",
        "IMAGE_FAILURE_DELAY_SECONDS": "1",
        "IMAGE_MIN_FREE_BYTES": "0",
    }


def item_in_progress(number: str = "ACC1") -> Item:
    """Add an item that an action of today has made, and whose examination has begun."""
    made = create(accession_number=number, patient_id="9990000018", status="IN PROGRESS")
    ReceivedAction.objects.create(
        action_id=f"action-of-{number}",
        action_type=ActionType.CREATE_ITEM,
        accession_number=number,
        outcome="created",
        is_final=True,
        received_at=timezone.now(),
    )
    item = worklist().item(made.pk)
    assert item
    return item


def received(spool: Spool, item: Item, view: str = "L CC") -> ReceivedImage:
    """Add an image that waits, with its file."""
    image = waiting_image(item, view)
    write_phantom(spool.original(image.file), image)
    return image


def let_leases_expire() -> None:
    """Do as if the lease of a killed uploader had expired."""
    ReceivedImage.objects.filter(lease_until__isnull=False).update(lease_until=timezone.now())


def sent_by(uploader: Process, count: int = 1) -> None:
    """Wait until an uploader has sent so many images."""
    for _ in range(count):
        uploader.wait_for(SENT)


class TestKilled:
    @pytest.mark.parametrize("moment", ["claimed", "copied", "sending", "answered"])
    def test_another_takes_the_image_over(
        self, start: Start, environment: dict[str, str], spool: Spool, moment: str
    ) -> None:
        image = received(spool, item_in_progress())
        dying = start(moment, program="tests/images/dying_uploader.py", **environment)
        assert dying.exit_status() == -KILL
        image.refresh_from_db()
        assert (image.state, image.attempts) == (State.WAITING, 1)
        assert image.lease_until
        let_leases_expire()
        uploader = start("run_image_uploader", **environment)
        sent_by(uploader)
        image.refresh_from_db()
        assert (image.state, image.attempts) == (State.UPLOADED, 2)
        taken = ManageImage.objects.get()
        assert taken.picture
        assert taken.times_received == (2 if moment == "answered" else 1)
        assert [file.name for file in spool.copies.iterdir()] == [image.file]

    def test_while_manage_thinks(self, start: Start, environment: dict[str, str], spool: Spool) -> None:
        received(spool, item_in_progress())
        order_fault(delay_seconds=2)
        first = start("run_image_uploader", **environment)
        first.wait_for("uploading images")
        while not ReceivedImage.objects.exclude(action_id="").exists():  # it is on its way
            assert check_daemon("image_uploader") is not None
        first.send_signal(KILL)
        first.exit_status()
        let_leases_expire()
        sent_by(start("run_image_uploader", **environment))
        assert ReceivedImage.objects.get().state == State.UPLOADED
        assert ManageImage.objects.count() == 1


class PatientManage:
    """A Manage of its own, without the database: it takes each image once the test lets it."""

    def __init__(self, port: int = 0) -> None:
        self.asked, self.may_answer = threading.Event(), threading.Event()
        self.times = 0
        manage = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                manage.times += 1
                manage.asked.set()
                manage.may_answer.wait(PATIENCE)
                self.send_response(201)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/api/v1"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class TestDatabaseAway:
    @pytest.fixture
    def database_away(self, database_down: Away) -> Away:  # noqa: F811
        """Takes the database away: PostgreSQL is down, and SQLite, whose file an uploader holds open, is locked."""
        return partial(locked_database, "images_receivedimage") if connection.vendor == "sqlite" else database_down

    def test_what_could_not_be_written_is_sent_again(
        self, start: Start, environment: dict[str, str], spool: Spool, database_away: Away
    ) -> None:
        received(spool, item_in_progress())
        manage = PatientManage()
        shorter = {**environment, "MANAGE_API_URL": manage.url, "DATABASE_WAIT_SECONDS": "1"}
        uploader = start("run_image_uploader", **shorter)
        assert manage.asked.wait(PATIENCE)
        with database_away():
            manage.may_answer.set()
            uploader.wait_for("queue of images not available")
        assert ReceivedImage.objects.get().state == State.WAITING
        let_leases_expire()
        sent_by(uploader)
        assert ReceivedImage.objects.get().state == State.UPLOADED
        assert manage.times == 2
        manage.close()


class TestLineAway:
    def test_images_wait_through_a_restart_and_go_when_the_line_is_back(
        self, start: Start, environment: dict[str, str], spool: Spool
    ) -> None:
        item = item_in_progress()
        for view in ("L CC", "R CC"):
            received(spool, item, view)
        (port,) = free_ports(1)
        nowhere = {**environment, "MANAGE_API_URL": f"http://127.0.0.1:{port}/api/v1"}
        for _ in range(2):
            uploader = start("run_image_uploader", **nowhere)
            for _ in range(4):
                reason = uploader.wait_for_field("image will be sent again", "why")
                assert "the connection was refused" in reason
            uploader.send_signal(KILL)
            uploader.exit_status()
        let_leases_expire()
        manage = PatientManage(port)
        manage.may_answer.set()
        sent_by(start("run_image_uploader", **nowhere), 2)
        assert set(ReceivedImage.objects.values_list("state", flat=True)) == {State.UPLOADED}
        assert manage.times == 2
        manage.close()


class TestSeveral:
    def test_two_at_once_send_each_image_once(self, start: Start, environment: dict[str, str], spool: Spool) -> None:
        for woman in range(3):
            item = item_in_progress(f"ACC{woman}")
            for view in ("L CC", "R CC"):
                received(spool, item, view)
        uploaders = [start("run_image_uploader", **environment) for _ in range(2)]
        for uploader in uploaders:
            uploader.wait_for("uploading images")
        while ReceivedImage.objects.exclude(state=State.UPLOADED).exists():
            pass
        assert [uploader.stop() for uploader in uploaders] == [0, 0]
        assert sum(uploader.output.count(SENT) for uploader in uploaders) == 6
        assert list(ManageImage.objects.values_list("times_received", flat=True)) == [1] * 6


class TestTheWhole:
    def test_a_failure_is_reported_and_the_process_says_that_it_works(
        self, start: Start, environment: dict[str, str], spool: Spool
    ) -> None:
        image = received(spool, item_in_progress())
        spool.original(image.file).write_bytes(b"no image")
        uploader = start("run_image_uploader", **environment)
        uploader.wait_for("failure reported to Manage")
        assert check_daemon("image_uploader")["ok"]
        assert uploader.stop() == 0
        assert not check_daemon("image_uploader")["ok"]
        assert "9990000018" not in uploader.output
