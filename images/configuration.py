"""Build the objects of images from the settings, and name the states of its daemons."""

from typing import TYPE_CHECKING

from django.conf import settings

if TYPE_CHECKING:
    from dicom.association_policy import ServerConfig

#: The states in which the two daemons do their work, and that of either while the spool cannot be used.
RECEIVING, UPLOADING, DISK_FAILS = "receiving", "uploading", "disk_fails"

#: A data set may take this many seconds to arrive, and one more for each of these bytes: 20 minutes for 60 MB.
DATA_SET_SECONDS, MIN_BYTES_PER_SECOND = 30.0, 50_000
#: The longest P-DATA-TF that a machine may send; DCMTK sends none that is longer.
MAX_PDU_BYTES = 1 << 17


def server_config() -> "ServerConfig":
    """Return the AE title and the limits of the IMAGE_ settings. Who may associate is decided as for the worklist."""
    from dicom.association_policy import ServerConfig  # noqa: PLC0415 - every process imports this module

    return ServerConfig(
        ae_title=settings.IMAGE_AE_TITLE,
        max_associations=settings.IMAGE_MAX_ASSOCIATIONS,
        max_per_peer=settings.IMAGE_MAX_ASSOCIATIONS_PER_PEER,
        idle_seconds=settings.IMAGE_IDLE_SECONDS,
        unknown_titles=settings.MWL_UNKNOWN_AE_TITLES,
        checks_called_title=settings.IMAGE_CHECK_CALLED_AE_TITLE,
        data_set_seconds=DATA_SET_SECONDS,
        min_bytes_per_second=MIN_BYTES_PER_SECOND,
        max_pdu_bytes=MAX_PDU_BYTES,
        max_data_set_bytes=2 * settings.IMAGE_MAX_BYTES,  # up to here, a longer one gets an answer
    )
