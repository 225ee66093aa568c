"""Get tokens for a hybrid connection: shared access signatures, or from Entra ID (Hybrid Connections protocol)."""

import asyncio
import base64
import hashlib
import hmac
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import quote

from .failures import Failure, HybridConnectionError

ENTRA_ID_SCOPE = "https://relay.azure.net/.default"
#: Part of the Azure library's error message → cause and next step. The message itself may name the tenant.
ENTRA_ID_STEPS = (
    (
        "CERTIFICATE_VERIFY_FAILED",
        "a certificate on the way to it is not trusted: is a private authority missing from SSL_CERT_FILE?",
    ),
    ("Tunnel connection failed", "the proxy does not connect us to it: check HTTPS_PROXY, with user name and password"),
    ("Unable to connect to proxy", "the proxy cannot be reached: check HTTPS_PROXY"),
    ("Failed to resolve", "its host name cannot be resolved: check DNS, or HTTPS_PROXY"),
)
HOUR = 3600
#: How long a token provider may take. Seconds.
TIMEOUT = 30.0


@dataclass(frozen=True)
class Token:
    """The value of the ServiceBusAuthorization header, and when it expires (Unix seconds)."""

    value: str = field(repr=False)
    expires_at: float


class TokenError(Exception):
    """No token could be obtained; the message gives the next step, and quotes nothing of the credential."""


class TokenProvider(Protocol):
    """Gets tokens. May block, because `fresh_token` calls it in a thread."""

    def token(self, audience: str) -> Token:
        """Return a token that is valid now; raise TokenError when there is none."""


def sign(audience: str, key_name: str, key: str, expires_at: int) -> str:
    """Return a shared access signature for `audience` (a resource URI, not encoded), valid until `expires_at`."""
    resource = quote(audience, safe="")
    signature = hmac.new(key.encode(), f"{resource}\n{expires_at}".encode(), hashlib.sha256).digest()
    encoded = quote(base64.b64encode(signature), safe="")
    return f"SharedAccessSignature sr={resource}&sig={encoded}&se={expires_at}&skn={quote(key_name, safe='')}"


@dataclass(frozen=True)
class SharedAccessKey:
    """Signs tokens with the key of a shared access policy; each is valid for `lifetime` seconds."""

    name: str
    key: str = field(repr=False)
    lifetime: float = HOUR
    clock: Callable[[], float] = time.time

    def token(self, audience: str) -> Token:
        expires_at = math.ceil(self.clock() + self.lifetime)
        return Token(sign(audience, self.name, self.key, expires_at), expires_at)


class Credential(Protocol):
    """The part of azure-identity's TokenCredential that is used here."""

    def get_token(self, scope: str, /) -> Any:
        """Return an object with `token` and `expires_on` (Unix seconds); raise AzureError when there is none."""


class EntraId:
    """Gets tokens from Entra ID for the identity of a credential."""

    def __init__(self, credential: Credential) -> None:
        self._credential = credential

    def token(self, audience: str) -> Token:
        """Return a token for Azure Relay as a whole; role assignments decide what it permits."""
        from azure.core.exceptions import AzureError  # noqa: PLC0415 - slow, and not needed with a key

        try:
            token = self._credential.get_token(ENTRA_ID_SCOPE)
        except AzureError as error:
            no_identity = "is there an identity (AZURE_CLIENT_ID)?"
            step = next((step for part, step in ENTRA_ID_STEPS if part in str(error)), no_identity)
            raise TokenError(f"Entra ID returned no token ({type(error).__name__}): {step}") from None
        return Token(f"Bearer {token.token}", token.expires_on)


#: Not the event loop's own threads: DNS look-ups use those, and one that hangs must not delay a token.
_threads = ThreadPoolExecutor(4, thread_name_prefix="token")


async def fresh_token(tokens: TokenProvider, audience: str) -> Token:
    """Get a token in a worker thread; raise HybridConnectionError when there is none within TIMEOUT."""
    phase = "getting a token"
    try:
        async with asyncio.timeout(TIMEOUT):
            return await asyncio.get_running_loop().run_in_executor(_threads, tokens.token, audience)
    except TokenError as error:
        raise HybridConnectionError(phase, Failure("token", str(error))) from None
    except TimeoutError:
        late = f"no token within {TIMEOUT:g} s: is Entra ID reachable (login.microsoftonline.com, port 443)?"
        raise HybridConnectionError(phase, Failure("token", late)) from None
