"""C-STORE of an image that has come before, and whose file has been deleted since."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from images.models import ReceivedImage
from images.retention import delete_expired
from tests.images.receiving import image, receiving

pytestmark = pytest.mark.django_db(transaction=True)

State, Reason = ReceivedImage.State, ReceivedImage.Reason


@pytest.mark.parametrize("state", [State.UNLINKED, State.FAILED])
def test_it_is_kept_as_one_that_has_just_come(tmp_path: Path, state: str) -> None:
    with receiving(tmp_path / "spool") as receiver:
        sent = image()
        receiver.store(sent)
        month_ago = timezone.now() - timedelta(days=30)
        ReceivedImage.objects.update(state=state, received_at=month_ago)
        delete_expired(receiver.spool, timezone.now())
        assert not receiver.files()
        assert receiver.store(sent).Status == 0x0000
        delete_expired(receiver.spool, timezone.now())
        row = ReceivedImage.objects.get()
        assert (row.state, row.reason, row.deleted_at) == (State.UNLINKED, "", None)
        assert receiver.files() == [receiver.spool.original(row.file)]
