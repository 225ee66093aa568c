"""Owns the tokens that open a hybrid connection (Hybrid Connections protocol: shared access signature; Entra ID)."""

import asyncio
import base64
import hashlib
import hmac
import math
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import quote

from .failures import Failure, HybridConnectionError

ENTRA_ID_SCOPE = "https://relay.azure.net/.default"
#: A part of what the library says → next step.
ENTRA_ID_STEPS = (
    (
        "CERTIFICATE_VERIFY_FAILED",
        "a certificate on the way to it is not trusted: is a private authority missing in SSL_CERT_FILE?",
    ),
    ("Tunnel connection failed", "the proxy does not connect us to it: check HTTPS_PROXY, with user name and password"),
    ("Unable to connect to proxy", "the proxy cannot be reached: check HTTPS_PROXY"),
    ("Failed to resolve", "its host name is not known: check DNS, or HTTPS_PROXY"),
)
HOUR = 3600
#: How long a provider may take. Seconds.
PATIENCE = 30.0


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


class Credential(Protocol):
    """Whatever azure-identity calls a TokenCredential."""

    def get_token(self, scope: str, /) -> Any:
        """An object with `token` and `expires_on` (Unix seconds); AzureError when there is none."""


class EntraId:
    """Gets its tokens from Entra ID: managed identity, environment, Azure CLI, as DefaultAzureCredential finds them."""

    def __init__(self, credential: Credential | None = None) -> None:
        # Imported here: slow, and of no use where there is a key.
        from azure.core.exceptions import AzureError  # noqa: PLC0415
        from azure.identity import DefaultAzureCredential  # noqa: PLC0415

        self._error = AzureError
        self._credential: Credential = credential or DefaultAzureCredential(**_private_authorities())

    def token(self, audience: str) -> Token:
        """A token for Azure Relay as a whole; the role assignment decides what it opens."""
        try:
            token = self._credential.get_token(ENTRA_ID_SCOPE)
        except self._error as error:
            raise TokenError(f"Entra ID gave none ({type(error).__name__}): {_next_step(str(error))}") from None
        return Token(f"Bearer {token.token}", token.expires_on)


def _private_authorities() -> dict[str, str]:
    """Azure's library brings authorities of its own, and does not read SSL_CERT_FILE."""
    paths = ssl.get_default_verify_paths()
    named = paths.cafile if paths.cafile != paths.openssl_cafile else None
    return {"connection_verify": named} if named else {}


def _next_step(text: str) -> str:
    """What to look at, by a library's text, which itself is not repeated."""
    return next((step for part, step in ENTRA_ID_STEPS if part in text), "is there an identity (AZURE_CLIENT_ID)?")


#: Not the loop's own threads: names are looked up in those, and a look-up that hangs is no fault of a token's.
_threads = ThreadPoolExecutor(4, thread_name_prefix="token")


async def fresh_token(tokens: TokenProvider, audience: str) -> Token:
    """A token, got outside the event loop; HybridConnectionError where there is none in time."""
    phase = "getting a token"
    try:
        async with asyncio.timeout(PATIENCE):
            return await asyncio.get_running_loop().run_in_executor(_threads, tokens.token, audience)
    except TokenError as error:
        raise HybridConnectionError(phase, Failure("token", str(error))) from None
    except TimeoutError:
        late = f"none came in {PATIENCE:g} s: is the way to Entra ID open (login.microsoftonline.com, port 443)?"
        raise HybridConnectionError(phase, Failure("token", late)) from None
