"""Define what images need of the worklist: the item of an image, a record that it came, and test items.

The app knows nothing else of the worklist. `settings.IMAGE_WORKLIST` names the implementation,
`gateway_project/images.py`, which reads the worklist and the relay.
"""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Protocol, cast
from uuid import UUID

from django.conf import settings
from django.utils.module_loading import import_string


@dataclass(frozen=True)
class ImageIdentity:
    """What an image says about the examination it belongs to; an empty value says nothing.

    `accession_numbers` is the top level's, followed by those of the Request Attributes Sequence (0040,0275). `taken_at`
    is when it was acquired, by the machine's clock.
    """

    study_instance_uid: str = ""
    accession_numbers: tuple[str, ...] = ()
    patient_id: str = field(default="", repr=False)
    study_date: date | None = None
    taken_at: datetime | None = None


@dataclass(frozen=True)
class Action:
    """An action of Manage's, under which images go, and the clinic's day on which it came; both empty without one."""

    id: str = ""
    day: date | None = None


@dataclass(frozen=True)
class Item:
    """A worklist item, as far as images need it.

    `action_id` is that of the newest action for its appointment that Manage counts as confirmed, and `action_day` the
    clinic's day on which it was made: Manage takes images under an action of the same day only. Both are empty for an
    item that no action made. `put_back_at` is when a person last put it back on the list: an image that had come before
    may be another woman's.
    """

    id: UUID
    accession_number: str
    study_instance_uid: str
    patient_id: str = field(repr=False)
    correlation_id: str
    is_test: bool
    action_id: str = ""
    action_day: date | None = None
    put_back_at: datetime | None = None


class NamesSeveralItems(Exception):
    """An image names several items; `accession_numbers` are theirs."""

    def __init__(self, accession_numbers: tuple[str, ...]) -> None:
        super().__init__(", ".join(accession_numbers))
        self.accession_numbers = accession_numbers


class Worklist(Protocol):
    """What the app asks the worklist, and what it reports to it."""

    def item_of(self, identity: ImageIdentity) -> Item | None:
        """Return the item that an image belongs to, and for a superseded one its successor; None without one.

        By Study Instance UID; then, together with a Patient ID, by accession number; by Patient ID alone only if the
        image has no number, exactly one item of that patient is on today's list, and the Study Date is today. Raise
        NamesSeveralItems if the Study Instance UID and the accession number name different items.
        """

    def item(self, item_id: UUID) -> Item | None:
        """Return an item by its id, and for a superseded one its successor."""

    def item_of_number(self, accession_number: str) -> Item | None:
        """Return an item by its accession number, and for a superseded one its successor."""

    def is_same_patient(self, one: str, other: str) -> bool:
        """Return whether two Patient IDs may be one patient's."""

    def image_received(self, item_id: UUID, at: datetime) -> None:
        """Record that an image of the item has come: without MPPS, the item is now in progress.

        Call it in a transaction, as the last thing in it.
        """

    def images_complete(self, item_id: UUID) -> bool:
        """Record that no further image of the item is expected; return whether that has completed it.

        An item that a performed step or Manage has ended or continues stays as it is, and so does a superseded one.
        """

    def create_test_item(self, by: str) -> Item:
        """Make a test item for the test machines, and return it; `by` is who asked for it, such as `admin:jane`."""

    def waiting_test_items(self) -> list[Item]:
        """Return the test items that Manage has sent in the last hour and that no machine has begun."""


def worklist() -> Worklist:
    """Return the worklist that the settings name."""
    return cast(Worklist, import_string(settings.IMAGE_WORKLIST))
