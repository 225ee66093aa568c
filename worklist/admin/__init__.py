"""The worklist's admin pages, one module for each subject. Django's autodiscovery imports this package."""

from worklist.admin import alarms, exceptions, items, modalities, queries, steps

__all__ = ["alarms", "exceptions", "items", "modalities", "queries", "steps"]
