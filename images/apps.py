"""Register the system checks of images."""

from django.apps import AppConfig


class ImagesConfig(AppConfig):
    """Images from the machines, and their copies for Manage. Not installed where IMAGES is off."""

    name = "images"

    def ready(self) -> None:
        from images import checks  # noqa: F401
