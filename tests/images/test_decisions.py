"""A person links, discards or sends again an image: audited, with a reason, and never against the image's state."""

from datetime import timedelta

import pytest
from django.utils import timezone

from core.models import AuditLog
from images.decisions import CannotDecide, discard, link_to_item, send_again
from images.items import worklist
from images.models import FailureReport, ReceivedImage
from images.queue import LEASE, claim_image, ready_to_send
from relay.models import ReceivedAction
from tests.images.received import stored
from tests.images.test_linking import sent
from worklist.models import WorklistItem
from worklist.performed_step.mpps_exceptions import put_item_back

pytestmark = [pytest.mark.django_db, pytest.mark.once]

State, Reason = ReceivedImage.State, ReceivedImage.Reason
JANE, WHY = "admin:jane", "Checked at the machine."


def unlinked(**changes: object) -> ReceivedImage:
    """Store an image that belongs to no item."""
    return stored(**{"state": State.UNLINKED, "file": "a.dcm", "patient_id": "9990000018", **changes})


def outcome(image: ReceivedImage) -> tuple[str, str]:
    """Return the state and the reason as they are stored."""
    image.refresh_from_db()
    return image.state, image.reason


class TestLinking:
    def test_sends_the_image_and_begins_the_item(self) -> None:
        image, item = unlinked(), sent("ACC1")
        link_to_item(image, "ACC1", JANE, WHY)
        item.refresh_from_db()
        assert (outcome(image), image.item_id, item.status) == ((State.WAITING, ""), item.pk, "IN PROGRESS")
        assert image.next_attempt_at is not None

    def test_is_audited_with_the_reason(self) -> None:
        image = unlinked()
        sent("ACC1")
        link_to_item(image, "ACC1", JANE, WHY)
        entries = AuditLog.objects.filter(object_id=image.pk, actor=JANE)
        assert {"decision": "waiting", "note": WHY} in [entry.after for entry in entries]

    def test_of_an_image_that_names_another_patient_is_a_persons_right(self) -> None:
        image = unlinked(state=State.HELD, reason=Reason.ANOTHER_PATIENT, patient_id="9990000026")
        sent("ACC1")
        link_to_item(image, "ACC1", JANE, WHY)
        assert outcome(image) == (State.WAITING, "")

    def test_with_another_item_forgets_the_action_of_the_first(self) -> None:
        failed = unlinked(state=State.FAILED, reason=Reason.REFUSED, action_id="old", action_day=timezone.localdate())
        sent("ACC1")
        link_to_item(failed, "ACC1", JANE, WHY)
        assert (outcome(failed), failed.action_id, failed.action_day) == ((State.WAITING, ""), "", None)

    @pytest.mark.parametrize(
        ("sent_before", "may_be_there"),
        [
            ({"state": State.HELD, "action_id": "old"}, True),
            ({"state": State.DISCARDED, "reason": Reason.PERHAPS_SENT, "action_id": "old"}, True),
            ({"state": State.FAILED, "last_outcome": "unknown", "action_id": "old"}, True),
            ({"state": State.FAILED, "last_outcome": "not_arrived", "action_id": "old"}, False),
            ({"state": State.HELD}, False),
        ],
    )
    def test_with_another_item_says_if_manage_may_have_it(
        self, sent_before: dict[str, str], may_be_there: bool
    ) -> None:
        image = unlinked(**sent_before)
        sent("ACC1")
        assert link_to_item(image, "ACC1", JANE, WHY) is may_be_there
        notes = [entry.after for entry in AuditLog.objects.filter(object_id=image.pk, actor=JANE)]
        assert any("manage_may_have_it" in note for note in notes) is may_be_there

    def test_needs_an_item(self) -> None:
        with pytest.raises(CannotDecide, match="No worklist item has accession number ACC1"):
            link_to_item(unlinked(), "ACC1", JANE, WHY)

    def test_needs_a_reason(self) -> None:
        sent("ACC1")
        with pytest.raises(CannotDecide, match="Give a reason"):
            link_to_item(unlinked(), "ACC1", JANE, " ")

    def test_needs_the_file(self) -> None:
        sent("ACC1")
        with pytest.raises(CannotDecide, match="Its file has been deleted"):
            link_to_item(unlinked(file=""), "ACC1", JANE, WHY)

    def test_is_not_possible_once_the_image_is_with_manage(self) -> None:
        sent("ACC1")
        with pytest.raises(CannotDecide, match="It is with Manage"):
            link_to_item(unlinked(state=State.UPLOADED), "ACC1", JANE, WHY)


class TestSendingAgain:
    @pytest.mark.parametrize(
        ("state", "why"), [(State.UPLOADED, "and keeps that one"), (State.WAITING, "discard that one first")]
    )
    def test_of_another_version_is_not_possible_while_manage_has_or_gets_the_first(self, state: str, why: str) -> None:
        first = stored(state=state)
        names = {"sop_instance_uid": first.sop_instance_uid, "version": 2, "item_id": sent("ACC1").pk}
        with pytest.raises(CannotDecide, match=why):
            send_again(unlinked(state=State.HELD, reason=Reason.ANOTHER_VERSION, **names), JANE, WHY)

    def test_begins_anew(self) -> None:
        item = sent("ACC1")
        failed = unlinked(state=State.FAILED, reason=Reason.REFUSED, item_id=item.pk, attempts=7, last_status=400)
        send_again(failed, JANE, WHY)
        assert outcome(failed) == (State.WAITING, "")
        assert (failed.attempts, failed.last_status) == (0, None)

    def test_sends_another_version_if_a_person_chooses_it(self) -> None:
        item = sent("ACC1")
        image = unlinked(state=State.HELD, reason=Reason.ANOTHER_VERSION, version=2, item_id=item.pk)
        send_again(image, JANE, WHY)
        assert outcome(image) == (State.WAITING, "")

    def test_is_not_possible_after_the_day_of_the_action_or_after_its_report(self) -> None:
        image = unlinked(state=State.FAILED, reason=Reason.DAY_OVER, item_id=sent("ACC1").pk)
        FailureReport.objects.create(action_id=str(ReceivedAction.objects.get().action_id), delivered_at=timezone.now())
        with pytest.raises(CannotDecide, match="has been told that images of this action failed"):
            send_again(image, JANE, WHY)
        ReceivedAction.objects.update(received_at=timezone.now() - timedelta(days=1))
        with pytest.raises(CannotDecide, match="send her again in Manage"):
            send_again(image, JANE, WHY)
        assert outcome(image) == (State.FAILED, Reason.DAY_OVER)

    def test_is_not_possible_under_a_new_action_if_manage_has_an_image_of_the_study(self) -> None:
        item = sent("ACC1")
        yesterday = timezone.localdate() - timedelta(days=1)
        names = {"item_id": item.pk, "action_id": "old", "action_day": yesterday}
        stored(state=State.UPLOADED, **names)
        with pytest.raises(CannotDecide, match="all of an examination under one action"):
            send_again(unlinked(state=State.FAILED, reason=Reason.DAY_OVER, **names), JANE, WHY)

    def test_needs_an_item(self) -> None:
        with pytest.raises(CannotDecide, match="link it first"):
            send_again(unlinked(state=State.FAILED), JANE, WHY)


class TestAfterItsItemWasPutBack:
    @pytest.fixture
    def held(self) -> ReceivedImage:
        """Return an image that came before its item was put back, as the uploader has left it."""
        item = sent("ACC1")
        image = unlinked(state=State.WAITING, item_id=item.pk, next_attempt_at=timezone.now())
        worklist().image_received(item.pk, image.received_at)
        put_item_back(WorklistItem.objects.get(), JANE)
        claimed = claim_image(timezone.now())
        assert claimed
        assert ready_to_send(claimed, timezone.now(), on_its_way=False) is None
        return claimed

    def test_nothing_goes_to_manage_until_a_person_sends_it(self, held: ReceivedImage) -> None:
        assert outcome(held) == (State.HELD, Reason.PUT_BACK)
        assert WorklistItem.objects.get().status == "SCHEDULED"
        send_again(held, JANE, WHY)
        claimed = claim_image(timezone.now())
        assert claimed
        assert ready_to_send(claimed, timezone.now(), on_its_way=True)
        assert WorklistItem.objects.get().status == "IN PROGRESS"

    def test_an_item_that_supersedes_it_changes_nothing(self, held: ReceivedImage) -> None:
        sent("ACC2")
        held.state, held.reason = State.WAITING, ""
        held.save()
        assert ready_to_send(held, timezone.now(), on_its_way=True) is None
        assert outcome(held) == (State.HELD, Reason.PUT_BACK)


class TestDiscarding:
    def test_takes_the_image_out_of_the_queue(self) -> None:
        waiting = unlinked(state=State.WAITING, next_attempt_at=timezone.now())
        discard(waiting, JANE, WHY)
        assert (outcome(waiting), waiting.next_attempt_at) == ((State.DISCARDED, Reason.BY_PERSON), None)
        assert waiting.decided_at is not None

    def test_of_a_claimed_image_keeps_it_from_manage(self) -> None:
        item = sent("ACC1")
        unlinked(state=State.WAITING, item_id=item.pk, next_attempt_at=timezone.now())
        claimed = claim_image(timezone.now())
        assert claimed
        assert ready_to_send(claimed, timezone.now(), on_its_way=False)
        discard(claimed, JANE, WHY)
        assert outcome(claimed) == (State.DISCARDED, Reason.BY_PERSON)
        assert ready_to_send(claimed, timezone.now(), on_its_way=True) is None

    def test_is_not_possible_while_the_image_is_being_sent_and_then_says_that_manage_may_have_it(self) -> None:
        now = timezone.now()
        sending = {"action_id": "A", "action_day": timezone.localdate(), "leased_by": "uploader"}
        image = unlinked(state=State.WAITING, lease_until=now + LEASE, **sending)
        with pytest.raises(CannotDecide, match="being sent to Manage now"):
            discard(image, JANE, WHY)
        assert outcome(image) == (State.WAITING, "")
        ReceivedImage.objects.update(lease_until=now)
        discard(image, JANE, WHY)
        assert outcome(image) == (State.DISCARDED, Reason.PERHAPS_SENT)

    def test_is_possible_once(self) -> None:
        image = unlinked()
        discard(image, JANE, WHY)
        with pytest.raises(CannotDecide, match="It is discarded"):
            discard(image, JANE, WHY)
