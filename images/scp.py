"""Serve the image Storage SOP classes over DICOM: which are offered, and in which transfer syntaxes."""

import ssl
from collections.abc import Iterator

from django.conf import settings

from core.database import LendConnection, borrowed_connection
from dicom.association_policy import AssociationPolicy
from dicom.modality_directory import ModalityDirectory
from dicom.server import DicomServer, start_server
from dicom.service import EXPLICIT_VR_LITTLE_ENDIAN, Service
from dicom.upper_layer.dimse import CommandField
from dicom.upper_layer.negotiation import IMPLICIT_VR_LITTLE_ENDIAN
from images.arrival_rate import ArrivalRate
from images.configuration import server_config
from images.header import EXPLICIT_VR_BIG_ENDIAN
from images.spool import spool
from images.storage import ImageContext, answer_store, receive_into_spool

MAMMOGRAPHY_FOR_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.2"
MAMMOGRAPHY_FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.2.1"
BREAST_TOMOSYNTHESIS = "1.2.840.10008.5.1.4.1.1.13.1.3"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"

#: The preferred one first: where a presentation context leaves the choice, an image that is compressed already need not
#: be decompressed by the machine. The last may lose something, and nobody should choose it for us.
TRANSFER_SYNTAXES = (
    "1.2.840.10008.1.2.4.70",  # JPEG Lossless, process 14, selection value 1
    "1.2.840.10008.1.2.4.57",  # JPEG Lossless, process 14
    "1.2.840.10008.1.2.4.80",  # JPEG-LS Lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 Lossless
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
)


def sop_classes() -> Iterator[str]:
    """Yield the SOP classes that the settings allow."""
    yield MAMMOGRAPHY_FOR_PRESENTATION
    yield MAMMOGRAPHY_FOR_PROCESSING
    if settings.IMAGE_TOMOSYNTHESIS:
        yield BREAST_TOMOSYNTHESIS
    if settings.IMAGE_SECONDARY_CAPTURE:
        yield SECONDARY_CAPTURE


def image_context(connection: LendConnection = borrowed_connection) -> ImageContext:
    """Return what the handlers share, as the settings say."""
    return ImageContext(
        AssociationPolicy(server_config(), ModalityDirectory(connection=connection)),
        connection,
        spool=spool(),
        max_bytes=settings.IMAGE_MAX_BYTES,
        min_free_bytes=settings.IMAGE_MIN_FREE_BYTES,
        arrivals=ArrivalRate(settings.IMAGE_MAX_PER_SECOND_PER_PEER),
    )


def start_image_server(host: str, port: int, context: ImageContext, tls: ssl.SSLContext | None = None) -> DicomServer:
    """Start to serve on a port, 0 for any free one; raise PortUnavailable if that fails."""
    services = [
        Service(
            sop_class,
            {CommandField.C_STORE_RQ: answer_store},
            transfer_syntaxes=TRANSFER_SYNTAXES,
            sink_for=receive_into_spool,
        )
        for sop_class in sop_classes()
    ]
    return start_server(host, port, context, services, tls)
