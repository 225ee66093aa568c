"""The emulated Manage answers as the real one does, its trap included."""

from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.test.client import MULTIPART_CONTENT, encode_multipart
from django.utils import timezone
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGLossless, generate_uid

from nonprod.models import ManageFault, ManageImage
from tests.images.waiting import API, KnownItems, known_to_manage, waiting_image, write_phantom

pytestmark = [pytest.mark.django_db, pytest.mark.once]

BOUNDARY = "BoUnDaRyStRiNg"


@pytest.fixture
def items() -> KnownItems:
    return KnownItems()


@pytest.fixture
def item(items: KnownItems) -> Any:
    """An item whose action Manage knows, and which is in progress."""
    item = items.add()
    known_to_manage(item)
    return item


@pytest.fixture
def dataset(item: Any, tmp_path: Path) -> Dataset:
    """An image of the item."""
    return dcmread(write_phantom(tmp_path / "image.dcm", waiting_image(item)))


def put(action_id: str, dataset: Dataset | None, field: str = "file", token: str = "") -> Any:
    """Send an image as the gateway does."""
    content = BytesIO()
    if dataset is not None:
        dataset.save_as(content, enforce_file_format=True)
    body = encode_multipart(BOUNDARY, {field: SimpleUploadedFile("copy.dcm", content.getvalue())})
    headers = {"Authorization": f"Bearer {token or 'emulated-token-that-is-no-secret'}"}
    return Client().put(f"{API}/dicom/{action_id}", body, content_type=MULTIPART_CONTENT, headers=headers)


class TestPut:
    def test_an_image_is_taken(self, item: Any, dataset: Dataset) -> None:
        response = put(item.action_id, dataset)
        assert response.status_code == 201
        image = ManageImage.objects.get()
        assert response.json() == {
            "study_instance_uid": dataset.StudyInstanceUID,
            "series_instance_uid": dataset.SeriesInstanceUID,
            "sop_instance_uid": dataset.SOPInstanceUID,
            "instance_id": str(image.pk),
        }
        assert (image.laterality, image.view_position, image.patient_id) == ("L", "CC", item.patient_id)
        assert image.picture

    def test_without_the_token_it_is_not_let_in(self, item: Any, dataset: Dataset) -> None:
        assert put(item.action_id, dataset, token="another").status_code == 401

    def test_what_is_not_dicom_is_refused(self, item: Any) -> None:
        assert put(item.action_id, None).json()["status"] == 400

    def test_a_uid_is_missing(self, item: Any, dataset: Dataset) -> None:
        del dataset.SeriesInstanceUID
        assert put(item.action_id, dataset).status_code == 400

    def test_no_file_in_the_form(self, item: Any, dataset: Dataset) -> None:
        assert put(item.action_id, dataset, field="image").status_code == 422

    def test_an_unknown_action(self, dataset: Dataset) -> None:
        assert put("unknown", dataset).status_code == 403

    def test_an_action_of_yesterday(self, items: KnownItems, dataset: Dataset) -> None:
        old = items.add(action_day=timezone.localdate() - timedelta(days=1))
        known_to_manage(old)
        assert put(old.action_id, dataset).status_code == 403

    def test_an_action_that_is_not_confirmed(self, items: KnownItems, dataset: Dataset) -> None:
        item = items.add()
        known_to_manage(item, confirmed=False)
        assert put(item.action_id, dataset).status_code == 403

    def test_an_appointment_that_is_not_in_progress(self, items: KnownItems, dataset: Dataset, settings: Any) -> None:
        settings.AZURE_RELAY_NAMESPACE = "127.0.0.1:1"  # no gateway tells of any change
        item = items.add()
        known_to_manage(item, status="")
        assert put(item.action_id, dataset).status_code == 500
        assert not ManageImage.objects.exists()

    def test_a_study_that_is_known_under_another_action(self, items: KnownItems, item: Any, dataset: Dataset) -> None:
        put(item.action_id, dataset)
        other = items.add()
        known_to_manage(other)
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        assert put(other.action_id, dataset).status_code == 500

    def test_another_view_in_the_series(self, item: Any, dataset: Dataset) -> None:
        put(item.action_id, dataset)
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.ViewPosition = "MLO"
        assert put(item.action_id, dataset).status_code == 500

    def test_a_long_patient_id(self, item: Any, dataset: Dataset) -> None:
        dataset.PatientID = "99900000189"
        assert [put(item.action_id, dataset).status_code for _ in range(2)] == [500, 500]

    def test_the_trap_it_keeps_the_row_of_what_it_cannot_decode(self, item: Any, dataset: Dataset) -> None:
        dataset.PixelData = encapsulate([b"\xff\xd8 no JPEG"])
        dataset["PixelData"].VR = "OB"
        dataset.file_meta.TransferSyntaxUID = JPEGLossless
        assert [put(item.action_id, dataset).status_code for _ in range(2)] == [500, 201]
        assert not ManageImage.objects.get().picture


class TestFaults:
    def order(self, **values: Any) -> int:
        """Order a fault as a developer does; return the status."""
        address = "/nonprod/manage/faults"
        return int(Client().post(address, values, content_type="application/json").status_code)

    def test_a_status_for_so_many_requests(self, item: Any, dataset: Dataset) -> None:
        assert self.order(status=503, times=2) == 204
        assert [put(item.action_id, dataset).status_code for _ in range(3)] == [503, 503, 201]

    def test_all_are_removed(self, item: Any, dataset: Dataset) -> None:
        self.order(status=503)
        assert Client().delete("/nonprod/manage/faults").status_code == 204
        assert not ManageFault.objects.exists()
        assert put(item.action_id, dataset).status_code == 201

    def test_what_is_no_fault_is_refused(self) -> None:
        assert self.order(times="many") == 400


class TestAccess:
    def test_with_a_real_relay_there_is_nothing(self, item: Any, dataset: Dataset, settings: Any) -> None:
        settings.RELAY_IS_EMULATED = False
        assert put(item.action_id, dataset).status_code == 404
