"""Build the worklist's objects from the settings, and name its server's state."""

from typing import TYPE_CHECKING

from django.conf import settings

from dicom.modality_policy import ModalityPolicy
from worklist.query.information_model import MatchingOptions

if TYPE_CHECKING:
    from dicom.association_policy import ServerConfig

#: The worklist server's only state: it answers associations.
LISTENING = "listening"


def matching_options() -> MatchingOptions:
    """Return what the MWL_ settings say about matching and responses."""
    return MatchingOptions(
        folds_accents=settings.MWL_FOLD_ACCENTS,
        procedure_id_finds_accession=settings.MWL_PROCEDURE_ID_FINDS_ACCESSION,
        issuer_of_patient_id=settings.MWL_ISSUER_OF_PATIENT_ID,
    )


def row_limit(policy: ModalityPolicy) -> int:
    """Return the most items in one response to a modality."""
    return policy.max_rows or int(settings.MWL_MAX_ROWS)


def server_config() -> "ServerConfig":
    """Return the AE title and the limits of the MWL_ settings."""
    from dicom.association_policy import ServerConfig  # noqa: PLC0415 - every process imports this module

    return ServerConfig(
        ae_title=settings.MWL_AE_TITLE,
        max_associations=settings.MWL_MAX_ASSOCIATIONS,
        max_per_peer=settings.MWL_MAX_ASSOCIATIONS_PER_PEER,
        idle_seconds=settings.MWL_IDLE_SECONDS,
        shares_port=settings.MWL_SHARE_PORT,
        unknown_titles=settings.MWL_UNKNOWN_AE_TITLES,
        checks_called_title=settings.MWL_CHECK_CALLED_AE_TITLE,
    )
