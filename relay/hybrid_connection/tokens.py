"""Owns the tokens that open a hybrid connection (Hybrid Connections protocol: shared access signature; Entra ID)."""

import base64
import hashlib
import hmac
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import quote

ENTRA_ID_SCOPE = "https://relay.azure.net/.default"
HOUR = 3600


@dataclass(frozen=True)
class Token:
    """The value of the ServiceBusAuthorization header, and when it ends (Unix seconds)."""

    value: str = field(repr=False)
    expires_at: float


class TokenError(Exception):
    """There is no token to be had now; the text says what to look at, and has no word of the credential's own."""


class TokenProvider(Protocol):
    """Whatever can give a token for an audience. It may take its time: it is called outside the event loop."""

    def token(self, audience: str) -> Token:
        """A token that is good from now on; TokenError when there is none."""


def sign(audience: str, key_name: str, key: str, expires_at: int) -> str:
    """A shared access signature over `audience`, a resource URI that is not encoded yet."""
    resource = quote(audience, safe="")
    signature = hmac.new(key.encode(), f"{resource}\n{expires_at}".encode(), hashlib.sha256).digest()
    encoded = quote(base64.b64encode(signature), safe="")
    return f"SharedAccessSignature sr={resource}&sig={encoded}&se={expires_at}&skn={quote(key_name, safe='')}"


@dataclass(frozen=True)
class SharedAccessKey:
    """Signs its own tokens with the key of an authorization policy."""

    name: str
    key: str = field(repr=False)
    lifetime: float = HOUR
    clock: Callable[[], float] = time.time

    def token(self, audience: str) -> Token:
        """A token that ends `lifetime` seconds from now."""
        expires_at = math.ceil(self.clock() + self.lifetime)
        return Token(sign(audience, self.name, self.key, expires_at), expires_at)


class EntraId:
    """Gets its tokens from Entra ID: managed identity, environment, Azure CLI, as DefaultAzureCredential finds them."""

    def __init__(self) -> None:
        # Imported here: slow, and of no use where there is a key.
        from azure.core.exceptions import AzureError  # noqa: PLC0415
        from azure.identity import DefaultAzureCredential  # noqa: PLC0415

        self._error = AzureError
        self._credential = DefaultAzureCredential()

    def token(self, audience: str) -> Token:
        """A token for Azure Relay as a whole; the role assignment decides what it opens."""
        try:
            token = self._credential.get_token(ENTRA_ID_SCOPE)
        except self._error as error:
            problem = f"Entra ID gave none ({type(error).__name__}): is there a managed identity, or AZURE_CLIENT_ID?"
            raise TokenError(problem) from None
        return Token(f"Bearer {token.token}", token.expires_on)
