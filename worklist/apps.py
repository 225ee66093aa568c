"""Registers the worklist's system checks."""

from django.apps import AppConfig


class WorklistConfig(AppConfig):
    """The edge towards the modalities."""

    name = "worklist"

    def ready(self) -> None:
        from worklist import checks  # noqa: F401
