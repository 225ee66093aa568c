"""Register the system checks of images, their daemons, and what in them needs attention."""

from django.apps import AppConfig


class ImagesConfig(AppConfig):
    """Images from the machines, and their copies for Manage. Not installed where IMAGES is off."""

    name = "images"

    def ready(self) -> None:
        from core.concerns import register
        from core.heartbeat import Daemon, register_daemon
        from images import checks  # noqa: F401
        from images.concerns import CONCERNS
        from images.configuration import RECEIVING, UPLOADING

        register_daemon(Daemon("image_scp", "run_image_scp", frozenset({RECEIVING})))
        register_daemon(Daemon("image_uploader", "run_image_uploader", frozenset({UPLOADING})))
        for find in CONCERNS:
            register(find)
