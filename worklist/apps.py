"""Register the worklist's system checks, its server, its health check, and what in it needs attention."""

from django.apps import AppConfig


class WorklistConfig(AppConfig):
    """The worklist that modalities query, and what they report about it."""

    name = "worklist"

    def ready(self) -> None:
        from core.concerns import register
        from core.health import register_check
        from core.heartbeat import Daemon, register_daemon
        from worklist import checks  # noqa: F401
        from worklist.concerns import check_items, item_alarms, mpps_exceptions, wrong_patient
        from worklist.configuration import LISTENING

        register_daemon(Daemon("mwl_scp", "run_mwl_scp", frozenset({LISTENING})))
        register_check("worklist_items", check_items)
        for find in (wrong_patient, item_alarms, mpps_exceptions):
            register(find)
