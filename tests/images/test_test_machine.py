"""The test machine works through a test item over DICOM, with the gateway's own servers, and reports each step."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection
from pytest_django.fixtures import Settings

from dicom.models import Modality
from dicom.server import stop_server
from dicom.tls import server_context
from gateway_project.actions import ACTIONS, PROBES
from images.copies.worker import copy_in_process
from images.manage_api import ManageApi
from images.management.commands.run_image_uploader import whole_way_check
from images.models import ReceivedImage, WholeWayTest
from images.scp import image_context, start_image_server
from images.spool import spool
from images.test_machine import AE_TITLE, work_through
from images.uploader import Uploader
from images.whole_way import ask_for_test, run_next_test, take_next_test
from nonprod.models import ManageImage
from relay.dispatcher import Dispatcher
from tests.dicom.requests import CALLED
from tests.dicom.serving import port_of, serving
from tests.factories import payload
from tests.images.test_whole_way import sent_by_manage
from tests.processes import PATIENCE
from tests.waiting import eventually
from tests.worklist_fixtures import tls_files  # noqa: F401 - a fixture
from worklist.models import PerformedProcedureStep, WorklistItem

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]

State = WholeWayTest.State


@pytest.fixture(autouse=True)
def servers(settings: Settings, tmp_path: Path) -> Iterator[None]:
    """Run the worklist server and the image server, and point the settings at them."""
    settings.IMAGE_SPOOL_DIR, settings.IMAGE_MIN_FREE_BYTES = tmp_path / "spool", 0
    settings.MWL_AE_TITLE = CALLED
    context = image_context()
    context.spool.prepare()
    images = start_image_server("127.0.0.1", 0, context)
    settings.IMAGE_PORT = port_of(images)
    with serving() as worklist:
        settings.MWL_PORT = port_of(worklist)
        yield
    stop_server(images)


def passed_through() -> WholeWayTest:
    """Run a test that a user has asked for."""
    return worked_through(ask_for_test("admin:jane"))


def worked_through(test: WholeWayTest) -> WholeWayTest:
    work_through(test, threading.Event())
    test.refresh_from_db()
    return test


def outcomes(test: WholeWayTest) -> list[str]:
    return [step["outcome"] for step in test.steps]


class TestAskedForInTheAdmin:
    def test_every_step_is_proven_but_the_upload_which_is_left_out(self) -> None:
        test = passed_through()
        assert outcomes(test) == ["passed"] * 6 + ["left out"], test.steps
        assert (test.state, test.ended_at is not None) == ("passed", True)
        assert "Manage has no action" in test.steps[-1]["text"]

    def test_the_item_and_its_step_are_completed_by_the_test_machine(self) -> None:
        passed_through()
        step = PerformedProcedureStep.objects.get()
        assert (step.station_ae_title, step.status, step.images) == (AE_TITLE, "COMPLETED", 4)
        assert WorklistItem.objects.get().status == "COMPLETED"
        assert Modality.objects.get(ae_title=AE_TITLE).is_test_machine

    def test_four_views_are_received_as_test_images(self) -> None:
        passed_through()
        found = ReceivedImage.objects.values_list("image_laterality", "view_position", "is_test", "state")
        assert sorted(found) == [(side, view, True, "not_sent") for side in "LR" for view in ("CC", "MLO")]


class TestAskedForByManage:
    @pytest.fixture
    def test(self) -> WholeWayTest:
        item = sent_by_manage(patient_id="9999999999")
        return WholeWayTest.objects.create(item_id=item.pk, accession_number=item.accession_number, asked_by="manage")

    def test_a_press_in_manage_brings_four_pictures_back_to_it(self, settings: Settings, manage: ManageApi) -> None:
        settings.PRODUCTION = True
        action = {**payload(accession_number="TEST1"), "action_type": "worklist.create_test_item"}
        Dispatcher(ACTIONS, PROBES).dispatch(json.dumps(action), "test")
        stopping = threading.Event()
        uploader = Uploader(manage, spool(), copy_in_process, stopping)
        uploader.start()
        run_next_test(lambda test: work_through(test, stopping))
        stopping.set()
        uploader.join(PATIENCE)
        test = WholeWayTest.objects.get()
        assert outcomes(test) == ["passed"] * 7, test.steps
        assert test.steps[-1]["text"] == f"4 images under the action {action['action_id']}"
        assert [bool(image.picture) for image in ManageImage.objects.all()] == [True] * 4

    def test_an_image_that_manage_refuses_fails_the_test_with_its_answer(self, test: WholeWayTest) -> None:
        uploader = threading.Thread(target=settle_four, args=({"state": "failed", "reason": "refused"},))
        uploader.start()
        try:
            worked_through(test)
        finally:
            uploader.join()
        assert (test.state, outcomes(test)[-1]) == ("failed", "failed")
        assert "Manage refused it" in test.steps[-1]["text"]

    def test_images_that_stay_waiting_fail_it(self, test: WholeWayTest, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("images.test_machine.UPLOADED_WITHIN", 0.1)
        worked_through(test)
        assert outcomes(test)[-1] == "failed"
        assert test.steps[-1]["text"].startswith("4 images still waiting")


def settle_four(outcome: dict[str, str]) -> None:
    """Take the uploader's part: wait for four images that wait for Manage, and settle them."""
    waiting = ReceivedImage.objects.filter(state="waiting")
    try:
        eventually(lambda: waiting.count() == 4)
        for image in waiting:
            ReceivedImage.objects.filter(pk=image.pk).update(**outcome)
    finally:
        connection.close()


class TestFailures:
    def test_without_a_worklist_server_the_first_step_fails(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("images.test_machine.KNOWN_WITHIN", 0.0)
        settings.MWL_PORT = 1
        test = passed_through()
        assert (test.state, outcomes(test)) == ("failed", ["failed"])
        assert "no association with" in test.steps[0]["text"]

    def test_without_an_image_server_the_third_step_fails(self, settings: Settings) -> None:
        settings.IMAGE_PORT = 1
        assert outcomes(passed_through()) == ["passed", "passed", "failed"]

    def test_a_port_with_tls_alone_needs_a_certificate_that_can_be_used(self, settings: Settings) -> None:
        settings.MWL_PORT, settings.MWL_TLS_PORT = 0, 1
        assert "MWL_PORT is 0, and the test machine has no certificate" in passed_through().steps[0]["text"]
        settings.TEST_MACHINE_TLS_CERTIFICATE_PATH = "missing.pem"
        assert "cannot be used: No such file" in passed_through().steps[0]["text"]


class TestOverTls:
    def test_every_step_is_proven_where_both_servers_have_tls_alone(
        self,
        settings: Settings,
        tls_files: dict[str, str],  # noqa: F811
    ) -> None:
        certificate, key, authority = tls_files.values()
        tls = server_context(certificate, key, authority)
        settings.TEST_MACHINE_TLS_CERTIFICATE_PATH, settings.TEST_MACHINE_TLS_KEY_PATH = certificate, key
        settings.TEST_MACHINE_TLS_SERVER_CA_PATH = authority
        settings.MWL_PORT = settings.IMAGE_PORT = 0
        images = start_image_server("127.0.0.1", 0, image_context(), tls)
        settings.TEST_MACHINE_IMAGE_TLS_PORT = port_of(images)  # as in containers
        with serving(tls) as worklist:
            settings.MWL_TLS_PORT = port_of(worklist)
            test = passed_through()
        stop_server(images)
        assert outcomes(test) == ["passed"] * 6 + ["left out"], test.steps


class TestInTheUploader:
    def test_a_thread_runs_the_tests_that_wait(self) -> None:
        test = ask_for_test("admin:jane")
        stopping = threading.Event()
        thread = whole_way_check(stopping)
        thread.start()
        eventually(WholeWayTest.objects.filter(pk=test.pk).exclude(ended_at=None).exists)
        stopping.set()
        thread.join()
        test.refresh_from_db()
        assert test.state == "passed", test.steps
        assert take_next_test(test.created_at) is None
