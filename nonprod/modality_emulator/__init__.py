"""An emulator of a mammography unit: it asks for its worklist, performs the steps on it, and reports them by MPPS."""

from nonprod.modality_emulator.console import broad_query, console, step_query
from nonprod.modality_emulator.datasets import VIEWS, Dose, Series, exposed
from nonprod.modality_emulator.modality import Modality, NoAnswer, PerformedStep
from nonprod.modality_emulator.reasons import REASONS, UNSPECIFIED, Reason, UnknownReason, reason_named

__all__ = [
    "REASONS",
    "UNSPECIFIED",
    "VIEWS",
    "Dose",
    "Modality",
    "NoAnswer",
    "PerformedStep",
    "Reason",
    "Series",
    "UnknownReason",
    "broad_query",
    "console",
    "exposed",
    "reason_named",
    "step_query",
]
