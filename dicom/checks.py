"""Check the settings of a DICOM server before it starts: its AE title, its ports and its TLS files."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings
from django.core.checks import Error

from core.value_representations import is_ae
from dicom.tls import server_context

#: What each file must hold, by the end of its setting's name.
TLS_FILES = {
    "TLS_CERTIFICATE_PATH": "the server's certificate and its intermediate certificates",
    "TLS_KEY_PATH": "the certificate's private key, not encrypted",
    "TLS_CLIENT_CA_PATH": "the certificates of the authorities that issue the modalities' certificates",
}


class ServerErrorIds(NamedTuple):
    """The ids of the errors about one server: each app has its own."""

    ae_title: str
    no_port: str
    same_port: str
    tls_file_missing: str
    tls_files_unusable: str


def server_errors(prefix: str, default_port: int, ids: ServerErrorIds) -> Iterator[Error]:
    """Yield the errors in the settings of a server; their names begin with `prefix`, MWL or IMAGE."""

    def setting(name: str) -> Any:
        return getattr(settings, f"{prefix}_{name}")

    if not is_ae(setting("AE_TITLE")):
        yield Error(
            f"{prefix}_AE_TITLE is not an AE title: {setting('AE_TITLE')!r}",
            hint="Set 1 to 16 ASCII characters without a backslash, exactly as it is entered at the modalities.",
            id=ids.ae_title,
        )
    if not setting("PORT") and not setting("TLS_PORT"):
        yield Error(
            f"The server has no port: {prefix}_PORT and {prefix}_TLS_PORT are both 0",
            hint=f"Set {prefix}_PORT={default_port} for DICOM without TLS, {prefix}_TLS_PORT for TLS, or both.",
            id=ids.no_port,
        )
    elif setting("PORT") == setting("TLS_PORT"):
        yield Error(
            f"{prefix}_PORT and {prefix}_TLS_PORT are the same: {setting('PORT')}",
            hint=f"Give TLS a port of its own; set {prefix}_PORT=0 for TLS alone.",
            id=ids.same_port,
        )
    if setting("TLS_PORT"):
        yield from _tls_errors(prefix, ids)


def _tls_errors(prefix: str, ids: ServerErrorIds) -> Iterator[Error]:
    """Yield an error for each file that cannot be read; if all can, one that says why TLS cannot use them."""
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
            id=ids.tls_file_missing,
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
            id=ids.tls_files_unusable,
        )
