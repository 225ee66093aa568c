"""Serve the Modality Worklist and MPPS SOP classes over DICOM: which handler answers which service."""

import ssl

from pynetdicom import evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    ModalityPerformedProcedureStep,
    ModalityWorklistInformationFind,
)

from dicom.server import DicomServer, Service, start_server
from worklist.performed_step.mpps import answer_create, answer_set
from worklist.query.find import WorklistContext, answer_find

#: PS3.4 section K.5.1.1: bytes 1 and 2 are reserved and are 1; no fuzzy name matching, no time zone adjustment.
EXTENDED_NEGOTIATION = b"\x01\x01\x00\x00"

#: The SOP classes served beside Verification.
SERVICES = (
    Service(ModalityWorklistInformationFind, ((evt.EVT_C_FIND, answer_find),), EXTENDED_NEGOTIATION),
    Service(ModalityPerformedProcedureStep, ((evt.EVT_N_CREATE, answer_create), (evt.EVT_N_SET, answer_set))),
)


def start_worklist_server(
    host: str, port: int, context: WorklistContext, tls: ssl.SSLContext | None = None
) -> DicomServer:
    """Start to serve on a port, 0 for any free one; raise PortUnavailable if that fails."""
    return start_server(host, port, context, SERVICES, tls)
