"""Whose image it is decides what becomes of it."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from core.models import AuditLog
from dicom.models import Modality
from gateway_project.actions import ACTIONS, PROBES
from images.linking import assign_item, identity_of, link_late
from images.models import ReceivedImage
from relay.dispatcher import Dispatcher
from tests.factories import create, payload
from tests.images.received import image, stored
from tests.worklist.services.test_superseding import item
from worklist.models import WorklistItem
from worklist.services.create_test_item import create_test_item

pytestmark = pytest.mark.django_db

State, Reason = ReceivedImage.State, ReceivedImage.Reason
HER_NUMBER = "9990000018"


def sent(number: str = "ACC1", **changes: Any) -> WorklistItem:
    """Send an item as Manage does."""
    content = payload(accession_number=number, **changes)
    Dispatcher(ACTIONS, PROBES).dispatch(json.dumps(content), "test")
    return item(number)


def of(item: WorklistItem, **changes: Any) -> ReceivedImage:
    """Return an image of the item, attributed as the Storage SCP does."""
    names = {"study_instance_uid": item.study_instance_uid, "accession_number": item.accession_number}
    received = image(**{**names, "patient_id": item.patient_id, **changes})
    assign_item(received, identity_of(received), timezone.now())
    return received


def outcome(received: ReceivedImage) -> tuple[str, str]:
    """Return the state and the reason."""
    return received.state, received.reason


class TestAnImageOfAnItem:
    def test_waits_to_go_to_manage_at_once(self) -> None:
        hers = sent()
        received = of(hers)
        assert outcome(received) == (State.WAITING, "")
        assert (received.item_id, received.item_accession_number) == (hers.pk, "ACC1")
        assert received.correlation_id == hers.correlation_id
        assert received.next_attempt_at is not None

    def test_that_names_another_patient_is_held_and_touches_no_item(self) -> None:
        received = of(sent(), patient_id="9990000026")
        assert outcome(received) == (State.HELD, Reason.ANOTHER_PATIENT)
        assert (received.item_id, received.item_accession_number) == (None, "ACC1")
        assert received.next_attempt_at is None

    def test_that_names_no_patient_waits_if_it_has_the_items_study(self) -> None:
        assert outcome(of(sent(), patient_id="")) == (State.WAITING, "")

    def test_that_names_no_patient_is_unlinked_if_it_has_only_its_number(self) -> None:
        assert outcome(of(sent(), patient_id="", study_instance_uid="1.2.3")) == (State.UNLINKED, "")

    def test_that_names_two_items_is_held(self) -> None:
        received = of(sent(), accession_number=create(patient_id=HER_NUMBER).accession_number)
        assert outcome(received) == (State.HELD, Reason.SEVERAL_ITEMS)
        assert received.item_id is None

    def test_that_a_test_machine_sent_is_held_if_the_item_is_a_patients(self) -> None:
        Modality.objects.create(ae_title="TESTER", is_test_machine=True)
        assert outcome(of(sent(), calling_ae_title="TESTER")) == (State.HELD, Reason.TEST_MACHINE)

    def test_that_was_taken_before_its_item_was_put_back_is_held_and_one_taken_later_is_not(self) -> None:
        hers = sent()
        put_back_at = timezone.now()
        WorklistItem.objects.update(put_back_at=put_back_at)
        for taken_at, expected in (
            (put_back_at - timedelta(seconds=1), (State.HELD, Reason.PUT_BACK)),
            (put_back_at, (State.WAITING, "")),
            (put_back_at + timedelta(minutes=2), (State.HELD, Reason.PUT_BACK)),  # by a clock that is wrong
        ):
            received = image(study_instance_uid=hers.study_instance_uid, patient_id=hers.patient_id)
            assign_item(received, replace(identity_of(received), taken_at=taken_at), timezone.now())
            assert outcome(received) == expected

    @pytest.mark.parametrize(
        "first",
        [
            {"received_at": timezone.now() - timedelta(minutes=1), "state": State.UNLINKED},
            {"state": State.HELD, "reason": Reason.PUT_BACK},
            {"state": State.DISCARDED, "reason": Reason.BY_PERSON},
            {"state": State.UPLOADED, "item_id": uuid4()},
        ],
        ids=["came before", "held", "discarded", "linked with another item"],
    )
    def test_whose_series_began_before_its_item_was_put_back_is_held_and_one_of_a_new_series_is_not(
        self, first: dict[str, Any]
    ) -> None:
        hers = sent()
        WorklistItem.objects.update(put_back_at=timezone.now())
        stored(study_instance_uid=hers.study_instance_uid, series_instance_uid="1.2.3.1", **first)
        assert outcome(of(hers, series_instance_uid="1.2.3.1")) == (State.HELD, Reason.PUT_BACK)
        stored(study_instance_uid=hers.study_instance_uid, series_instance_uid="1.2.3.2", item_id=hers.pk)
        assert outcome(of(hers, series_instance_uid="1.2.3.2")) == (State.WAITING, "")

    def test_with_a_long_patient_id_is_never_taken(self) -> None:
        received = of(sent(), patient_id="999 000 0018")
        assert outcome(received) == (State.FAILED, Reason.LONG_PATIENT_ID)
        assert (received.item_accession_number, received.next_attempt_at) == ("ACC1", None)

    def test_that_is_a_second_version_is_held(self) -> None:
        received = of(sent(), version=2)
        assert outcome(received) == (State.HELD, Reason.ANOTHER_VERSION)
        assert received.item_accession_number == "ACC1"

    def test_that_no_action_made_is_not_sent(self) -> None:
        test = create_test_item("", "MG", "admin:jane")
        received = of(test)
        assert outcome(received) == (State.NOT_SENT, Reason.NO_ACTION)
        assert received.is_test

    def test_of_a_test_item_of_manages_waits(self) -> None:
        content = {**payload(accession_number="TEST1"), "action_type": "worklist.create_test_item"}
        Dispatcher(ACTIONS, PROBES).dispatch(json.dumps(content), "test")
        received = of(item("TEST1"))
        assert (outcome(received), received.is_test) == ((State.WAITING, ""), True)

    def test_of_no_item_is_for_a_person_to_link(self) -> None:
        received = image(accession_number="UNKNOWN", patient_id=HER_NUMBER)
        assign_item(received, identity_of(received), timezone.now())
        assert outcome(received) == (State.UNLINKED, "")
        assert (received.item_id, received.next_attempt_at) == (None, None)


class TestAnImageThatCameBeforeItsItem:
    def test_is_linked_when_the_item_has_come(self) -> None:
        early = stored(state=State.UNLINKED, accession_number="ACC1", patient_id=HER_NUMBER)
        assert link_late(timezone.now()) == 0
        hers = sent()
        assert link_late(timezone.now()) == 1
        early.refresh_from_db()
        hers.refresh_from_db()
        assert (early.state, early.item_id, hers.status) == (State.WAITING, hers.pk, "IN PROGRESS")
        assert AuditLog.objects.get(object_id=early.pk).actor == "gateway:images"

    def test_is_linked_by_any_of_its_accession_numbers(self) -> None:
        stored(
            state=State.UNLINKED,
            accession_number="ITS OWN",
            further_accession_numbers=["ACC0", "ACC1"],
            patient_id=HER_NUMBER,
        )
        sent()
        assert link_late(timezone.now()) == 1

    def test_has_nothing_to_do_with_an_item_whose_number_its_own_only_begins_with(self) -> None:
        own = "ACC4567890123456"
        stored(state=State.UNLINKED, accession_number=f"{own}7", patient_id=HER_NUMBER, study_date=timezone.localdate())
        sent(own)
        assert link_late(timezone.now()) == 0

    def test_is_not_kept_from_it_by_many_that_find_none(self) -> None:
        earlier = timezone.now() - timedelta(hours=1)
        priors = [image(state=State.UNLINKED, received_at=earlier) for _ in range(101)]
        ReceivedImage.objects.bulk_create(priors)
        stored(state=State.UNLINKED, accession_number="ACC1", patient_id=HER_NUMBER)
        sent()
        assert link_late(timezone.now()) == 1

    def test_is_held_if_the_item_is_another_patients(self) -> None:
        early = stored(state=State.UNLINKED, accession_number="ACC1", patient_id="9990000026")
        hers = sent()
        assert link_late(timezone.now()) == 1
        early.refresh_from_db()
        hers.refresh_from_db()
        assert (outcome(early), hers.status) == ((State.HELD, Reason.ANOTHER_PATIENT), "SCHEDULED")

    def test_is_held_if_the_item_was_put_back_since(self) -> None:
        early = stored(state=State.UNLINKED, accession_number="ACC1", patient_id=HER_NUMBER)
        hers = sent()
        WorklistItem.objects.update(put_back_at=timezone.now())
        assert link_late(timezone.now()) == 1
        early.refresh_from_db()
        hers.refresh_from_db()
        assert (outcome(early), hers.status) == ((State.HELD, Reason.PUT_BACK), "SCHEDULED")

    def test_is_left_to_a_person_after_a_day(self) -> None:
        stored(
            state=State.UNLINKED,
            accession_number="ACC1",
            patient_id=HER_NUMBER,
            received_at=timezone.now() - timedelta(hours=25),
        )
        sent()
        assert link_late(timezone.now()) == 0
