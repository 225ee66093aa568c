"""Which item an image belongs to, and what its images do to an item beside MPPS."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from core.database import borrowed_connection
from core.models import AuditLog
from tests.factories import create
from tests.worklist.performed_step.reports import create_step, final_change, scheduled_step, set_step
from tests.worklist.services.executing import update
from tests.worklist.services.test_superseding import item, sent, statuses
from worklist.models import ItemAlarm, ItemChange, WorklistItem
from worklist.performed_step.images import image_received, images_complete, items_of_image
from worklist.performed_step.mpps_exceptions import DecisionRefused, is_begun_by_images, put_item_back
from worklist.services.create_test_item import create_test_item

pytestmark = pytest.mark.django_db

JANE = "admin:jane"


def receive(item: WorklistItem) -> None:
    """Note an image of an item, in a transaction as the caller's."""
    with transaction.atomic():
        image_received(item.pk, timezone.now())


def complete(item: WorklistItem) -> None:
    """Note that no further image is expected."""
    with transaction.atomic():
        images_complete(item.pk, timezone.now())


def changes() -> list[tuple[str, str | None]]:
    """Return each change in the outbox: the item's status and that of its deciding step."""
    return [(each.status, each.performed and each.performed["status"]) for each in ItemChange.objects.all()]


def status(item: WorklistItem) -> str:
    """Return the item's status as it is stored."""
    item.refresh_from_db()
    return item.status


@pytest.fixture
def today() -> WorklistItem:
    """Create an item of today."""
    return create(scheduled_date=timezone.localdate(), patient_id="9990000018")


class TestTheItemOfAnImage:
    def test_is_found_by_its_study(self, today: WorklistItem) -> None:
        assert items_of_image(today.study_instance_uid, [], "", None) == [today]

    def test_is_found_by_its_number_where_the_unit_has_made_the_study(self, today: WorklistItem) -> None:
        assert items_of_image("1.2.3", [today.accession_number], today.patient_id, None) == [today]

    def test_is_not_found_by_a_number_if_the_image_names_no_patient(self, today: WorklistItem) -> None:
        assert items_of_image("1.2.3", [today.accession_number], "", None) == []

    def test_is_found_by_the_first_number_that_an_item_has(self, today: WorklistItem) -> None:
        assert items_of_image("1.2.3", ["UNKNOWN", today.accession_number], today.patient_id, None) == [today]

    def test_is_several_if_study_and_number_disagree(self, today: WorklistItem) -> None:
        other = create()
        assert items_of_image(today.study_instance_uid, [other.accession_number], "", None) == [today, other]

    def test_is_that_of_its_study_if_one_of_its_numbers_agrees(self, today: WorklistItem) -> None:
        numbers = [create().accession_number, today.accession_number]
        assert items_of_image(today.study_instance_uid, numbers, "", None) == [today]

    def test_is_that_of_its_study_if_no_item_has_its_number(self, today: WorklistItem) -> None:
        assert items_of_image(today.study_instance_uid, ["UNKNOWN"], "", None) == [today]

    def test_is_the_successor_of_a_superseded_one(self) -> None:
        sent("ACC1")
        sent("ACC2")
        first = item("ACC1")
        assert items_of_image(first.study_instance_uid, ["ACC1"], "9990000018", None) == [item("ACC2")]

    def test_is_a_test_item_if_it_has_its_number(self) -> None:
        test = create_test_item("", "MG", JANE)
        assert items_of_image("1.2.3", [test.accession_number], test.patient_id, None) == [test]


class TestByThePatientAlone:
    def test_her_only_item_today_is_found(self, today: WorklistItem) -> None:
        assert items_of_image("1.2.3", [], "999 000 0018", timezone.localdate()) == [today]

    def test_a_prior_examination_belongs_to_nothing(self, today: WorklistItem) -> None:
        assert items_of_image("1.2.3", [], today.patient_id, timezone.localdate() - timedelta(days=1)) == []
        assert items_of_image("1.2.3", [], today.patient_id, None) == []

    def test_an_item_of_another_day_is_not_found(self) -> None:
        other = create(scheduled_date=timezone.localdate() + timedelta(days=1))
        assert items_of_image("1.2.3", [], other.patient_id, timezone.localdate()) == []

    def test_nothing_is_found_if_she_has_two(self, today: WorklistItem) -> None:
        create(scheduled_date=today.scheduled_date, patient_id=today.patient_id)
        assert items_of_image("1.2.3", [], today.patient_id, timezone.localdate()) == []

    def test_a_superseded_item_does_not_count(self) -> None:
        day = f"{timezone.localdate():%Y%m%d}"
        sent("ACC1", scheduled__date=day)
        sent("ACC2", scheduled__date=day)
        assert items_of_image("1.2.3", [], "9990000018", timezone.localdate()) == [item("ACC2")]

    def test_an_image_with_the_number_of_another_order_belongs_to_nothing(self, today: WorklistItem) -> None:
        assert items_of_image("1.2.3", ["UNKNOWN"], today.patient_id, timezone.localdate()) == []

    def test_an_image_without_a_patient_belongs_to_nothing(self, today: WorklistItem) -> None:
        assert items_of_image("1.2.3", [], "", timezone.localdate()) == []

    def test_a_test_item_is_never_found(self) -> None:
        test = create_test_item("", "MG", JANE)
        assert items_of_image("1.2.3", [], test.patient_id, timezone.localdate()) == []


class TestAnImage:
    def test_begins_the_item_and_tells_manage_so_without_a_performed_step(self, today: WorklistItem) -> None:
        receive(today)
        assert (status(today), changes()) == ("IN PROGRESS", [("IN PROGRESS", None)])
        assert today.first_image_at is not None
        assert set(AuditLog.objects.filter(object_id=today.pk).values_list("actor", flat=True)) == {"gateway:images"}

    def test_that_follows_another_changes_nothing(self, today: WorklistItem) -> None:
        receive(today)
        before = WorklistItem.objects.values().get()
        receive(today)
        assert (WorklistItem.objects.values().get(), len(changes())) == (before, 1)

    def test_after_an_arrival_begins_the_item(self, today: WorklistItem) -> None:
        update(today.accession_number, "READY")
        receive(today)
        assert status(today) == "IN PROGRESS"

    @pytest.mark.parametrize("final", ["COMPLETED", "DISCONTINUED"])
    def test_does_not_reopen_what_manage_has_closed(self, today: WorklistItem, final: str) -> None:
        update(today.accession_number, final)
        receive(today)
        complete(today)
        assert (status(today), len(changes())) == (final, 1)

    def test_of_a_superseded_item_begins_its_successor(self) -> None:
        sent("ACC1")
        first = item("ACC1")
        sent("ACC2")
        receive(first)
        assert statuses() == {"ACC1": "DISCONTINUED", "ACC2": "IN PROGRESS"}

    def test_keeps_the_item_on_the_list_when_she_is_sent_again(self) -> None:
        sent("ACC1")
        receive(item("ACC1"))
        assert "supersedes" not in sent("ACC2")
        assert statuses() == {"ACC1": "IN PROGRESS", "ACC2": "SCHEDULED"}
        assert ItemAlarm.objects.get().kind == ItemAlarm.Kind.SENT_AGAIN


class TestBesideMpps:
    def test_the_step_that_comes_after_an_image_counts_fully(self, today: WorklistItem) -> None:
        receive(today)
        create_step("1.1", scheduled_step(today))
        set_step("1.1", final_change())
        assert status(today) == "COMPLETED"
        assert changes() == [("IN PROGRESS", None), ("IN PROGRESS", "IN PROGRESS"), ("COMPLETED", "COMPLETED")]

    def test_an_image_during_the_step_changes_nothing(self, today: WorklistItem) -> None:
        create_step("1.1", scheduled_step(today))
        receive(today)
        set_step("1.1", final_change("DISCONTINUED"))
        assert status(today) == "DISCONTINUED"
        assert changes() == [("IN PROGRESS", "IN PROGRESS"), ("DISCONTINUED", "DISCONTINUED")]

    @pytest.mark.parametrize("final", ["COMPLETED", "DISCONTINUED"])
    def test_an_image_after_the_step_does_not_reopen_the_item(self, today: WorklistItem, final: str) -> None:
        create_step("1.1", scheduled_step(today))
        set_step("1.1", final_change(final))
        receive(today)
        complete(today)
        assert (status(today), len(changes())) == (final, 2)

    @pytest.mark.parametrize("final", ["COMPLETED", "DISCONTINUED"])
    def test_a_step_that_comes_after_the_end_of_the_images_counts_fully(self, today: WorklistItem, final: str) -> None:
        receive(today)
        complete(today)
        create_step("1.1", scheduled_step(today))
        assert status(today) == "IN PROGRESS"
        set_step("1.1", final_change(final))
        assert status(today) == final
        assert changes()[1:] == [("COMPLETED", None), ("IN PROGRESS", "IN PROGRESS"), (final, final)]

    def test_the_end_of_the_images_does_not_end_a_step(self, today: WorklistItem) -> None:
        receive(today)
        create_step("1.1", scheduled_step(today))
        complete(today)
        assert status(today) == "IN PROGRESS"


class TestTheEndOfTheImages:
    def test_completes_the_item(self, today: WorklistItem) -> None:
        receive(today)
        complete(today)
        assert (status(today), changes()) == ("COMPLETED", [("IN PROGRESS", None), ("COMPLETED", None)])

    def test_also_if_manage_has_reported_that_it_is_in_progress(self, today: WorklistItem) -> None:
        update(today.accession_number, "IN PROGRESS")
        receive(today)
        complete(today)
        assert status(today) == "COMPLETED"

    def test_does_not_complete_an_item_without_images(self, today: WorklistItem) -> None:
        update(today.accession_number, "IN PROGRESS")
        complete(today)
        assert status(today) == "IN PROGRESS"

    def test_is_not_reopened_by_a_further_image(self, today: WorklistItem) -> None:
        receive(today)
        complete(today)
        receive(today)
        assert status(today) == "COMPLETED"


class TestPuttingBack:
    def test_an_item_that_only_images_have_begun_forgets_them(self, today: WorklistItem) -> None:
        receive(today)
        complete(today)
        assert (status(today), is_begun_by_images(today)) == ("COMPLETED", True)
        put_item_back(today, JANE)
        assert (status(today), is_begun_by_images(today)) == ("SCHEDULED", False)

    def test_an_item_whose_step_was_discontinued_forgets_its_images_too(self, today: WorklistItem) -> None:
        receive(today)
        create_step("1.1", scheduled_step(today))
        set_step("1.1", final_change("DISCONTINUED"))
        put_item_back(today, JANE)
        assert status(today) == "SCHEDULED"
        receive(today)
        assert status(today) == "IN PROGRESS"

    def test_is_refused_while_a_step_counts(self, today: WorklistItem) -> None:
        receive(today)
        create_step("1.1", scheduled_step(today))
        with pytest.raises(DecisionRefused, match="It is IN PROGRESS"):
            put_item_back(today, JANE)

    def test_lets_the_newer_item_of_the_appointment_supersede_it(self) -> None:
        sent("ACC1")
        receive(item("ACC1"))
        sent("ACC2")
        put_item_back(item("ACC1"), JANE)
        assert statuses() == {"ACC1": "DISCONTINUED", "ACC2": "SCHEDULED"}


@pytest.mark.django_db(transaction=True)
class TestFourImagesAtOnce:
    def test_begin_their_items_once_each(self) -> None:
        several = [create() for _ in range(3)]

        def one(item: WorklistItem) -> None:
            with borrowed_connection():
                receive(item)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(one, several * 4))
        assert [status(item) for item in several] == ["IN PROGRESS"] * 3
        assert changes() == [("IN PROGRESS", None)] * 3
