"""Create and discontinue test items, which are for no patient."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from core.models import AuditLog
from dicom.models import Modality
from tests.factories import create
from tests.users import page
from tests.worklist.test_admin import LIST, detail
from worklist.models import ItemChange, WorklistItem
from worklist.performed_step.mpps_exceptions import DecisionRefused
from worklist.services.create_test_item import ENDS_AFTER, create_test_item, discontinue_test_item, end_old_test_items

pytestmark = [pytest.mark.django_db, pytest.mark.once]

MAKE = reverse("admin:worklist_worklistitem_test_item")


class TestCreating:
    def test_puts_an_item_without_a_patient_on_the_modalitys_list(self, support: Client) -> None:
        Modality.objects.create(ae_title="MAMMO3", name="The van")
        assert MAKE in page(support, LIST)
        assert "MAMMO3 The van" in page(support, MAKE)
        response = support.post(MAKE, {"station_ae_title": "MAMMO3", "modality": "MG"}, follow=True)
        item = WorklistItem.objects.get()
        assert f"{item} is on the list of MAMMO3" in response.content.decode()
        assert item.accession_number.startswith("TEST")
        assert (item.patient_name, item.patient_id, item.station_ae_title, item.status) == (
            "ZZTEST^NOT A PATIENT",
            "9999999999",
            "MAMMO3",
            "SCHEDULED",
        )
        assert (item.is_test, item.proves_ae_title) == (True, "MAMMO3")
        item.full_clean()

    def test_is_marked_on_the_pages(self, support: Client) -> None:
        item = create_test_item("", "MG", "test")
        for address in (LIST, detail(item), reverse("item-timeline", args=[item.pk])):
            text = page(support, address)
            assert "Test, no patient" in text
            assert "worklist/admin.css" in text

    def test_for_no_machine_is_for_the_test_machines(self, support: Client) -> None:
        Modality.objects.create(ae_title="TEST1", is_test_machine=True)
        assert "TEST1" not in page(support, MAKE)
        support.post(MAKE, {"station_ae_title": "", "modality": "MG"})
        assert WorklistItem.objects.get().proves_ae_title == ""

    def test_is_audited_with_the_users_name(self, support: Client) -> None:
        support.post(MAKE, {"station_ae_title": "", "modality": "MG"})
        note, item = AuditLog.objects.get(), WorklistItem.objects.get()
        assert (note.actor, note.operation, note.object_id) == ("admin:support", "create", item.pk)
        assert note.correlation_id == item.correlation_id

    def test_for_an_unknown_modality_is_refused(self, support: Client) -> None:
        response = support.post(MAKE, {"station_ae_title": "NOBODY", "modality": "MG"})
        assert "Select a valid choice" in response.content.decode()
        assert not WorklistItem.objects.exists()

    def test_needs_permission(self, client: Client) -> None:
        user = User.objects.create_user("viewer", is_staff=True)
        user.user_permissions.add(Permission.objects.get(codename="view_worklistitem"))
        client.force_login(user)
        assert MAKE not in page(client, LIST)
        assert client.post(MAKE, {"station_ae_title": "", "modality": "MG"}).status_code == 403
        assert not WorklistItem.objects.exists()


class TestDiscontinuing:
    def test_is_offered_on_the_page_and_done_after_confirmation(self, support: Client) -> None:
        item = create_test_item("", "MG", "test")
        address = reverse("admin:worklist_worklistitem_take_off", args=[item.pk])
        assert address in page(support, detail(item))
        assert "Take it off the list" in page(support, address)
        assert WorklistItem.objects.get().status == "SCHEDULED"
        assert "is off the list" in support.post(address, follow=True).content.decode()
        assert WorklistItem.objects.get().status == "DISCONTINUED"
        assert address not in page(support, detail(item))
        assert ItemChange.objects.get().status == "DISCONTINUED"

    def test_the_item_of_a_patient_is_refused(self, support: Client, item: WorklistItem) -> None:
        address = reverse("admin:worklist_worklistitem_take_off", args=[item.pk])
        assert address not in page(support, detail(item))
        assert "It is not a test item" in support.post(address, follow=True).content.decode()
        with pytest.raises(DecisionRefused):
            discontinue_test_item(item, "test")
        assert WorklistItem.objects.get().status == "SCHEDULED"

    @pytest.mark.parametrize("status", ["COMPLETED", "DISCONTINUED"])
    def test_one_that_a_machine_has_ended_is_refused(self, status: str) -> None:
        item = create_test_item("", "MG", "test")
        WorklistItem.objects.update(status=status)
        with pytest.raises(DecisionRefused, match="A machine has already ended it"):
            discontinue_test_item(item, "test")
        assert WorklistItem.objects.get().status == status


class TestEndingByItself:
    def item(self, status: str = "SCHEDULED", *, is_test: bool = True, age: timedelta = ENDS_AFTER) -> WorklistItem:
        """Create an item that was made, and last changed, this long ago."""
        item = create(status=status, is_test=is_test)
        then = timezone.now() - age - timedelta(seconds=1)
        WorklistItem.objects.filter(pk=item.pk).update(created_at=then, updated_at=then)
        return item

    @pytest.mark.parametrize("status", ["SCHEDULED", "ARRIVED", "READY", "IN PROGRESS"])
    def test_happens_an_hour_after_the_last_that_came_of_it(self, status: str) -> None:
        item = self.item(status)
        assert (end_old_test_items(), end_old_test_items()) == (1, 0)
        item.refresh_from_db()
        assert item.status == "DISCONTINUED"
        assert ItemChange.objects.get().status == "DISCONTINUED"
        assert AuditLog.objects.get().actor == "gateway"

    def test_leaves_patients_new_ones_and_those_that_have_ended(self) -> None:
        kept = [
            self.item(is_test=False),
            self.item(age=ENDS_AFTER / 2),
            self.item("COMPLETED"),
            self.item("DISCONTINUED"),
        ]
        assert end_old_test_items() == 0
        assert [WorklistItem.objects.get(pk=item.pk).status for item in kept] == [item.status for item in kept]

    def test_waits_for_an_examination_that_has_just_begun(self) -> None:
        item = self.item("IN PROGRESS")
        WorklistItem.objects.filter(pk=item.pk).update(updated_at=timezone.now())
        assert end_old_test_items() == 0
