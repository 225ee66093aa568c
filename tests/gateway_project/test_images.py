"""What images are told of an item: the action under which Manage takes them, and the item's successor."""

import json
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from gateway_project.actions import ACTIONS, PROBES
from gateway_project.images import WORKLIST, confirmed_action
from images.items import Action, ImageIdentity, NamesSeveralItems
from relay.dispatcher import Dispatcher
from relay.models import ReceivedAction
from tests.factories import create, payload
from tests.worklist.services.test_superseding import item
from worklist.performed_step.images import image_received
from worklist.services.create_test_item import create_test_item

pytestmark = pytest.mark.django_db


def send(number: str, action_id: str, appointment: str | None = "appointment-1", **changes: Any) -> str:
    """Send an item as Manage does; return the status of the reply."""
    content = {**payload(accession_number=number, **changes), "action_id": action_id}
    content["source_reference"]["appointment_id"] = appointment
    reply = json.loads(Dispatcher(ACTIONS, PROBES).dispatch(json.dumps(content), "test"))
    return str(reply["status"])


def action_of(number: str) -> Action:
    """Return the action under which images of the item go."""
    found = item(number)
    return confirmed_action(found, found.chain())


class TestTheActionOfAnItem:
    def test_is_the_one_that_made_it(self) -> None:
        send("ACC1", "first")
        send("ACC2", "another", appointment="appointment-2", participant__nhs_number="9990000026")
        assert (action_of("ACC1").id, action_of("ACC2").id) == ("first", "another")

    def test_is_the_newest_of_its_appointment(self) -> None:
        send("ACC1", "first")
        send("ACC2", "second")
        assert (action_of("ACC1").id, action_of("ACC2").id) == ("second", "second")

    def test_is_the_newest_also_if_the_examination_had_begun(self) -> None:
        send("ACC1", "first")
        image_received(item("ACC1").pk, timezone.now())
        send("ACC2", "second")
        assert (action_of("ACC1").id, action_of("ACC2").id) == ("second", "second")

    def test_is_not_that_of_another_woman_with_the_same_appointment(self) -> None:
        send("ACC1", "first")
        send("ACC2", "second", participant__nhs_number="9990000026")
        assert action_of("ACC1").id == "first"

    def test_may_be_one_that_found_the_item(self) -> None:
        send("ACC1", "first")
        assert send("ACC1", "second") == "exists"
        assert action_of("ACC1").id == "second"

    def test_is_not_one_that_was_refused(self) -> None:
        send("ACC1", "first")
        assert send("ACC1", "second", participant__name="JONES^ANNE") == "error"
        assert action_of("ACC1").id == "first"

    def test_has_the_clinics_day(self, settings: Any) -> None:
        send("ACC1", "first")
        summer_night = datetime(2026, 7, 1, 0, 30, tzinfo=ZoneInfo("Europe/London"))
        ReceivedAction.objects.update(received_at=summer_night)
        assert action_of("ACC1") == Action("first", date(2026, 7, 1))

    def test_is_missing_where_the_admin_made_a_test_item(self) -> None:
        found = WORKLIST.item(create_test_item("", "MG", "admin:jane").pk)
        assert found is not None
        assert (found.is_test, found.action_id, found.action_day) == (True, "", None)


class TestTheItem:
    def test_is_found_by_its_id_and_number_as_its_successor(self) -> None:
        send("ACC1", "first")
        first = item("ACC1")
        send("ACC2", "second")
        for found in (WORKLIST.item(first.pk), WORKLIST.item_of_number("ACC1")):
            assert found is not None
            assert (found.id, found.accession_number) == (item("ACC2").pk, "ACC2")
        assert WORKLIST.item_of_number("UNKNOWN") is None

    def test_of_an_image_that_names_two_is_not_guessed(self) -> None:
        one, other = create(), create()
        with pytest.raises(NamesSeveralItems) as raised:
            WORKLIST.item_of(ImageIdentity(one.study_instance_uid, (other.accession_number,), one.patient_id))
        assert raised.value.accession_numbers == (one.accession_number, other.accession_number)

    def test_is_in_progress_after_an_image_and_completed_after_the_last(self) -> None:
        one = create()
        WORKLIST.image_received(one.pk, timezone.now() - timedelta(minutes=5))
        one.refresh_from_db()
        assert one.status == "IN PROGRESS"
        WORKLIST.images_complete(one.pk)
        one.refresh_from_db()
        assert one.status == "COMPLETED"
