"""Images that wait for Manage, the items they belong to, and an emulated Manage that knows their actions."""

import itertools
import uuid
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.utils import timezone
from pydicom.uid import UID, generate_uid

from images.items import ImageIdentity, Item
from images.models import ReceivedImage
from images.phantoms import Phantom, image_of
from nonprod.models import Appointment, ManageFault

State, Reason = ReceivedImage.State, ReceivedImage.Reason
API = "/nonprod/manage/api/v1"
_numbers = itertools.count(1)


@dataclass
class KnownItems:
    """A worklist of the items that a test adds, as `settings.IMAGE_WORKLIST` names one."""

    items: dict[UUID, Item] = field(default_factory=dict)

    def add(self, **values: Any) -> Item:
        """Add an item whose action Manage knows, for a woman who is being examined today."""
        number = f"ACC{next(_numbers):06}"
        defaults = {"action_id": str(uuid.uuid4()), "action_day": timezone.localdate(), "patient_id": "9990000018"}
        given = {"id": uuid.uuid4(), "accession_number": number, "study_instance_uid": generate_uid(), **defaults}
        item = Item(**{**given, "correlation_id": f"correlation-{number}", "is_test": False, **values})
        self.items[item.id] = item
        return item

    def send_again(self, item: Item, **values: Any) -> Item:
        """Give an item a new action, as when somebody presses *Send again* in Manage."""
        self.items[item.id] = replace(item, **{"action_id": str(uuid.uuid4()), **values})
        return self.items[item.id]

    def item(self, item_id: UUID) -> Item | None:
        return self.items.get(item_id)

    def item_of(self, identity: ImageIdentity) -> Item | None:
        return None

    def item_of_number(self, accession_number: str) -> Item | None:
        return None

    def is_same_patient(self, one: str, other: str) -> bool:
        return one == other

    def image_received(self, item_id: UUID, at: datetime) -> None:
        """Take note."""

    def images_complete(self, item_id: UUID) -> None:
        """Take note."""


KNOWN = KnownItems()


def known_to_manage(item: Item, *, status: str = "IN PROGRESS", confirmed: bool = True) -> Appointment:
    """Let the emulated Manage know the item's action, of today unless the item says otherwise."""
    number = next(_numbers)
    made_on = item.action_day or timezone.localdate()
    made_at = timezone.make_aware(datetime.combine(made_on, time(12)))
    action = {"action_id": item.action_id, "timestamp": made_at.isoformat()}
    return Appointment.objects.create(
        date=date(2020, 1, 1) + timedelta(days=number),
        time=time(9),
        name="SMITH^JANE",
        nhs_number=item.patient_id[:10],
        birth_date=date(1970, 3, 21),
        accession_number=item.accession_number,
        action=action,
        reply={"status": "created"} if confirmed else {"status": "error"},
        problem="" if confirmed else "invalid_action",
        worklist_status=status,
    )


def waiting_image(item: Item, view: str = "L CC", **values: Any) -> ReceivedImage:
    """Add an image of an item to the queue, due now."""
    laterality, view_position = view.split(" ")
    now = timezone.now()
    defaults = {
        "sop_instance_uid": generate_uid(),
        "digest": uuid.uuid4().hex,
        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.1.2",
        "transfer_syntax_uid": "1.2.840.10008.1.2.1",
        "study_instance_uid": item.study_instance_uid,
        "series_instance_uid": generate_uid(),
        "accession_number": item.accession_number,
        "patient_id": item.patient_id,
        "image_laterality": laterality,
        "view_position": view_position,
        "calling_ae_title": "MAMMO1",
        "address": "127.0.0.1",
        "received_at": now,
        "size": 1000,
        "file": f"{uuid.uuid4()}.dcm",
        "item_id": item.id,
        "item_accession_number": item.accession_number,
        "correlation_id": item.correlation_id,
        "state": State.WAITING,
        "next_attempt_at": now,
    }
    return ReceivedImage.objects.create(**{**defaults, **values})


def write_phantom(path: Path, image: ReceivedImage, **looks: Any) -> Path:
    """Write the Part 10 file of an image: a small phantom that Manage can decode."""
    phantom = Phantom(f"{image.image_laterality} {image.view_position}", **{"rows": 200, "columns": 160, **looks})
    dataset = image_of(phantom, at=timezone.localtime())
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(image.sop_instance_uid)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = image.study_instance_uid, image.series_instance_uid
    dataset.PatientID, dataset.AccessionNumber = image.patient_id, image.accession_number
    dataset.save_as(path, enforce_file_format=True)
    return path


def order_fault(**values: Any) -> None:
    """Have the emulated Manage fail."""
    ManageFault.objects.create(**values)
