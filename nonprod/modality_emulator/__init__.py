"""Emulate a mammography unit: query the worklist, perform its steps, and report them by MPPS."""

from nonprod.modality_emulator.datasets import (
    REASONS,
    UNSPECIFIED,
    VIEWS,
    Dose,
    Reason,
    Series,
    UnknownReason,
    exposed,
    reason_named,
)
from nonprod.modality_emulator.modality import ModalityEmulator, PerformedStep, RequestFailed
from nonprod.modality_emulator.worklist_queries import broad_query, step_query, worklist_table

__all__ = [
    "REASONS",
    "UNSPECIFIED",
    "VIEWS",
    "Dose",
    "ModalityEmulator",
    "PerformedStep",
    "Reason",
    "RequestFailed",
    "Series",
    "UnknownReason",
    "broad_query",
    "exposed",
    "reason_named",
    "step_query",
    "worklist_table",
]
