"""Tell which daemon is not working."""

from collections.abc import Iterator
from datetime import datetime

from core.concerns import Concern
from dashboard.daemons import daemon_concern, heartbeats, relay_listener, worklist_server
from dashboard.images import are_images_on, image_daemons


def daemon_concerns(now: datetime) -> Iterator[Concern]:
    """Yield a concern for each daemon; its count is 0 while the daemon works."""
    beats = heartbeats()
    yield daemon_concern("relay_connection", "Connection to Manage", relay_listener(beats, now))
    yield daemon_concern("worklist_server", "Worklist server", worklist_server(beats, now))
    if are_images_on():
        receiver, uploader = image_daemons(beats, now)
        yield daemon_concern("image_server", "Images", receiver)
        yield daemon_concern("image_uploader", "Images", uploader)
