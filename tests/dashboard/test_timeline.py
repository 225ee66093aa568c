"""The timeline of an action and its item: its entries, and its page in the admin."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from core.audit import Auditor
from dashboard.timeline import timeline_of, timeline_of_action
from relay.models import ReceivedAction
from tests.dashboard.conftest import NHS_NUMBER, send_twice
from tests.dashboard.records import failed_action, wrong_patient_exception
from tests.factories import item_of_an_action
from tests.users import client_of, page
from tests.worklist.performed_step import reports
from tests.worklist.performed_step.reports import scheduled_step
from worklist.models import Delivery, MppsException, WorklistItem

pytestmark = pytest.mark.django_db


def words_of(action: ReceivedAction) -> list[str]:
    """Return the words of the action's timeline, in order."""
    return [entry.words for entry in timeline_of_action(action)]


class TestEntries:
    def test_follow_an_action_from_receipt_to_the_last_report_in_order(self, imaged: ReceivedAction) -> None:
        words = iter(words_of(imaged))
        for beginning in (
            f"worklist.create_item received from manage-breast-screening: {imaged.action_id}",
            "Item created by relay:manage-breast-screening",
            "worklist.create_item received again: the first reply was repeated",
            "First shown to MAMMO1",
            "Last shown to MAMMO1, 2 times in total",
            "MPPS started at MAMMO1, 14:31:07 by its clock",
            "Item changed by modality:MAMMO1: status SCHEDULED → IN PROGRESS",
            "MPPS COMPLETED at MAMMO1, 14:36:40 by its clock, 4 images",
            "Item changed by modality:MAMMO1: status IN PROGRESS → COMPLETED",
        ):
            assert any(each.startswith(beginning) for each in words), (beginning, words_of(imaged))

    def test_mark_an_end_that_was_assumed(self) -> None:
        item = item_of_an_action()
        reports.create_step("2.25.1", scheduled_step(item))
        reports.set_step("2.25.1", reports.final_change(PerformedProcedureStepEndDate="2026.03.17"))
        assert "MPPS COMPLETED at MAMMO1, its end assumed, 4 images" in [entry.words for entry in timeline_of(item)]

    def test_contain_the_changes_for_manage(self, imaged: ReceivedAction) -> None:
        changes = [words.split(": ", 1)[1] for words in words_of(imaged) if words.startswith("Change ")]
        assert changes == ["IN PROGRESS, MPPS IN PROGRESS", "COMPLETED, MPPS COMPLETED"]

    def test_of_a_refused_action_are_what_arrived_and_how_it_was_answered(self) -> None:
        action = send_twice(participant__birth_date="nonsense")
        received, answered, again = words_of(action)
        assert received.startswith("worklist.create_item received from")
        assert answered.startswith("worklist.create_item answered: invalid_action")
        assert again.startswith("worklist.create_item received again")

    def test_contain_the_exception_of_a_step_with_another_patient(self, imaged: ReceivedAction) -> None:
        item = WorklistItem.objects.get()
        reports.create_step("2.25.2", scheduled_step(item), PatientID="9990000018")
        exception = MppsException.objects.get(reason="wrong_patient")
        assert any("Wrong patient" in entry.words and str(exception.pk) in entry.link for entry in timeline_of(item))

    def test_leave_out_a_change_that_another_entry_tells(self) -> None:
        item = item_of_an_action(accession_number="ACC1")
        before = timeline_of(item)
        assert Auditor("gateway:images").update(item, first_image_at=timezone.now())
        assert timeline_of(item) == before

    def test_name_no_patient(self, imaged: ReceivedAction) -> None:
        text = " ".join(words_of(imaged))
        assert [secret for secret in ("SECRETARY", "ZOË", NHS_NUMBER) if secret in text] == []

    def test_link_to_pages_that_exist(self, imaged: ReceivedAction, admin_client: Client) -> None:
        wrong_patient_exception("ACC1")
        links = {entry.link for entry in timeline_of_action(imaged)}
        assert {link: admin_client.get(link).status_code for link in links} == dict.fromkeys(links, 200)


class TestPage:
    @pytest.mark.parametrize("group", ["support", "clinic"])
    def test_is_one_click_from_the_action_and_from_the_item(self, group: str) -> None:
        item = item_of_an_action(accession_number="ACC1", participant__name="SMITH^JANE")
        action = failed_action()
        Delivery.objects.add([item.pk], "MAMMO1", timezone.now())
        reports.create_step("2.25.1", reports.scheduled_step(item))
        client = client_of(group)
        of_item, of_action = (
            reverse(f"{name}-timeline", args=[record.pk]) for name, record in (("item", item), ("action", action))
        )
        assert of_item in page(client, reverse("admin:worklist_worklistitem_change", args=[item.pk]))
        assert of_action in page(client, reverse("admin:relay_receivedaction_change", args=[action.pk]))
        for text in (page(client, of_item), page(client, of_action)):
            expected = (
                "not_found",
                "Item created by",
                "First shown to MAMMO1",
                "MPPS started",
                "MAMMO1</td>",
                "IN PROGRESS",
            )
            assert [each for each in expected if each not in text] == []
            assert "SMITH" not in text

    def test_of_an_action_without_an_item_shows_how_it_was_answered(self, support: Client) -> None:
        text = page(support, reverse("action-timeline", args=[failed_action().pk]))
        assert "answered: not_found" in text

    def test_shows_times_in_the_clinics_time_zone(self, support: Client) -> None:
        summer = timezone.now().replace(year=2026, month=7, day=1, hour=10, minute=11, second=12)
        assert "11:11:12" in page(support, reverse("action-timeline", args=[failed_action(received_at=summer).pk]))

    @pytest.mark.parametrize("name", ["item", "action"])
    def test_of_an_unknown_record_is_404(self, support: Client, name: str) -> None:
        nobody = "00000000-0000-0000-0000-000000000000"
        assert support.get(reverse(f"{name}-timeline", args=[nobody])).status_code == 404

    def test_needs_the_permissions_of_everything_that_it_shows(self, client: Client) -> None:
        address = reverse("action-timeline", args=[failed_action().pk])
        assert client.get(address).status_code == 302
        client.force_login(User.objects.create_user("nobody", is_staff=True))
        assert client.get(address).status_code == 403
