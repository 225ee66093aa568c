"""Register the relay's system checks and its daemon, the relay listener."""

from django.apps import AppConfig


class RelayConfig(AppConfig):
    name = "relay"

    def ready(self) -> None:
        from core.heartbeat import Daemon, register_daemon
        from relay import checks  # noqa: F401
        from relay.hybrid_connection.status import ListenerState

        register_daemon(Daemon("relay_listener", "run_relay_listener", frozenset({ListenerState.ONLINE})))
