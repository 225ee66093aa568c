"""The tables of the worklist: what is shown, to whom, and what has been shown."""

from worklist.models.deliveries import ItemAlarm, Showing, WorklistQuery
from worklist.models.items import WorklistItem
from worklist.models.modalities import Modality

__all__ = ["ItemAlarm", "Modality", "Showing", "WorklistItem", "WorklistQuery"]
