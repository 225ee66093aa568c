"""Owns the checks of the worklist's settings, run before every command."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from core.checks import Ranges, errors_of_ranges
from core.value_representations import MAX_LENGTHS, is_ae, is_text
from dicom.tls import server_context

RANGES: Ranges = {
    "worklist.E002": ("MWL_PORT", 0, 65535, "11112 is DICOM's own; below 1024 needs a privilege; 0: only TLS."),
    "worklist.E003": (
        "MWL_MAX_ROWS",
        100,
        100_000,
        "It must be far above a day's list of 40 to 80 women a room, or a modality loses women; 500 unless set.",
    ),
    "worklist.E004": ("MWL_MAX_ASSOCIATIONS", 1, 1000, "60 unless set."),
    "worklist.E005": ("MWL_KEEP_QUERIES_DAYS", 1, 3650, "30 unless set."),
    "worklist.E006": ("MWL_TLS_PORT", 0, 65535, "2762 is the custom; below 1024 needs a privilege; 0: none."),
    "worklist.E007": ("MWL_MAX_ASSOCIATIONS_PER_PEER", 1, 1000, "50 unless set."),
    "worklist.E008": ("MWL_IDLE_SECONDS", 5, 3600, "60 unless set; a modality pauses between its queries."),
}


@register
def check_worklist_settings(**kwargs: Any) -> Sequence[CheckMessage]:
    """Everything that would keep a modality from reaching the worklist."""
    return [*_complaints(), *errors_of_ranges(RANGES)]


def _complaints() -> Iterator[CheckMessage]:
    if not is_ae(settings.MWL_AE_TITLE):
        yield Error(
            f"MWL_AE_TITLE is no AE title: {settings.MWL_AE_TITLE!r}",
            hint="1 to 16 ASCII characters without backslash; modalities are configured with exactly this text.",
            id="worklist.E001",
        )
    if not settings.MWL_PORT and not settings.MWL_TLS_PORT:
        yield Error(
            "The worklist has no port: MWL_PORT and MWL_TLS_PORT are both 0",
            hint="MWL_PORT=11112 for DICOM in the clear, MWL_TLS_PORT=2762 for TLS, or both.",
            id="worklist.E009",
        )
    elif settings.MWL_PORT == settings.MWL_TLS_PORT:
        yield Error(
            f"MWL_PORT and MWL_TLS_PORT are the same: {settings.MWL_PORT}",
            hint="TLS has a port of its own, 2762 by custom; MWL_PORT=0 for TLS alone.",
            id="worklist.E010",
        )
    issuer = settings.MWL_ISSUER_OF_PATIENT_ID
    if issuer and (not is_text(issuer) or len(issuer) > MAX_LENGTHS["LO"]):
        yield Error(
            f"MWL_ISSUER_OF_PATIENT_ID is no text that DICOM allows: {issuer!r}",
            hint="At most 64 characters, none of them a backslash or a control character, such as NHS; or nothing.",
            id="worklist.E013",
        )
    if settings.MWL_TLS_PORT:
        yield from _complaints_of_tls()


TLS_FILES = {
    "MWL_TLS_CERTIFICATE_PATH": "the server's certificate, and those between it and its authority",
    "MWL_TLS_KEY_PATH": "the key to the certificate, not encrypted",
    "MWL_TLS_CLIENT_CA_PATH": "the certificates of the authorities that issue the modalities' own",
}


def _complaints_of_tls() -> Iterator[CheckMessage]:
    """The files that are missing; where all are there, why they cannot be used."""
    missing = [name for name in TLS_FILES if not _is_readable(getattr(settings, name))]
    for name in missing:
        yield Error(
            f"{name} names no file that can be read: {getattr(settings, name)!r}",
            hint=f"A PEM file with {TLS_FILES[name]}, readable by this user; or MWL_TLS_PORT=0.",
            id="worklist.E011",
        )
    if missing:
        return
    try:
        server_context(*(getattr(settings, name) for name in TLS_FILES))
    except (OSError, ValueError) as error:
        yield Error(
            f"The files of the worklist's TLS cannot be used: {error}",
            hint="PEM files: MWL_TLS_KEY_PATH must be the key to MWL_TLS_CERTIFICATE_PATH, and not be encrypted.",
            id="worklist.E012",
        )


def _is_readable(path: str) -> bool:
    return Path(path).is_file() and os.access(path, os.R_OK)
