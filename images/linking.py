"""Decide which worklist item an image belongs to, and what becomes of it."""

from datetime import datetime

from images.items import ImageIdentity
from images.models import ReceivedImage


def attribute(image: ReceivedImage, identity: ImageIdentity, now: datetime) -> None:
    """Set item and state of an image that has been received and is not saved yet."""
    image.state = ReceivedImage.State.HELD if image.version > 1 else ReceivedImage.State.UNLINKED
    image.reason = ReceivedImage.Reason.ANOTHER_VERSION if image.version > 1 else ""
