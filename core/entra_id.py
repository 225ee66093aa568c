"""Give this machine's identity in Entra ID, which gets the tokens for Azure Relay and for Manage."""

import ssl
from typing import Any


def default_credential(**options: Any) -> Any:
    """Return DefaultAzureCredential, made with these options.

    Azure's library brings its own certificate authorities and ignores SSL_CERT_FILE, so name that file explicitly.
    """
    from azure.identity import DefaultAzureCredential  # noqa: PLC0415 - slow, and not needed with a key

    paths = ssl.get_default_verify_paths()
    private = paths.cafile if paths.cafile != paths.openssl_cafile else None
    trusted = {"connection_verify": private} if private else {}
    return DefaultAzureCredential(**trusted, **options)
