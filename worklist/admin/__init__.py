"""The worklist's admin pages, one module for each subject. Django's autodiscovery imports this package."""

from worklist.admin import alarms, items, modalities, mpps_exceptions, queries, steps

__all__ = ["alarms", "items", "modalities", "mpps_exceptions", "queries", "steps"]
