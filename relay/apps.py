"""Register the relay's system checks, daemon and concerns."""

from django.apps import AppConfig


class RelayConfig(AppConfig):
    """The connection to Manage."""

    name = "relay"

    def ready(self) -> None:
        from core.concerns import register
        from core.heartbeat import Daemon, register_daemon
        from relay import checks  # noqa: F401
        from relay.concerns import failed_actions
        from relay.hybrid_connection.status import ListenerState

        register_daemon(Daemon("relay_listener", "run_relay_listener", frozenset({ListenerState.ONLINE})))
        register(failed_actions)
