"""The same appointment sent again supersedes: nobody is on the list twice, and nobody is lost."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pydicom.dataset import Dataset

from core.concerns import open_concerns
from core.contract import GatewayAction
from core.database import borrowed_connection, in_transaction
from core.models import AuditLog
from nonprod.manage_emulator import NAME
from tests.dicom.requests import Unit, dataset, request
from tests.factories import payload
from tests.relay.test_dispatcher import REPLY_SCHEMA
from tests.worklist.performed_step.reports import create_step, final_change, scheduled_step, set_step
from tests.worklist.services.executing import create, update
from worklist.models import ItemAlarm, ItemChange, MppsException, StepLink, WorklistItem
from worklist.performed_step.mpps_exceptions import DecisionRefused, put_item_back
from worklist.services.changes_since import changes_since
from worklist.services.item_status import worklist_item_status

pytestmark = pytest.mark.django_db

#: The woman of `payload`, as a modality reports her.
PERSON: dict[str, Any] = {"PatientID": "9990000018", "PatientName": NAME, "PatientBirthDate": "19700321"}
WARNING = {"path": "source_reference.appointment_id", "repair": "sent again after the examination began"}


def sent(number: str, appointment: Any = "appointment-1", action_type: str = "", **changes: Any) -> dict[str, Any]:
    """Send an item of an appointment; return the reply, which must be as the schema says."""
    content = payload(accession_number=number, **changes)
    content["source_reference"]["appointment_id"] = appointment
    content["action_type"] = action_type or content["action_type"]
    reply = create(content)
    REPLY_SCHEMA.validate(reply)
    return {name: value for name, value in reply.items() if name != "action_id"}


def item(number: str) -> WorklistItem:
    """Return an item as it is stored."""
    return WorklistItem.objects.get(accession_number=number)


def statuses() -> dict[str, str]:
    """Return the status of each item by accession number."""
    return dict(WorklistItem.objects.order_by("accession_number").values_list("accession_number", "status"))


def alarms() -> list[tuple[str, str]]:
    """Return the accession number and the kind of each alarm."""
    return sorted(ItemAlarm.objects.values_list("item__accession_number", "kind"))


def item_status(number: str) -> dict[str, Any]:
    """Ask as Manage does."""
    parameters = {"worklist_item": {"accession_number": number}}
    reply = worklist_item_status(GatewayAction({"parameters": parameters}, "worklist.item_status", None))
    REPLY_SCHEMA.validate(reply)
    return reply


def end_step(uid: str, status: str = "COMPLETED", **changes: Any) -> None:
    """End a step by an N-SET."""
    set_step(uid, final_change(status, **changes))


class TestTheSameAppointmentAgain:
    def test_supersedes_the_item_that_is_still_to_be_imaged(self) -> None:
        assert sent("ACC1") == {"status": "created"}
        assert sent("ACC2") == {"status": "created", "supersedes": ["ACC1"]}
        assert statuses() == {"ACC1": "DISCONTINUED", "ACC2": "SCHEDULED"}
        assert item("ACC1").superseded_by == item("ACC2")
        assert item("ACC1").study_instance_uid != item("ACC2").study_instance_uid
        assert alarms() == []

    def test_again_and_again_leaves_the_last(self) -> None:
        for number in ("ACC1", "ACC2", "ACC3"):
            sent(number)
        assert list(WorklistItem.objects.open().values_list("accession_number", flat=True)) == ["ACC3"]
        assert [each.accession_number for each in item("ACC1").chain()] == ["ACC3", "ACC2", "ACC1"]
        assert item("ACC1").current() == item("ACC3")

    def test_counts_in_the_order_of_arrival_whatever_the_timestamp_says(self) -> None:
        sent("ACC1", scheduled__time="150000")
        content = payload(accession_number="ACC2")
        content["source_reference"]["appointment_id"] = " appointment-1 "
        content["timestamp"] = (timezone.now() - timedelta(days=3)).isoformat()
        assert create(content)["supersedes"] == ["ACC1"]

    @pytest.mark.parametrize("status", ["ARRIVED", "READY"])
    def test_takes_over_that_she_has_arrived_or_is_ready(self, status: str) -> None:
        sent("ACC1")
        update("ACC1", "ARRIVED")
        update("ACC1", status)
        arrived_at = item("ACC1").arrived_at
        assert sent("ACC2")["supersedes"] == ["ACC1"]
        assert (item("ACC2").status, item("ACC2").arrived_at) == (status, arrived_at)
        assert statuses()["ACC1"] == "DISCONTINUED"

    @pytest.mark.parametrize("status", ["IN PROGRESS", "COMPLETED"])
    def test_never_supersedes_once_the_examination_has_begun_and_tells_a_person(self, status: str) -> None:
        sent("ACC1", scheduled__date=f"{timezone.localdate():%Y%m%d}")
        update("ACC1", status)
        assert sent("ACC2") == {"status": "created", "warnings": [WARNING]}
        assert statuses() == {"ACC1": status, "ACC2": "SCHEDULED"}
        assert alarms() == [("ACC2", "sent_again")]
        (concern,) = [each for each in open_concerns(timezone.now()) if each.key == "item_sent_again"]
        assert concern.lines()[0].words == "ACC2 was sent again after her examination had begun"

    def test_after_she_did_not_attend_makes_a_new_item_without_a_warning(self) -> None:
        sent("ACC1")
        update("ACC1", "DISCONTINUED")
        assert sent("ACC2") == {"status": "created"}
        assert item("ACC1").superseded_by is None
        assert alarms() == []

    def test_of_another_nhs_number_leaves_both_and_tells_a_person(self) -> None:
        sent("ACC1")
        assert sent("ACC2", participant__nhs_number="9990000026") == {"status": "created"}
        assert statuses() == {"ACC1": "SCHEDULED", "ACC2": "SCHEDULED"}
        assert alarms() == [("ACC2", "another_patient")]

    def test_of_the_same_nhs_number_written_in_groups_supersedes(self) -> None:
        sent("ACC1")
        assert sent("ACC2", participant__nhs_number="999 000 0018")["supersedes"] == ["ACC1"]

    @pytest.mark.parametrize("appointment", [None, "", "  ", 5, {}, ["appointment-1"], "a\nb", "x" * 201])
    def test_without_a_text_supersedes_nothing(self, appointment: Any) -> None:
        sent("ACC1", appointment)
        assert sent("ACC2", appointment) == {"status": "created"}
        assert set(statuses().values()) == {"SCHEDULED"}

    @pytest.mark.parametrize("reference", [None, [], "x", {}])
    def test_without_a_reference_supersedes_nothing(self, reference: Any) -> None:
        for _ in range(2):
            assert "supersedes" not in create({**payload(), "source_reference": reference})

    def test_of_a_test_item_neither_supersedes_nor_is_superseded(self) -> None:
        for first, second in (("", "worklist.create_test_item"), ("worklist.create_test_item", "")):
            sent("ACC1", action_type=first)
            assert sent("ACC2", action_type=second) == {"status": "created"}
            assert set(statuses().values()) == {"SCHEDULED"}
            WorklistItem.objects.all().delete()

    def test_with_the_same_accession_number_exists(self) -> None:
        content = payload(accession_number="ACC1")
        create(content)
        assert create({**content, "action_id": "another"})["status"] == "exists"
        assert statuses() == {"ACC1": "SCHEDULED"}

    def test_is_audited(self) -> None:
        sent("ACC1")
        sent("ACC2")
        change = AuditLog.objects.get(operation="update")
        assert (change.object_id, change.after["superseded_by_id"]) == (item("ACC1").pk, str(item("ACC2").pk))

    @pytest.mark.django_db(transaction=True)
    def test_from_several_senders_at_the_same_instant_leaves_one_open_item(self) -> None:
        barrier = threading.Barrier(4)

        def run(number: int) -> dict[str, Any]:
            with borrowed_connection():
                barrier.wait(10)
                return sent(f"ACC{number}")

        with ThreadPoolExecutor(4) as pool:
            replies = list(pool.map(run, range(4)))
        assert len([reply for reply in replies if "supersedes" not in reply]) == 1
        assert WorklistItem.objects.open().count() == 1


class TestManage:
    def test_asks_and_reports_by_the_old_number_and_means_the_new_item(self) -> None:
        sent("ACC1")
        sent("ACC2")
        reply = update("ACC1", "ARRIVED")
        assert reply["accession_number"] == "ACC1"
        assert statuses() == {"ACC1": "DISCONTINUED", "ACC2": "ARRIVED"}
        asked = item_status("ACC1")
        assert (asked["accession_number"], asked["worklist_status"], asked["superseded_by"]) == (
            "ACC1",
            "ARRIVED",
            "ACC2",
        )
        assert "superseded_by" not in item_status("ACC2")

    def test_learns_that_the_old_one_is_discontinued_and_what_superseded_it(self) -> None:
        sent("ACC1")
        update("ACC1", "ARRIVED")
        sent("ACC2")
        reply = changes_since(GatewayAction({}, "worklist.changes_since", None))
        REPLY_SCHEMA.validate(reply)
        told = [
            (each["accession_number"], each["worklist_status"], each.get("superseded_by")) for each in reply["changes"]
        ]
        assert told == [("ACC1", "ARRIVED", None), ("ACC1", "DISCONTINUED", "ACC2"), ("ACC2", "ARRIVED", None)]


@pytest.mark.django_db(transaction=True)
class TestTheModality:
    def test_finds_only_the_new_one_whatever_it_asks(self, unit: Unit) -> None:
        sent("ACC1")
        sent("ACC2")
        for step in (dataset(), dataset(ScheduledProcedureStepStatus="*")):
            for number, found in (("", ["ACC2"]), ("ACC1", []), ("ACC2", ["ACC2"])):
                assert unit.ask(request(step, AccessionNumber=number)).accession_numbers == found


class TestReportsOfTheModality:
    def test_on_the_superseded_one_count_for_its_successor(self) -> None:
        sent("ACC1")
        fetched = scheduled_step(item("ACC1"))
        sent("ACC2")
        create_step("1.2.3.9", fetched, **PERSON)
        assert statuses() == {"ACC1": "DISCONTINUED", "ACC2": "IN PROGRESS"}
        end_step("1.2.3.9")
        assert statuses() == {"ACC1": "DISCONTINUED", "ACC2": "COMPLETED"}
        assert not MppsException.objects.exists()
        assert item_status("ACC1")["performed"]["status"] == "COMPLETED"

    def test_count_for_the_last_of_a_chain(self) -> None:
        sent("ACC1")
        fetched = scheduled_step(item("ACC1"))
        sent("ACC2")
        sent("ACC3")
        create_step("1.2.3.9", fetched, **PERSON)
        assert statuses()["ACC3"] == "IN PROGRESS"

    def test_count_although_manage_has_corrected_her_name_meanwhile(self) -> None:
        sent("ACC1")
        fetched = scheduled_step(item("ACC1"))
        sent("ACC2", participant__name="JONES^ZOE", participant__birth_date="19700322")
        create_step("1.2.3.9", fetched, **PERSON)
        end_step("1.2.3.9", **PERSON)
        assert statuses()["ACC2"] == "COMPLETED"
        assert not MppsException.objects.exists()

    def test_between_whose_start_and_end_she_was_sent_again_end_the_first_and_both_stand(self) -> None:
        sent("ACC1")
        create_step("1.2.3.9", scheduled_step(item("ACC1")), **PERSON)
        assert sent("ACC2") == {"status": "created", "warnings": [WARNING]}
        assert statuses() == {"ACC1": "IN PROGRESS", "ACC2": "SCHEDULED"}
        end_step("1.2.3.9")
        assert statuses() == {"ACC1": "COMPLETED", "ACC2": "SCHEDULED"}
        assert alarms() == [("ACC2", "sent_again")]

    def test_that_came_before_the_new_item_are_linked_when_it_comes(self) -> None:
        sent("ACC1")
        unknown = scheduled_step(WorklistItem(accession_number="ACC2", study_instance_uid="1.2.3"))
        create_step("1.2.3.9", unknown, **PERSON)
        assert sent("ACC2")["supersedes"] == ["ACC1"]
        assert statuses() == {"ACC1": "DISCONTINUED", "ACC2": "IN PROGRESS"}

    def test_with_a_study_instance_uid_that_both_have_are_the_successors(self) -> None:
        sent("ACC1", study_instance_uid="1.2.3.4")
        sent("ACC2", study_instance_uid="1.2.3.4")
        named = scheduled_step(WorklistItem(study_instance_uid="1.2.3.4"))
        create_step("1.2.3.9", named, **PERSON)
        assert StepLink.objects.get().item == item("ACC2")

    def test_on_a_stopped_one_that_goes_on_after_she_was_sent_again_tell_a_person(self) -> None:
        sent("ACC1")
        create_step("2.25.1", scheduled_step(item("ACC1")), **PERSON)
        end_step("2.25.1", "DISCONTINUED")
        assert sent("ACC2") == {"status": "created"}
        for uid in ("2.25.2", "2.25.3"):
            create_step(uid, scheduled_step(item("ACC1")), **PERSON)
            end_step(uid)
        assert statuses() == {"ACC1": "COMPLETED", "ACC2": "SCHEDULED"}
        assert alarms() == [("ACC2", "sent_again")]

    @pytest.mark.django_db(transaction=True)
    def test_that_start_at_the_instant_she_is_sent_again_leave_one_item_to_be_imaged_or_none(self) -> None:
        for number in range(4):
            old, new = f"OLD{number}", f"NEW{number}"
            sent(old, f"appointment-{number}")
            fetched = scheduled_step(item(old))
            barrier = threading.Barrier(2)

            def begin(uid: str = f"1.2.3.{number}", step: Dataset = fetched, start: Any = barrier) -> None:
                with borrowed_connection():
                    start.wait(10)
                    in_transaction(lambda: create_step(uid, step, **PERSON))

            def send_again(again: str = new, appointment: str = f"appointment-{number}", start: Any = barrier) -> None:
                with borrowed_connection():
                    start.wait(10)
                    in_transaction(lambda: sent(again, appointment))

            with ThreadPoolExecutor(2) as pool:
                for done in (pool.submit(begin), pool.submit(send_again)):
                    done.result()
            found = {each: status for each, status in statuses().items() if each in {old, new}}
            superseded = {old: "DISCONTINUED", new: "IN PROGRESS"}
            both = {old: "IN PROGRESS", new: "SCHEDULED"}
            assert found in (superseded, both)
            assert ((new, "sent_again") in alarms()) == (found == both)


class TestPuttingBack:
    def test_a_superseded_item_is_not_possible(self) -> None:
        sent("ACC1")
        sent("ACC2")
        with pytest.raises(DecisionRefused, match="ACC2 is on the list in its place"):
            put_item_back(item("ACC1"), "admin:jane")

    def test_the_first_when_she_was_sent_again_meanwhile_leaves_one_open_item(self) -> None:
        sent("ACC1")
        create_step("1.2.3.9", scheduled_step(item("ACC1")), **PERSON)
        end_step("1.2.3.9", "DISCONTINUED")
        sent("ACC2")
        put_item_back(item("ACC1"), "admin:jane")
        assert statuses() == {"ACC1": "DISCONTINUED", "ACC2": "SCHEDULED"}
        assert item("ACC1").superseded_by == item("ACC2")
        assert ItemChange.objects.filter(item__accession_number="ACC1").last() is not None
