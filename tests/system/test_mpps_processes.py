"""A step is stored exactly once: with ten modalities at once, without a database, and if the SCP is killed.

The worklist server is a process; the modality is the hand-written one of tests.dicom.raw_mpps.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from threading import Barrier

import pytest

from core.models import AuditLog
from tests.dicom.raw import Answer, AssociationEnded
from tests.dicom.raw_mpps import NHS_NUMBER, ended, reporting, started
from tests.factories import WorklistItemFactory
from tests.processes import KILL, PATIENCE, Process, Start, free_ports
from tests.waiting import eventually
from tests.worklist_fixtures import database_down  # noqa: F401 - a fixture
from worklist.models import ItemChange, PerformedProcedureStep, WorklistItem

pytestmark = pytest.mark.django_db(transaction=True)

UID = "2.25.123"
SUCCESS, FAILURE, DUPLICATE = 0x0000, 0x0110, 0x0111


@pytest.fixture
def port() -> int:
    """A port that nobody listens on."""
    return free_ports(1)[0]


@pytest.fixture
def item() -> WorklistItem:
    """An item of the woman in the reports."""
    made: WorklistItem = WorklistItemFactory.create(accession_number="ACC1", patient_id=NHS_NUMBER)
    return made


def serve(start: Start, port: int) -> Process:
    """The worklist server, listening."""
    process = start("run_mwl_scp", MWL_PORT=str(port), DATABASE_WAIT_SECONDS="5")
    process.wait_for('"listening"')
    return process


def serve_until(moment: str, start: Start, port: int) -> Process:
    """The same, until its first N-CREATE is at this moment."""
    process = start(moment, program="tests/system/dying_scp.py", MWL_PORT=str(port))
    process.wait_for('"listening"')
    return process


def create(port: int) -> Answer:
    """The N-CREATE, in an association of its own; AssociationEnded where no answer comes."""
    with reporting(port) as modality:
        return modality.create(UID, started("ACC1"))


def complete(port: int) -> Answer:
    """The N-SET that ends it."""
    with reporting(port) as modality:
        return modality.set(UID, ended())


def assert_stored_once(item: WorklistItem, status: str) -> None:
    """The step, with what belongs to it; and the item stands as it does."""
    item.refresh_from_db()
    assert item.status == status
    step = PerformedProcedureStep.objects.get()
    assert (step.sop_instance_uid, step.status) == (UID, status)
    assert step.links.count() == 1
    created = AuditLog.objects.filter(operation=AuditLog.Operation.CREATE, object_id=step.pk)
    assert created.count() == 1


class TestTenAtTheSameInstant:
    def test_one_is_stored_and_nine_are_told_that_it_is_there(
        self, start: Start, port: int, item: WorklistItem
    ) -> None:
        serve(start, port)
        ready = Barrier(10, timeout=PATIENCE)

        def create_with_all() -> int:
            with reporting(port) as modality:
                ready.wait()
                return modality.create(UID, started("ACC1")).status

        with ThreadPoolExecutor(10) as modalities:
            answers = [modalities.submit(create_with_all) for _ in range(10)]
        assert sorted(answer.result() for answer in answers) == [SUCCESS] + [DUPLICATE] * 9
        assert_stored_once(item, "IN PROGRESS")
        assert list(ItemChange.objects.values_list("status", flat=True)) == ["IN PROGRESS"]

    def test_of_two_servers_on_one_database_too(self, start: Start, port: int, item: WorklistItem) -> None:
        ports = [port, *free_ports(1)]
        for each in ports:
            serve(start, each)
        ready = Barrier(10, timeout=PATIENCE)

        def create_with_all(number: int) -> int:
            with reporting(ports[number % 2]) as modality:
                ready.wait()
                return modality.create(UID, started("ACC1")).status

        with ThreadPoolExecutor(10) as modalities:
            answers = list(modalities.map(create_with_all, range(10)))
        assert sorted(answers) == [SUCCESS] + [DUPLICATE] * 9
        assert_stored_once(item, "IN PROGRESS")


class TestDatabaseDown:
    def test_the_modality_is_told_and_when_it_comes_again_nothing_of_it_was_kept(
        self,
        start: Start,
        port: int,
        item: WorklistItem,
        database_down: Callable[[], AbstractContextManager[None]],  # noqa: F811
    ) -> None:
        serve(start, port)
        with reporting(port):
            pass  # and the server knows the modalities
        with database_down():
            assert create(port).status == FAILURE
        assert not PerformedProcedureStep.objects.exists()
        assert create(port).status == SUCCESS
        assert_stored_once(item, "IN PROGRESS")

    def test_so_it_is_by_a_server_that_has_not_seen_the_database_yet(
        self,
        start: Start,
        port: int,
        item: WorklistItem,
        database_down: Callable[[], AbstractContextManager[None]],  # noqa: F811
    ) -> None:
        serve(start, port)
        with database_down():
            assert create(port).status == FAILURE
        eventually(lambda: create(port).status == SUCCESS)
        assert_stored_once(item, "IN PROGRESS")

    def test_nor_of_the_end_of_a_step(
        self,
        start: Start,
        port: int,
        item: WorklistItem,
        database_down: Callable[[], AbstractContextManager[None]],  # noqa: F811
    ) -> None:
        serve(start, port)
        create(port)
        with database_down():
            assert complete(port).status == FAILURE
        assert_stored_once(item, "IN PROGRESS")
        assert complete(port).status == SUCCESS
        assert_stored_once(item, "COMPLETED")


class TestDeath:
    def test_after_the_commit_and_before_the_answer_the_retry_is_told_that_it_is_there(
        self, start: Start, port: int, item: WorklistItem
    ) -> None:
        self.die("after", start, port)
        assert_stored_once(item, "IN PROGRESS")
        serve(start, port)
        assert create(port).status == DUPLICATE
        assert_stored_once(item, "IN PROGRESS")
        assert complete(port).status == SUCCESS
        assert_stored_once(item, "COMPLETED")
        assert list(ItemChange.objects.values_list("status", flat=True)) == ["IN PROGRESS", "COMPLETED"]

    def test_before_the_commit_nothing_is_kept_and_the_retry_is_as_the_first(
        self, start: Start, port: int, item: WorklistItem
    ) -> None:
        self.die("before", start, port)
        assert not PerformedProcedureStep.objects.exists()
        assert not ItemChange.objects.exists()
        serve(start, port)
        assert create(port).status == SUCCESS
        assert_stored_once(item, "IN PROGRESS")
        assert list(ItemChange.objects.values_list("status", flat=True)) == ["IN PROGRESS"]

    def die(self, moment: str, start: Start, port: int) -> None:
        """A server that dies in the N-CREATE, of which the modality hears no more."""
        dying = serve_until(moment, start, port)
        with pytest.raises(AssociationEnded):
            create(port)
        assert dying.exit_status() == -KILL
