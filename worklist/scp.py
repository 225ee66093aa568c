"""Serve the Modality Worklist and MPPS SOP classes over DICOM: which handler answers which service."""

import ssl

from pydicom import config as pydicom_config

from dicom.server import DicomServer, start_server
from dicom.service import Service
from dicom.upper_layer.dimse import CommandField
from worklist.performed_step.mpps import answer_create, answer_set
from worklist.query.find import WorklistContext, answer_find

#: PS3.4 sections K.5 and F.7.1.
MODALITY_WORKLIST_FIND, MODALITY_PERFORMED_PROCEDURE_STEP = "1.2.840.10008.5.1.4.31", "1.2.840.10008.3.1.2.3.3"
#: PS3.4 section K.5.1.1: bytes 1 and 2 are reserved and are 1; no fuzzy name matching, no time zone adjustment.
EXTENDED_NEGOTIATION = b"\x01\x01\x00\x00"

#: The SOP classes served besides Verification.
SERVICES = (
    Service(MODALITY_WORKLIST_FIND, {CommandField.C_FIND_RQ: answer_find}, EXTENDED_NEGOTIATION),
    Service(
        MODALITY_PERFORMED_PROCEDURE_STEP,
        {CommandField.N_CREATE_RQ: answer_create, CommandField.N_SET_RQ: answer_set},
    ),
)


def start_worklist_server(
    host: str, port: int, context: WorklistContext, tls: ssl.SSLContext | None = None
) -> DicomServer:
    """Start to serve on a port, 0 for any free one; raise PortUnavailable if that fails."""
    # A key may be longer than its VR allows, or hold characters it does not: it is compared, not refused.
    pydicom_config.settings.reading_validation_mode = pydicom_config.IGNORE
    pydicom_config.settings.writing_validation_mode = pydicom_config.IGNORE
    return start_server(host, port, context, SERVICES, tls)
