"""An image that waits for a person has a picture."""

import errno
import shutil
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from images.copies import CannotCopy
from images.models import ReceivedImage
from images.pictures import copy_undecided
from images.spool import Spool
from tests.images.waiting import KnownItems, waiting_image

pytestmark = [pytest.mark.django_db, pytest.mark.once]

State = ReceivedImage.State


def received(spool: Spool, state: str, **values: Any) -> ReceivedImage:
    """Store an image with a file."""
    image = waiting_image(KnownItems().add(), state=state, **values)
    spool.original(image.file).write_bytes(b"an image")
    return image


def copied(original: Path, copy: Path, longest_side: int, ratio: int) -> None:
    """Make a copy that is the original."""
    shutil.copy(original, copy)


@pytest.mark.parametrize("state", [State.UNLINKED, State.HELD])
def test_it_is_made_once(spool: Spool, state: str) -> None:
    image = received(spool, state)
    assert [copy_undecided(spool, copied, timezone.now()) for _ in range(2)] == [1, 0]
    image.refresh_from_db()
    assert (image.state, spool.copy(image.copy).read_bytes()) == (state, b"an image")


def test_it_is_not_tried_again_if_none_can_be_made(spool: Spool) -> None:
    image = received(spool, State.HELD)
    tried = []

    def damaged(*paths: Any) -> None:
        tried.append(paths)
        raise CannotCopy("it is damaged")

    assert [copy_undecided(spool, damaged, timezone.now()) for _ in range(2)] == [0, 0]
    image.refresh_from_db()
    assert (image.copy, image.last_error, len(tried)) == ("", "There is no picture of it: it is damaged", 1)


def test_it_is_tried_again_after_the_disk_failed_and_no_other_until_then(spool: Spool) -> None:
    for _ in range(2):
        received(spool, State.HELD, last_error="The spool cannot be used")
    tried = []

    def failing(original: Path, *_: Any) -> None:
        tried.append(original)
        raise OSError(errno.ENOMEM, "the worker process was killed")

    assert copy_undecided(spool, failing, timezone.now()) == 0
    assert len(tried) == 1
    assert copy_undecided(spool, copied, timezone.now()) == 2


def test_what_is_due_for_manage_goes_first(spool: Spool) -> None:
    received(spool, State.HELD)
    received(spool, State.WAITING, next_attempt_at=timezone.now())
    assert copy_undecided(spool, copied, timezone.now()) == 0
