"""Registers the relay's system checks."""

from django.apps import AppConfig


class RelayConfig(AppConfig):
    """The edge towards Manage."""

    name = "relay"

    def ready(self) -> None:
        from relay import checks  # noqa: F401
