"""Act as a modality, with pynetdicom: query the worklist, report steps by MPPS, and send images.

The test machine and the emulators do. The gateway's servers import none of it.
"""

from dicom.scu.datasets import (
    REASONS,
    UNSPECIFIED,
    VIEWS,
    Dose,
    Reason,
    Series,
    UnknownReason,
    exposed,
    reason_named,
    step_identifier,
)
from dicom.scu.modality import ModalityScu, PerformedStep, RequestFailed
from dicom.scu.storage import StorageScu

__all__ = [
    "REASONS",
    "UNSPECIFIED",
    "VIEWS",
    "Dose",
    "ModalityScu",
    "PerformedStep",
    "Reason",
    "RequestFailed",
    "Series",
    "StorageScu",
    "UnknownReason",
    "exposed",
    "reason_named",
    "step_identifier",
]
