"""The command explain_query: why an item is on a modality's list or is not."""

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

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]


@pytest.fixture
def item() -> WorklistItem:
    return WorklistItemFactory.create(
        accession_number="ACC1", patient_name="SECRETARY^ZOE", scheduled_date=date(2026, 3, 10)
    )


def explain(*arguments: str) -> tuple[str, str]:
    """Run the command; return its output and the text of its CommandError, if any."""
    output, error_text = StringIO(), ""
    try:
        call_command("explain_query", *arguments, stdout=output)
    except CommandError as error:
        error_text = str(error)
    return output.getvalue(), error_text


class TestKeysOnTheCommandLine:
    def test_the_key_that_excludes_the_item_is_named(self, item: WorklistItem) -> None:
        text, error = explain("ACC1", "--key", "ScheduledStationAETitle=MAMMO2", "Modality=MG")
        assert "ScheduledStationAETitle: query MAMMO2, item MAMMO1 → not matched (PS3.4 C.2.2.2.1)\n" in text
        assert "Modality: query MG, item MG → matched (PS3.4 C.2.2.2.1)\n" in text
        assert "ACC1: not shown, because of ScheduledStationAETitle" in text
        assert error == "The item is not on the list"

    def test_the_command_succeeds_if_the_item_is_on_the_list(self, item: WorklistItem) -> None:
        text, error = explain("ACC1", "--key", "Modality=MG", "--key", "ScheduledProcedureStepStartDate=20260310-")
        assert "ACC1: shown: everything matches" in text
        assert "Rows: query at most 5000, item is number 1 → matched" in text
        assert error == ""

    def test_patient_data_is_printed_only_on_request(self, item: WorklistItem) -> None:
        keys = ("ACC1", "--key", "PatientName=SECRET^ANN")
        text, _ = explain(*keys)
        assert "PatientName: query …, item … → not matched (PS3.4 C.2.2.2.1)" in text
        assert "SECRET" not in text
        text, _ = explain(*keys, "--show-patients")
        assert "PatientName: query SECRET^ANN, item SECRETARY^ZOE → not matched" in text

    def test_the_policy_of_the_calling_modality_applies(self, item: WorklistItem) -> None:
        Modality.objects.create(ae_title="MAMMO2", own_list_only=True)
        Modality.objects.create(ae_title="MAMMO3", is_allowed=False)
        text, _ = explain("ACC1", "--key", "Modality=MG", "--calling", "MAMMO2")
        assert "(the modality is shown its own list only)" in text
        text, _ = explain("ACC1", "--key", "Modality=MG", "--calling", "MAMMO3")
        assert "Association: → not matched (the modality is not allowed)" in text

    def test_an_unknown_calling_ae_title_is_refused(self, item: WorklistItem, settings: Settings) -> None:
        settings.MWL_UNKNOWN_AE_TITLES = "reject"
        text, _ = explain("ACC1", "--key", "Modality=MG", "--calling", "STRANGER")
        assert "Association: → not matched (the calling AE title is not a configured modality)" in text

    def test_the_row_limit_applies(self, item: WorklistItem) -> None:
        WorklistItemFactory.create_batch(2, scheduled_date=date(2026, 3, 9))
        Modality.objects.create(ae_title="MAMMO1", max_rows=2)
        text, _ = explain("ACC1", "--key", "Modality=MG", "--calling", "MAMMO1")
        assert "Rows: query at most 2, item is number 3 → not matched" in text

    def test_an_illegal_value_in_the_item_is_named(self, item: WorklistItem) -> None:
        WorklistItem.objects.update(station_name="ROOM\\1")
        text, _ = explain("ACC1", "--key", "Modality=MG", "ScheduledStationName=")
        assert "ScheduledStationName: → not matched (an item with a value that its VR does not allow" in text
        assert explain("ACC1", "--key", "Modality=MG", "PatientName=")[1] == ""

    def test_an_invalid_key_is_reported_as_a900(self, item: WorklistItem) -> None:
        text, _ = explain("ACC1", "--key", "ScheduledProcedureStepStartDate=yesterday")
        assert "Query: → not matched (A900: ScheduledProcedureStepStartDate is not a date" in text

    @pytest.mark.parametrize("key", ["Shoe=38", "ScheduledProcedureStepSequence=1"])
    def test_a_key_must_be_a_dicom_keyword(self, item: WorklistItem, key: str) -> None:
        assert "is not the DICOM keyword of a key" in explain("ACC1", "--key", key)[1]


class TestALoggedQuery:
    def test_is_explained_by_the_answer_it_got(self, item: WorklistItem, unit: Unit, context: WorklistContext) -> None:
        unit.ask(request(dataset(Modality="CT"), PatientID=item.patient_id))
        unit.ask(request(dataset(Modality="MG"), PatientName="SECRETARY^ZOE"))
        assert context.deliveries.flush()
        second, first = WorklistQuery.objects.all()
        text, error = explain("ACC1", "--query", str(first.pk))
        assert "Modality: query CT, item MG → not matched (PS3.4 C.2.2.2.1)" in text
        assert "PatientID: query …, item … → matched (PS3.4 C.2.2.2.1, compared by its hash)" in text
        assert text.startswith("ACC1: it was not shown at ")
        assert ", because of Modality\n" in text
        assert error == "The item was not on the list"
        text, error = explain("ACC1", "--query", second.correlation_id)
        assert text.startswith("ACC1: it was shown at ")
        assert error == ""

    def test_that_showed_an_item_stays_shown_after_the_item_is_completed(
        self, item: WorklistItem, unit: Unit, context: WorklistContext
    ) -> None:
        unit.ask(request(dataset(Modality="MG")))
        assert context.deliveries.flush()
        Auditor("relay:manage").update(item, status="COMPLETED")
        text, error = explain("ACC1", "--query", str(WorklistQuery.objects.get().pk))
        first, *rules = text.splitlines()
        assert first.startswith("ACC1: it was shown at ")
        assert first.endswith(
            "; the same query now would not show it, because of ScheduledProcedureStepStatus: the item has changed "
            "since"
        )
        assert any("final statuses are shown only if the query names a status" in line for line in rules)
        assert error == ""

    def test_whose_modality_has_changed_since_says_what_it_would_show_now(self, item: WorklistItem) -> None:
        Modality.objects.create(ae_title="MAMMO2", own_list_only=True)
        query = WorklistQuery.objects.create(asked_at=timezone.now(), calling_ae_title="MAMMO2", outcome="answered")
        assert ", because of ScheduledStationAETitle\n" in explain("ACC1", "--query", str(query.pk))[0]
        Auditor("admin:jane").update(Modality.objects.get(), own_list_only=False)
        text, error = explain("ACC1", "--query", str(query.pk))
        assert "; the same query now would show it: the modality has changed since\n" in text
        assert error == "The item was not on the list"

    def test_includes_the_alarms_of_the_item(self, item: WorklistItem, unit: Unit, context: WorklistContext) -> None:
        for name in ("ROOM1", "ROOM\\1"):
            WorklistItem.objects.update(station_name=name)
            unit.ask(request(dataset(Modality="MG", ScheduledStationName="")))
        assert context.deliveries.flush()
        second, first = WorklistQuery.objects.all()
        text, error = explain("ACC1", "--query", str(second.pk))
        assert ", because of ScheduledStationName\n" in text
        assert "ScheduledStationName: → not matched (an item with a value that its VR does not allow" in text
        assert error
        text, error = explain("ACC1", "--query", str(first.pk))
        assert "ScheduledStationName: → cannot be determined (an item with a value that its VR does not allow" in text
        assert error == ""

    @pytest.mark.parametrize("name", ["c0ffee", "00000000-0000-0000-0000-000000000000"])
    def test_that_does_not_exist_is_an_error(self, item: WorklistItem, name: str) -> None:
        assert "No query in the log has id or correlation id" in explain("ACC1", "--query", name)[1]


class TestAFile:
    def test_with_an_identifier_is_explained(self, item: WorklistItem, tmp_path: Path) -> None:
        file = tmp_path / "query.dcm"
        identifier = request(dataset(Modality="CT"), PatientName="")
        dcmwrite(file, identifier, implicit_vr=False, little_endian=True)
        assert "Modality: query CT, item MG → not matched" in explain("ACC1", "--identifier", str(file))[0]
        identifier.file_meta = _meta()
        identifier.save_as(file, enforce_file_format=False)
        assert "Modality: query CT, item MG → not matched" in explain("ACC1", "--identifier", str(file))[0]

    def test_that_cannot_be_read_is_an_error(self, item: WorklistItem, tmp_path: Path) -> None:
        assert "cannot be read as a DICOM data set" in explain("ACC1", "--identifier", str(tmp_path / "none"))[1]


def _meta() -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return meta


class TestAnItem:
    def test_that_does_not_exist_is_an_error(self) -> None:
        assert explain("ACC9", "--key", "Modality=MG")[1] == (
            "No worklist item has accession number ACC9: was it ever sent?"
        )
