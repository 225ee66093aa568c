"""Register the system checks of images, and their daemons."""

from django.apps import AppConfig


class ImagesConfig(AppConfig):
    """Images from the machines, and their copies for Manage. Not installed where IMAGES is off."""

    name = "images"

    def ready(self) -> None:
        from core.heartbeat import Daemon, register_daemon
        from images import checks  # noqa: F401
        from images.configuration import UPLOADING

        register_daemon(Daemon("image_uploader", "run_image_uploader", frozenset({UPLOADING})))
