"""`perform_procedure_step`: its requests and its output."""

import signal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import modify_settings

from tests.dicom.requests import CALLED
from tests.nonprod.mpps_server import MppsServer, row
from tests.nonprod.storage_server import CALLED as IMAGES_CALLED
from tests.nonprod.storage_server import storage_server
from tests.processes import Start

pytestmark = pytest.mark.once

START, PROGRESS, END = "N-CREATE IN PROGRESS", "N-SET IN PROGRESS", "N-SET COMPLETED"


@pytest.fixture
def server(module_server: MppsServer) -> MppsServer:
    """Return the server with two rows on its worklist."""
    module_server.reset(row(), row(AccessionNumber="ACC2"))
    return module_server


def performed(server: MppsServer, *arguments: str) -> list[str]:
    """Run the command; return the lines that it prints."""
    output = StringIO()
    options = ["--port", str(server.port), "--called", CALLED, "--seconds", "0"]
    call_command("perform_procedure_step", *options, *arguments, stdout=output)
    return output.getvalue().splitlines()


class TestPerformProcedureStep:
    def test_the_first_item_of_the_day_is_performed_and_each_request_printed(self, server: MppsServer) -> None:
        lines = performed(server, "--calling", "MAMMO3", "--date", "20261123")
        assert lines == [
            "C-FIND: 0000, 2 on the list; accession number ACC1 is next",
            f"N-CREATE: 0000, IN PROGRESS, as performed procedure step {server.received[0].uid}",
            "N-SET: 0000, COMPLETED, with 4 series and 4 images",
        ]
        assert server.requests == [START, END]
        (asked,) = server.identifiers
        step = asked.ScheduledProcedureStepSequence[0]
        assert step.ScheduledStationAETitle == "MAMMO3"
        assert (step.ScheduledProcedureStepStartDate, step.Modality) == ("20261123", "MG")

    def test_an_accession_number_is_queried_for_any_day_and_station(self, server: MppsServer) -> None:
        performed(server, "--accession", "ACC2")
        step = server.identifiers[0].ScheduledProcedureStepSequence[0]
        assert (step.ScheduledStationAETitle or "", step.ScheduledProcedureStepStartDate or "") == ("", "")
        assert server.received[0].attributes.ScheduledStepAttributesSequence[0].AccessionNumber == "ACC2"

    def test_a_step_can_be_discontinued_with_a_reason(self, server: MppsServer) -> None:
        last = performed(server, "--discontinue", "patient refused")[-1]
        expected = "N-SET: 0000, DISCONTINUED, with 1 series and 1 image: 110505, Patient refused to continue procedure"
        assert last == expected
        assert server.requests == [START, "N-SET DISCONTINUED"]

    def test_images_are_sent_in_the_transfer_syntax_that_is_asked_for(self, server: MppsServer) -> None:
        with storage_server() as images:
            where = ["--images-port", str(images.port), "--images-called", IMAGES_CALLED]
            lines = performed(server, "--images", "jpeg-ls", *where, "--rows", "201", "--columns", "155")
        assert lines[2:4] == [
            "C-STORE: 0000, 1 image in JPEG-LS Lossless Image Compression",
            "C-STORE: 0000, 3 images in JPEG-LS Lossless Image Compression",
        ]
        assert len(images.received) == 4

    def test_with_images_off_none_is_sent(self, server: MppsServer) -> None:
        with modify_settings(INSTALLED_APPS={"remove": "images"}):
            assert len(performed(server, "--images", "explicit")) == 3

    def test_progress_can_be_reported(self, server: MppsServer) -> None:
        performed(server, "--progress")
        assert server.requests == [START, PROGRESS, END]
        assert [len(request.attributes.PerformedSeriesSequence) for request in server.received[1:]] == [1, 4]

    def test_all_requests_can_share_one_association(self, server: MppsServer) -> None:
        performed(server, "--one-association", "--progress")
        assert server.associations == 1


class TestProblems:
    @pytest.mark.parametrize(
        ("arguments", "problem"),
        [
            (["--accession", "NONE"], "There is no such step on the list of MAMMO1"),
            (["--discontinue", "bad weather"], "no reason matches 'bad weather': 110513 Discontinued"),
            (["--discontinue", "equipment"], "2 reasons match 'equipment': 110501 Equipment failure; 110516"),
            (["--date", "23.11.2026"], "date"),
            (["--port", "1"], f"no association with {CALLED} at 127.0.0.1:1"),
        ],
    )
    def test_a_problem_is_one_line_and_exit_2(self, server: MppsServer, arguments: list[str], problem: str) -> None:
        with pytest.raises(CommandError, match=problem) as caught:
            performed(server, *arguments)
        assert caught.value.returncode == 2
        assert len(str(caught.value).splitlines()) == 1
        assert server.received == []

    def test_a_refusal_is_printed_with_status_and_error_comment(self, server: MppsServer) -> None:
        server.answers, server.comment = [0x0110], "no"
        with pytest.raises(CommandError, match="N-CREATE was answered with 0110 no") as caught:
            performed(server)
        assert caught.value.returncode == 2


class TestInterrupt:
    @pytest.mark.django_db(transaction=True)
    def test_ctrl_c_discontinues_the_step(self, start: Start, server: MppsServer) -> None:
        options = ["--port", str(server.port), "--called", CALLED, "--seconds", "600"]
        process = start("perform_procedure_step", *options)
        process.wait_for("N-CREATE: 0000")
        assert process.stop(signal.SIGINT) == 0
        assert server.requests == [START, "N-SET DISCONTINUED"]
        assert "110513, Discontinued for unspecified reason" in process.output
