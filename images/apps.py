"""Register the system checks of images, and what in them needs attention."""

from django.apps import AppConfig


class ImagesConfig(AppConfig):
    """Images from the machines, and their copies for Manage. Not installed where IMAGES is off."""

    name = "images"

    def ready(self) -> None:
        from core.concerns import register
        from images import checks  # noqa: F401
        from images.concerns import CONCERNS

        for find in CONCERNS:
            register(find)
