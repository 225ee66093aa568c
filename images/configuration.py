"""Build the objects of images from the settings, and name the states of its daemons."""

from django.conf import settings

from dicom.association_policy import ServerConfig

#: The states in which the two daemons do their work.
RECEIVING, UPLOADING = "receiving", "uploading"


def server_config() -> ServerConfig:
    """The limits and the AE title of the IMAGE_ settings. Who may associate is decided as for the worklist."""
    return ServerConfig(
        ae_title=settings.IMAGE_AE_TITLE,
        max_associations=settings.IMAGE_MAX_ASSOCIATIONS,
        max_per_peer=settings.IMAGE_MAX_ASSOCIATIONS_PER_PEER,
        idle_seconds=settings.IMAGE_IDLE_SECONDS,
        unknown_titles=settings.MWL_UNKNOWN_AE_TITLES,
        checks_called_title=settings.IMAGE_CHECK_CALLED_AE_TITLE,
    )
