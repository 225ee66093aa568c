"""C-FIND and C-ECHO with DCMTK's programs as the modality: an implementation independent of pynetdicom."""

from datetime import date

import pytest
from pytest_django import Settings

from tests.dicom.dcmtk import Console
from tests.factories import WorklistItemFactory
from tests.worklist_fixtures import LogLines
from worklist.models import WorklistItem

pytestmark = [pytest.mark.usefixtures("findscu"), pytest.mark.once]

STEP = "ScheduledProcedureStepSequence[0]"
BROAD = [
    f"{STEP}.ScheduledStationAETitle=MAMMO1",
    f"{STEP}.ScheduledProcedureStepStartDate=20261123",
    f"{STEP}.ScheduledProcedureStepStartTime",
    f"{STEP}.Modality=MG",
    "PatientName",
    "PatientID",
    "AccessionNumber",
    "StudyInstanceUID",
]


class TestDcmtk:
    def test_an_echo_succeeds(self, console: Console) -> None:
        assert "Received Echo Response (Success)" in console.echo()

    def test_a_broad_query_shows_a_name_that_is_not_ascii(self, console: Console) -> None:
        WorklistItemFactory.create(patient_name="O'BRIEN-ŁUKASZ^ZOË", patient_id="9990000018")
        WorklistItemFactory.create(scheduled_date=date(2026, 11, 24))
        (row,) = console.shown("SpecificCharacterSet=ISO_IR 192", *BROAD)
        assert "[O'BRIEN-ŁUKASZ^ZOË]" in row
        assert "[9990000018]" in row
        assert "[143000]" in row

    @pytest.mark.parametrize(
        ("asked", "name"),
        [
            ("ISO_IR 100", "MÜLLER^ZOË"),
            ("ISO_IR 192", "LEE^ANN=李^安"),
            ("ISO_IR 144", "ИВАНОВА^АННА"),
            ("ISO 2022 IR 6\\ISO 2022 IR 100", "MÜLLER^ZOË"),
            ("\\ISO 2022 IR 100", "MÜLLER^ZOË"),
            ("ISO_IR 100", "LEE^ANN=李^安"),
            ("", "MÜLLER^ZOË"),
        ],
    )
    def test_a_name_is_readable_in_any_requested_character_set(self, console: Console, asked: str, name: str) -> None:
        WorklistItemFactory.create(patient_name=name)
        (row,) = console.shown(f"SpecificCharacterSet={asked}", "PatientName")
        assert f"[{name}]" in row

    def test_a_query_by_accession_number_finds_that_item(self, console: Console) -> None:
        WorklistItemFactory.create(accession_number="ACC1", patient_name="SMITH^JANE")
        WorklistItemFactory.create(accession_number="ACC2", patient_name="JONES^MARY")
        (row,) = console.shown("AccessionNumber=ACC1", "PatientName")
        assert "[SMITH^JANE]" in row
        assert "JONES" not in row

    def test_only_the_requested_attributes_are_returned(self, console: Console) -> None:
        WorklistItemFactory.create(accession_number="ACC1")
        (row,) = console.shown("AccessionNumber=ACC1", f"{STEP}.Modality", options=())
        tags = {line.split()[0] for line in row.splitlines() if line.strip().startswith("(")}
        data_set = {tag for tag in tags if not tag.startswith(("(0002", "(fffe"))}
        assert data_set == {"(0008,0050)", "(0008,0060)", "(0040,0100)"}

    def test_an_invalid_query_is_an_error(self, console: Console) -> None:
        output = console.find(f"{STEP}.ScheduledProcedureStepStartDate=20261345", "PatientName")
        assert "Error: DataSetDoesNotMatchSOPClass" in output

    def test_a_cancel_ends_the_answer(self, console: Console, log: LogLines, settings: Settings) -> None:
        settings.MWL_MAX_ROWS = 1000
        WorklistItem.objects.bulk_create(WorklistItemFactory.build_batch(600))
        output = console.find("PatientID", options=("--cancel", "5"))
        assert "Cancel" in output
        record = vars(log.wait_for("worklist query ended"))
        assert record["outcome"] == "cancelled"
        assert record["delivered"] < 600
