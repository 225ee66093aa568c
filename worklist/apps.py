"""Registers the worklist's system checks, its server, and its health check."""

from django.apps import AppConfig


class WorklistConfig(AppConfig):
    """The edge towards the modalities."""

    name = "worklist"

    def ready(self) -> None:
        from core.health import register_check
        from core.heartbeat import Daemon, register_daemon
        from worklist import checks  # noqa: F401
        from worklist.configuration import LISTENING
        from worklist.health import check_items

        register_daemon(Daemon("mwl_scp", "run_mwl_scp", frozenset({LISTENING})))
        register_check("worklist_items", check_items)
