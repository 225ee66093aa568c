"""Check the worklist's settings before every command (Django's system checks)."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from core.checks import GATEWAY, Ranges, errors_of_ranges
from core.value_representations import MAX_LENGTHS, is_text
from dicom.checks import ServerErrorIds, server_errors

RANGES: Ranges = {
    "worklist.E002": (
        "MWL_PORT",
        0,
        65535,
        "11112 is DICOM's port. A port below 1024 needs a privilege; 0 means TLS only.",
    ),
    "worklist.E003": (
        "MWL_MAX_ROWS",
        100,
        100_000,
        "Set it far above a day's list of 40 to 80 women a room, or some are missing. The default is 5000.",
    ),
    "worklist.E004": ("MWL_MAX_ASSOCIATIONS", 1, 1000, "The default is 60."),
    "worklist.E005": ("MWL_KEEP_QUERIES_DAYS", 1, 3650, "The default is 30."),
    "worklist.E006": ("MWL_TLS_PORT", 0, 65535, "2762 is usual. A port below 1024 needs a privilege; 0 means no TLS."),
    "worklist.E007": ("MWL_MAX_ASSOCIATIONS_PER_PEER", 1, 1000, "The default is 50."),
    "worklist.E008": ("MWL_IDLE_SECONDS", 5, 3600, "The default is 60: a modality pauses between its queries."),
}
SERVER_ERRORS = ServerErrorIds(
    ae_title="worklist.E001",
    no_port="worklist.E009",
    same_port="worklist.E010",
    tls_file_missing="worklist.E011",
    tls_files_unusable="worklist.E012",
)


@register(GATEWAY)
def check_worklist_settings(**kwargs: Any) -> Sequence[CheckMessage]:
    """Report every setting that would keep a modality from its worklist."""
    return [*_errors(), *errors_of_ranges(RANGES)]


def _errors() -> Iterator[CheckMessage]:
    yield from server_errors("MWL", 11112, SERVER_ERRORS)
    issuer = settings.MWL_ISSUER_OF_PATIENT_ID
    if issuer and (not is_text(issuer) or len(issuer) > MAX_LENGTHS["LO"]):
        yield Error(
            f"MWL_ISSUER_OF_PATIENT_ID is not a text that DICOM allows: {issuer!r}",
            hint="Set at most 64 characters without a backslash or control character, such as NHS; or leave it empty.",
            id="worklist.E013",
        )
