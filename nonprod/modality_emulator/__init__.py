"""Emulate a mammography unit: query the worklist, perform its steps, and report them by MPPS."""

from dicom.scu import (
    REASONS,
    UNSPECIFIED,
    VIEWS,
    Dose,
    PerformedStep,
    Reason,
    RequestFailed,
    Series,
    UnknownReason,
    exposed,
    reason_named,
)
from nonprod.modality_emulator.unit import Exposure, ModalityEmulator
from nonprod.modality_emulator.worklist_queries import broad_query, step_query, worklist_table

__all__ = [
    "REASONS",
    "UNSPECIFIED",
    "VIEWS",
    "Dose",
    "Exposure",
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
