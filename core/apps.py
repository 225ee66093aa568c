"""Registers core's system checks."""

from django.apps import AppConfig


class CoreConfig(AppConfig):
    """The words that both edges use."""

    name = "core"

    def ready(self) -> None:
        from core import checks  # noqa: F401
