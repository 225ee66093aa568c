"""Make received images for tests, without files unless a test names them."""

import itertools
from typing import Any

from django.utils import timezone

from images.models import ReceivedImage

_numbers = itertools.count(1)


def image(**changes: Any) -> ReceivedImage:
    """Return an image as it was received, not saved and not attributed."""
    number = next(_numbers)
    values = {
        "sop_instance_uid": f"1.2.826.0.1.{number}",
        "digest": f"{number:064x}",
        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.1.2",
        "transfer_syntax_uid": "1.2.840.10008.1.2.1",
        "study_instance_uid": "1.2.3",
        "series_instance_uid": "1.2.3.1",
        "image_laterality": "R",
        "view_position": "CC",
        "calling_ae_title": "MAMMO1",
        "address": "127.0.0.1",
        "received_at": timezone.now(),
        "size": 8_000_000,
    }
    return ReceivedImage(**{**values, **changes})


def stored(**changes: Any) -> ReceivedImage:
    """Store an image that waits to go to Manage, unless the changes say otherwise."""
    made = image(**{"state": ReceivedImage.State.WAITING, **changes})
    made.save()
    return made
