"""The pages about images: what each group sees, the picture, and a person's decisions."""

from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from images.models import ReceivedImage
from images.spool import spool
from tests.images.received import stored
from tests.images.test_linking import sent
from tests.users import client_of, page
from worklist.models import WorklistItem

pytestmark = [pytest.mark.django_db, pytest.mark.once]

State, Reason = ReceivedImage.State, ReceivedImage.Reason
LIST = reverse("admin:images_receivedimage_changelist")
HER_NUMBER = "9990000018"


@pytest.fixture
def clinic() -> Client:
    return client_of("clinic")


@pytest.fixture
def support() -> Client:
    return client_of("support")


@pytest.fixture
def held() -> ReceivedImage:
    """Store an image that names another patient than the item."""
    sent("ACC1")
    changes = {"item_accession_number": "ACC1", "accession_number": "ACC1", "patient_id": "9990000026"}
    return stored(state=State.HELD, reason=Reason.ANOTHER_PATIENT, file="a.dcm", **changes)


def address(image: ReceivedImage, name: str = "change") -> str:
    """Return the address of one of the image's pages."""
    return reverse(f"admin:images_receivedimage_{name}", args=[image.pk])


def decide(client: Client, image: ReceivedImage, name: str, **given: str) -> str:
    """Send the form of a decision; return the page that follows."""
    response = client.post(address(image, name), {"note": "Checked at the machine.", **given}, follow=True)
    assert response.status_code == 200
    image.refresh_from_db()
    return response.content.decode()


class TestWhatIsSeen:
    def test_the_list_has_each_image_with_its_state_and_why(self, support: Client, held: ReceivedImage) -> None:
        text = page(support, LIST)
        assert "RCC" in text
        assert held.get_state_display() in text
        assert held.get_reason_display() in text

    def test_only_the_clinic_sees_the_nhs_number(self, clinic: Client, support: Client, held: ReceivedImage) -> None:
        assert [held.patient_id in page(client, address(held)) for client in (clinic, support)] == [True, False]

    def test_the_item_that_a_held_image_names_is_a_link(self, support: Client, held: ReceivedImage) -> None:
        assert "none, but it names" in page(support, address(held))

    def test_the_items_page_leads_to_its_images(self, support: Client, held: ReceivedImage) -> None:
        item = WorklistItem.objects.get(accession_number="ACC1")
        images = f"{LIST}?item_accession_number=ACC1"
        assert images in page(support, reverse("admin:worklist_worklistitem_change", args=[item.pk]))
        assert address(held) in page(support, images)

    def test_only_the_clinic_is_offered_decisions(self, clinic: Client, support: Client, held: ReceivedImage) -> None:
        assert "Link to an item" in page(clinic, address(held))
        assert "Link to an item" not in page(support, address(held))
        assert support.get(address(held, "link")).status_code == 403


class TestThePicture:
    @pytest.fixture
    def shown(self, settings: Any, tmp_path: Path) -> ReceivedImage:
        settings.IMAGE_SPOOL_DIR = tmp_path
        spool().prepare()
        _write_copy(spool().copy("b.dcm"))
        return stored(copy="b.dcm")

    def test_is_a_png_for_the_clinic_alone_and_kept_nowhere(
        self, clinic: Client, support: Client, shown: ReceivedImage
    ) -> None:
        response = clinic.get(address(shown, "picture"))
        assert response.content.startswith(b"\x89PNG")
        assert "no-store" in response.headers["Cache-Control"]
        assert support.get(address(shown, "picture")).status_code == 403

    def test_is_on_the_images_page_for_the_clinic_alone(
        self, clinic: Client, support: Client, shown: ReceivedImage
    ) -> None:
        assert address(shown, "picture") in page(clinic, address(shown))
        assert address(shown, "picture") not in page(support, address(shown))

    def test_that_is_gone_is_not_found(self, clinic: Client, shown: ReceivedImage) -> None:
        spool().copy("b.dcm").write_bytes(b"no DICOM")
        assert clinic.get(address(shown, "picture")).status_code == 404
        assert clinic.get(address(stored(), "picture")).status_code == 404


class TestDeciding:
    def test_links_an_image_that_belongs_to_no_item(self, clinic: Client) -> None:
        sent("ACC1")
        image = stored(state=State.UNLINKED, file="a.dcm", patient_id=HER_NUMBER)
        assert "The image is now waiting to go to Manage" in decide(clinic, image, "link", accession_number="ACC1")

    def test_refuses_another_patients_item_unless_it_is_confirmed(self, clinic: Client, held: ReceivedImage) -> None:
        assert "is not the item&#x27;s" in decide(clinic, held, "link", accession_number="ACC1")
        assert held.state == State.HELD
        decide(clinic, held, "link", accession_number="ACC1", another_patient="on")
        assert held.state == State.WAITING

    def test_refuses_an_unknown_number(self, clinic: Client, held: ReceivedImage) -> None:
        assert "No worklist item has this" in decide(clinic, held, "link", accession_number="UNKNOWN")

    def test_needs_a_reason_without_an_nhs_number(self, clinic: Client, held: ReceivedImage) -> None:
        decide(clinic, held, "discard", note="")
        assert "look like an NHS number" in decide(clinic, held, "discard", note="It is 999 000 0018")
        assert held.state == State.HELD

    def test_discards(self, clinic: Client, held: ReceivedImage) -> None:
        assert "The image is now discarded" in decide(clinic, held, "discard")
        assert held.state == State.DISCARDED

    def test_who_puts_an_item_back_is_told_what_becomes_of_its_images(self, clinic: Client) -> None:
        put_back = reverse("admin:worklist_worklistitem_put_back", args=[sent("ACC1").pk])
        assert "Those that Manage does not have yet are held back" in page(clinic, put_back)

    def test_says_if_manage_may_have_what_is_discarded(self, clinic: Client) -> None:
        image = stored(file="a.dcm", action_id="A")
        assert "It had already been sent, so Manage may have it" in decide(clinic, image, "discard")

    def test_says_if_manage_may_have_what_is_linked_with_another_item(self, clinic: Client) -> None:
        sent("ACC1")
        image = stored(state=State.HELD, file="a.dcm", patient_id=HER_NUMBER, action_id="A")
        assert "Manage may have it" in decide(clinic, image, "link", accession_number="ACC1")

    def test_says_why_nothing_can_be_done(self, clinic: Client) -> None:
        image = stored(state=State.UPLOADED, file="a.dcm", item_id=sent("ACC1").pk)
        assert "Nothing has changed. It is with Manage." in decide(clinic, image, "again")


def _write_copy(path: Path) -> None:
    """Write a small grey image as an uncompressed DICOM file."""
    import numpy as np  # noqa: PLC0415
    from pydicom.dataset import Dataset, FileMetaDataset  # noqa: PLC0415
    from pydicom.uid import UID, ExplicitVRLittleEndian  # noqa: PLC0415

    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID = UID("1.2.840.10008.5.1.4.1.1.1.2")
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID = UID("1.2.3")
    image.Rows, image.Columns, image.SamplesPerPixel = 4, 5, 1
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit, image.PixelRepresentation, image.PhotometricInterpretation = 15, 0, "MONOCHROME2"
    image.PixelData = np.arange(20, dtype=np.uint16).tobytes()
    image.save_as(path, enforce_file_format=True)
