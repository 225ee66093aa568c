"""Registers the worklist's system checks, and its part in the gateway's health."""

from django.apps import AppConfig


class WorklistConfig(AppConfig):
    """The edge towards the modalities."""

    name = "worklist"

    def ready(self) -> None:
        from core.health import ALARMS, CHECKS
        from worklist import checks  # noqa: F401
        from worklist.health import check_items, wrong_patients

        CHECKS["worklist_items"] = check_items
        ALARMS.append(wrong_patients)
