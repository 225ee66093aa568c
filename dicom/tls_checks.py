"""Check the TLS files of a DICOM server before it starts (for Django's system checks)."""

import os
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.core.checks import Error

from dicom.tls import server_context

#: What each file must hold, by the end of its setting's name.
TLS_FILES = {
    "TLS_CERTIFICATE_PATH": "the server's certificate and its intermediate certificates",
    "TLS_KEY_PATH": "the certificate's private key, not encrypted",
    "TLS_CLIENT_CA_PATH": "the certificates of the authorities that issue the modalities' certificates",
}


def tls_errors(prefix: str, missing_id: str, unusable_id: str) -> Iterator[Error]:
    """Yield an error for each file that cannot be read; if all can, one that says why TLS cannot use them.

    `prefix` is what the names of the server's settings begin with: MWL or IMAGE.
    """
    files = {f"{prefix}_{name}": what for name, what in TLS_FILES.items()}
    missing = [
        name
        for name in files
        if not (Path(getattr(settings, name)).is_file() and os.access(getattr(settings, name), os.R_OK))
    ]
    for name in missing:
        yield Error(
            f"{name} is not a readable file: {getattr(settings, name)!r}",
            hint=f"Give a PEM file with {files[name]}, readable by this user; or set {prefix}_TLS_PORT=0.",
            id=missing_id,
        )
    if missing:
        return
    try:
        server_context(*(getattr(settings, name) for name in files))
    except (OSError, ValueError) as error:
        yield Error(
            f"The files of {prefix}_TLS_PORT cannot be used: {error}",
            hint=f"Give PEM files. {prefix}_TLS_KEY_PATH must hold the unencrypted private key of "
            f"{prefix}_TLS_CERTIFICATE_PATH.",
            id=unusable_id,
        )
