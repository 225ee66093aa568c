"""Register the relay's system checks and concerns."""

from django.apps import AppConfig


class RelayConfig(AppConfig):
    """The connection to Manage."""

    name = "relay"

    def ready(self) -> None:
        from core.concerns import register
        from relay import checks  # noqa: F401
        from relay.concerns import failed_actions

        register(failed_actions)
