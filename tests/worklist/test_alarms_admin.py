"""Show alarms about items in the admin, and let a person dismiss them."""

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from core.concerns import open_concerns
from core.models import AuditLog
from dashboard.rooms import todays_rooms
from tests.users import client_of, page
from tests.worklist.test_admin import detail
from worklist.models import ItemAlarm, WorklistItem
from worklist.performed_step.mpps_exceptions import DecisionRefused
from worklist.services.dismiss_alarm import dismiss_alarm

pytestmark = [pytest.mark.django_db, pytest.mark.once]


@pytest.fixture
def alarm(item: WorklistItem) -> ItemAlarm:
    """An alarm about an item of today."""
    WorklistItem.objects.update(scheduled_date=timezone.localdate())
    ItemAlarm.objects.raise_for(item, ItemAlarm.Kind.REPAIRED, "PatientName", "shortened")
    return ItemAlarm.objects.get()


def address(alarm: ItemAlarm, what: str = "dismiss") -> str:
    """Return the address of the alarm's page, or of the one that asks for the reason."""
    return reverse(f"admin:worklist_itemalarm_{what}", args=[alarm.pk])


class TestDismissing:
    def test_takes_the_alarm_from_what_needs_attention(self, alarm: ItemAlarm) -> None:
        (concern,) = [each for each in open_concerns(timezone.now()) if each.key == "item_repaired"]
        assert concern.lines()[0].words == "ACC1 is on the machines’ lists with a repaired PatientName: shortened"
        dismiss_alarm(alarm, "admin:jane", "read her the list")
        assert [each for each in open_concerns(timezone.now()) if each.key == "item_repaired"] == []

    def test_is_audited_with_the_item_under_the_persons_name(self, alarm: ItemAlarm, clinic: Client) -> None:
        answer = clinic.post(address(alarm), {"note": "read her the list"}, follow=True)
        assert "The alarm is dismissed." in answer.content.decode()
        entry = AuditLog.objects.get(object_id=alarm.item_id)
        assert (entry.actor, entry.after) == (
            "admin:clinic",
            {"alarm repaired PatientName": "dismissed: read her the list"},
        )
        alarm.refresh_from_db()
        assert (alarm.dismissed_by, alarm.note) == ("admin:clinic", "read her the list")

    @pytest.mark.parametrize("note", ["", "   ", "it was 9990000018"])
    def test_needs_a_reason_without_an_nhs_number(self, alarm: ItemAlarm, clinic: Client, note: str) -> None:
        assert clinic.post(address(alarm), {"note": note}).status_code == 200
        assert ItemAlarm.objects.open().exists()

    def test_is_done_once(self, alarm: ItemAlarm) -> None:
        dismiss_alarm(alarm, "admin:jane", "seen")
        with pytest.raises(DecisionRefused, match="already"):
            dismiss_alarm(alarm, "admin:ann", "seen")
        with pytest.raises(DecisionRefused, match="reason"):
            dismiss_alarm(alarm, "admin:ann", " ")

    def test_needs_the_permission(self, alarm: ItemAlarm, support: Client) -> None:
        assert address(alarm) not in page(support, address(alarm, "change"))
        assert support.post(address(alarm), {"note": "seen"}).status_code == 403
        assert ItemAlarm.objects.open().exists()

    def test_is_offered_on_the_page_until_it_is_done(self, alarm: ItemAlarm, clinic: Client) -> None:
        assert address(alarm) in page(clinic, address(alarm, "change"))
        assert "repaired PatientName: shortened" in page(clinic, address(alarm))
        dismiss_alarm(alarm, "admin:jane", "seen")
        assert address(alarm) not in page(clinic, address(alarm, "change"))


class TestAnItemThatCannotBeShown:
    def test_can_be_dismissed_too_and_stays_dismissed(self, item: WorklistItem) -> None:
        WorklistItem.objects.update(scheduled_date=timezone.localdate())
        ItemAlarm.objects.add({item.pk: "PatientAddress"}, timezone.now())
        dismiss_alarm(ItemAlarm.objects.get(), "admin:jane", "entered at the machine")
        ItemAlarm.objects.add({item.pk: "PatientAddress"}, timezone.now())
        assert ItemAlarm.objects.get().times == 2
        assert [each for each in open_concerns(timezone.now()) if each.key == "item_not_shown"] == []
        (room,) = todays_rooms((), timezone.localdate())
        assert room.rows[0].problem, "she is still on no machine's list"


class TestTheItem:
    def test_has_its_alarms_on_its_page_with_who_dismissed_them(self, alarm: ItemAlarm) -> None:
        clinic = client_of("clinic")
        assert "ACC1 is on the machines’ lists with a repaired PatientName: shortened" in page(
            clinic, detail(alarm.item)
        )
        dismiss_alarm(alarm, "admin:jane", "seen")
        assert "(dismissed by admin:jane)" in page(clinic, detail(alarm.item))

    def test_has_the_alarm_and_its_dismissal_on_its_timeline(self, alarm: ItemAlarm, admin_client: Client) -> None:
        dismiss_alarm(alarm, "admin:jane", "seen")
        text = page(admin_client, reverse("item-timeline", args=[alarm.item_id]))
        assert "Alarm: ACC1 is on the machines’ lists with a repaired PatientName: shortened" in text
        assert "alarm repaired PatientName open → dismissed: seen" in text
