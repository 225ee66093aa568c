"""Registers the worklist's system checks, and its part in the gateway's health."""

from django.apps import AppConfig


class WorklistConfig(AppConfig):
    """The edge towards the modalities."""

    name = "worklist"

    def ready(self) -> None:
        from core.concerns import register
        from core.health import ALARMS, CHECKS
        from worklist import checks  # noqa: F401
        from worklist.concerns import item_not_shown, mpps_exceptions, wrong_patient
        from worklist.health import check_items, wrong_patients

        CHECKS["worklist_items"] = check_items
        ALARMS.append(wrong_patients)
        for find in (wrong_patient, item_not_shown, mpps_exceptions):
            register(find)
