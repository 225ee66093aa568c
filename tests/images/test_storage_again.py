"""C-STORE of an image that has come before, and whose file has been deleted since."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from core.models import AuditLog
from images.models import ReceivedImage
from images.retention import delete_expired
from tests.factories import WorklistItemFactory
from tests.images.receiving import image, receiving
from tests.images.waiting import KnownItems

pytestmark = pytest.mark.django_db(transaction=True)

State, Reason = ReceivedImage.State, ReceivedImage.Reason


@pytest.mark.parametrize("reason", [Reason.DAY_OVER, Reason.AFTER_REPORT, Reason.NO_ACTION, Reason.NO_COPY])
def test_it_goes_to_manage_if_only_its_action_was_in_the_way_and_there_is_another(
    tmp_path: Path, items: KnownItems, reason: str
) -> None:
    with receiving(tmp_path / "spool") as receiver:
        sent = image()
        receiver.store(sent)
        yesterday = timezone.localdate() - timedelta(days=1)
        item = items.add(action_day=yesterday)
        state = State.NOT_SENT if reason == Reason.NO_ACTION else State.FAILED
        failed = {"state": state, "reason": reason, "item_id": item.id, "last_status": 403}
        ReceivedImage.objects.update(**failed, action_id=item.action_id, action_day=yesterday)
        receiver.store(sent)
        assert ReceivedImage.objects.get().state == state

        items.send_again(item, action_day=timezone.localdate())
        assert receiver.store(sent).Status == 0x0000
        row = ReceivedImage.objects.get()
        goes = reason != Reason.NO_COPY
        assert (row.state, row.last_status) == ((State.WAITING, None) if goes else (state, 403))
        assert receiver.files() == [receiver.spool.original(row.file)]


@pytest.mark.parametrize("state", [State.UNLINKED, State.HELD])
def test_one_that_waits_for_a_person_is_kept_longer_and_goes_to_the_item_that_has_come(
    tmp_path: Path, state: str
) -> None:
    with receiving(tmp_path / "spool") as receiver:
        sent = image()
        receiver.store(sent)
        long_ago = timezone.now() - timedelta(days=6)
        ReceivedImage.objects.update(state=state, received_at=long_ago)
        item = WorklistItemFactory.create(accession_number=sent.AccessionNumber, patient_id=sent.PatientID)
        assert receiver.store(sent).Status == 0x0000
        row = ReceivedImage.objects.get()
        item.refresh_from_db()
        came = state == State.UNLINKED
        assert row.received_at > long_ago + timedelta(days=5)
        assert (row.state, row.item_id) == ((State.NOT_SENT, item.pk) if came else (state, None))
        assert (item.status == "IN PROGRESS") is came
        assert AuditLog.objects.filter(object_id=row.pk, actor="gateway:images").exists() is came
        assert receiver.files() == [receiver.spool.original(row.file)]


@pytest.mark.parametrize("state", [State.UNLINKED, State.FAILED])
def test_it_is_kept_as_one_that_has_just_come(tmp_path: Path, state: str) -> None:
    with receiving(tmp_path / "spool") as receiver:
        sent = image()
        receiver.store(sent)
        month_ago = timezone.now() - timedelta(days=30)
        tried = {"attempts": 7, "last_status": 500, "last_error": "500", "decided_at": month_ago}
        ReceivedImage.objects.update(state=state, received_at=month_ago, **tried)
        delete_expired(receiver.spool, timezone.now())
        assert not receiver.files()
        assert receiver.store(sent).Status == 0x0000
        delete_expired(receiver.spool, timezone.now())
        row = ReceivedImage.objects.get()
        assert (row.state, row.reason, row.deleted_at) == (State.UNLINKED, "", None)
        assert (row.attempts, row.last_status, row.last_error, row.decided_at) == (0, None, "", None)
        assert receiver.files() == [receiver.spool.original(row.file)]
