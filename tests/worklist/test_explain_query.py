"""`explain_query`: she is not on the list, why?"""

from datetime import date
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from pydicom import dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from pytest_django import Settings

from core.audit import Auditor
from dicom.models import Modality
from tests.dicom.requests import Unit, dataset, request
from tests.factories import WorklistItemFactory
from worklist.models import WorklistItem, WorklistQuery
from worklist.query.find import WorklistContext

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def item() -> WorklistItem:
    """A woman for MAMMO1."""
    return WorklistItemFactory.create(
        accession_number="ACC1", patient_name="SECRETARY^ZOE", scheduled_date=date(2026, 3, 10)
    )


def explain(*arguments: str) -> tuple[str, str]:
    """What is printed, and what the command complains of."""
    output, complaint = StringIO(), ""
    try:
        call_command("explain_query", *arguments, stdout=output)
    except CommandError as error:
        complaint = str(error)
    return output.getvalue(), complaint


class TestKeysThatAreTypedIn:
    def test_say_which_one_excludes_her(self, item: WorklistItem) -> None:
        text, complaint = explain("ACC1", "--key", "ScheduledStationAETitle=MAMMO2", "Modality=MG")
        assert "ScheduledStationAETitle: query MAMMO2, item MAMMO1 → not matched (PS3.4 C.2.2.2.1)\n" in text
        assert "Modality: query MG, item MG → matched (PS3.4 C.2.2.2.1)\n" in text
        assert "ACC1: not shown, because of ScheduledStationAETitle" in text
        assert complaint == "The item is not on the list"

    def test_end_well_when_she_is_on_the_list(self, item: WorklistItem) -> None:
        text, complaint = explain("ACC1", "--key", "Modality=MG", "--key", "ScheduledProcedureStepStartDate=20260310-")
        assert "ACC1: shown: everything matches" in text
        assert "Rows: query at most 500, item is number 1 → matched" in text
        assert complaint == ""

    def test_print_a_patient_only_when_told_to(self, item: WorklistItem) -> None:
        keys = ("ACC1", "--key", "PatientName=SECRET^ANN")
        text, _ = explain(*keys)
        assert "PatientName: query …, item … → not matched (PS3.4 C.2.2.2.1)" in text
        assert "SECRET" not in text
        text, _ = explain(*keys, "--show-patients")
        assert "PatientName: query SECRET^ANN, item SECRETARY^ZOE → not matched" in text

    def test_cover_the_policy_of_who_asks(self, item: WorklistItem) -> None:
        Modality.objects.create(ae_title="MAMMO2", own_list_only=True)
        Modality.objects.create(ae_title="MAMMO3", is_allowed=False)
        text, _ = explain("ACC1", "--key", "Modality=MG", "--calling", "MAMMO2")
        assert "(the modality is shown its own list only)" in text
        text, _ = explain("ACC1", "--key", "Modality=MG", "--calling", "MAMMO3")
        assert "Association: → not matched (its modality is not allowed)" in text

    def test_cover_an_asker_that_nobody_knows(self, item: WorklistItem, settings: Settings) -> None:
        settings.MWL_UNKNOWN_AE_TITLES = "reject"
        text, _ = explain("ACC1", "--key", "Modality=MG", "--calling", "STRANGER")
        assert "Association: → not matched (its AE title is not a configured modality)" in text

    def test_cover_the_most_rows(self, item: WorklistItem) -> None:
        WorklistItemFactory.create_batch(2, scheduled_date=date(2026, 3, 9))
        Modality.objects.create(ae_title="MAMMO1", max_rows=2)
        text, _ = explain("ACC1", "--key", "Modality=MG", "--calling", "MAMMO1")
        assert "Rows: query at most 2, item is number 3 → not matched" in text

    def test_cover_a_value_that_cannot_be_shown(self, item: WorklistItem) -> None:
        WorklistItem.objects.update(station_name="ROOM\\1")
        text, _ = explain("ACC1", "--key", "Modality=MG", "ScheduledStationName=")
        assert "ScheduledStationName: → not matched (without a value that its VR allows" in text
        assert explain("ACC1", "--key", "Modality=MG", "PatientName=")[1] == ""

    def test_that_mean_nothing_would_be_refused(self, item: WorklistItem) -> None:
        text, _ = explain("ACC1", "--key", "ScheduledProcedureStepStartDate=yesterday")
        assert "Query: → not matched (A900: ScheduledProcedureStepStartDate is not a date" in text

    @pytest.mark.parametrize("key", ["Shoe=38", "ScheduledProcedureStepSequence=1"])
    def test_must_be_keywords(self, item: WorklistItem, key: str) -> None:
        assert "is no keyword of DICOM" in explain("ACC1", "--key", key)[1]


class TestAQueryOfTheLog:
    def test_is_explained_as_it_was_answered(self, item: WorklistItem, unit: Unit, context: WorklistContext) -> None:
        unit.ask(request(dataset(Modality="CT"), PatientID=item.patient_id))
        unit.ask(request(dataset(Modality="MG"), PatientName="SECRETARY^ZOE"))
        assert context.deliveries.flush()
        second, first = WorklistQuery.objects.all()
        text, complaint = explain("ACC1", "--query", str(first.pk))
        assert "Modality: query CT, item MG → not matched (PS3.4 C.2.2.2.1)" in text
        assert "PatientID: query …, item … → matched (PS3.4 C.2.2.2.1, compared by its hash)" in text
        assert text.startswith("ACC1: it was not shown at ")
        assert ", because of Modality\n" in text
        assert complaint == "The item was not on the list"
        text, complaint = explain("ACC1", "--query", second.correlation_id)
        assert text.startswith("ACC1: it was shown at ")
        assert complaint == ""

    def test_that_showed_an_item_which_is_done_meanwhile_is_told_as_the_log_has_it(
        self, item: WorklistItem, unit: Unit, context: WorklistContext
    ) -> None:
        unit.ask(request(dataset(Modality="MG")))
        assert context.deliveries.flush()
        Auditor("relay:manage").update(item, status="COMPLETED")
        text, complaint = explain("ACC1", "--query", str(WorklistQuery.objects.get().pk))
        first, *rules = text.splitlines()
        assert first.startswith("ACC1: it was shown at ")
        assert first.endswith(
            "; asked now it would not be, because of ScheduledProcedureStepStatus: the item changed since"
        )
        assert any("final states are shown only when a status is asked for" in line for line in rules)
        assert complaint == ""

    def test_that_would_be_answered_otherwise_now_says_that_the_modality_was_changed(self, item: WorklistItem) -> None:
        Modality.objects.create(ae_title="MAMMO2", own_list_only=True)
        query = WorklistQuery.objects.create(asked_at=timezone.now(), calling_ae_title="MAMMO2", outcome="answered")
        assert ", because of ScheduledStationAETitle\n" in explain("ACC1", "--query", str(query.pk))[0]
        Auditor("admin:jane").update(Modality.objects.get(), own_list_only=False)
        text, complaint = explain("ACC1", "--query", str(query.pk))
        assert "; asked now it would be: the modality changed since\n" in text
        assert complaint == "The item was not on the list"

    def test_tells_of_the_alarms_of_the_item(self, item: WorklistItem, unit: Unit, context: WorklistContext) -> None:
        for name in ("ROOM1", "ROOM\\1"):
            WorklistItem.objects.update(station_name=name)
            unit.ask(request(dataset(Modality="MG", ScheduledStationName="")))
        assert context.deliveries.flush()
        second, first = WorklistQuery.objects.all()
        text, complaint = explain("ACC1", "--query", str(second.pk))
        assert ", because of ScheduledStationName\n" in text
        assert "ScheduledStationName: → not matched (without a value that its VR allows" in text
        assert complaint
        text, complaint = explain("ACC1", "--query", str(first.pk))
        assert "ScheduledStationName: → cannot be told (without a value that its VR allows" in text
        assert complaint == ""

    @pytest.mark.parametrize("name", ["c0ffee", "00000000-0000-0000-0000-000000000000"])
    def test_that_is_not_there_is_told(self, item: WorklistItem, name: str) -> None:
        assert "No query of the log has id or correlation id" in explain("ACC1", "--query", name)[1]


class TestAFile:
    def test_of_an_identifier_is_explained(self, item: WorklistItem, tmp_path: Path) -> None:
        file = tmp_path / "query.dcm"
        identifier = request(dataset(Modality="CT"), PatientName="")
        dcmwrite(file, identifier, implicit_vr=False, little_endian=True)
        assert "Modality: query CT, item MG → not matched" in explain("ACC1", "--identifier", str(file))[0]
        identifier.file_meta = _meta()
        identifier.save_as(file, enforce_file_format=False)
        assert "Modality: query CT, item MG → not matched" in explain("ACC1", "--identifier", str(file))[0]

    def test_that_is_none_is_told(self, item: WorklistItem, tmp_path: Path) -> None:
        assert "cannot be read as a DICOM data set" in explain("ACC1", "--identifier", str(tmp_path / "none"))[1]


def _meta() -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return meta


class TestAnItem:
    def test_that_is_not_there_is_told(self) -> None:
        assert explain("ACC9", "--key", "Modality=MG")[1] == (
            "No worklist item has accession number ACC9: was it ever sent?"
        )
