"""Send copies of images and failure reports to Manage over HTTPS, and say what each answer means.

HTTPS_PROXY and NO_PROXY apply as for the relay; SSL_CERT_FILE names a private certificate authority. No redirect is
followed, which would carry the token to another host.

Requests run in an event loop in a thread of its own, because only there can a whole request have a time limit. With a
limit for each read alone, a server that sends a byte now and then would hold its caller for hours.
"""

import asyncio
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import httpx
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from core.entra_id import default_credential
from images.answers import Answer, Outcome

#: Seconds for connecting, for each read and each write, and for a connection to become free.
TIMEOUTS = httpx.Timeout(connect=10.0, read=60.0, write=30.0, pool=10.0)
#: Seconds for a whole request up to its status: more than Manage may think (`read`), less than would hold up the day.
REQUEST_SECONDS = 120.0
#: How long, and how many bytes, the rest of an answer is read: nothing in it is needed, but its connection can only be
#: used again once all of it has been read.
REST_SECONDS, REST_BYTES = 5.0, 64 * 1024
#: A token is replaced this many seconds before it expires.
TOKEN_MARGIN = 300.0

Meanings = Mapping[int, tuple[Outcome, str]]

TOKEN_REFUSED = "Manage refused the token (401): is MANAGE_API_RESOURCE right, and may this identity use it?"  # noqa: S105
#: The answers to PUT dicom/{action_id}.
UPLOAD: Meanings = {
    201: (Outcome.TAKEN, ""),
    400: (Outcome.NEVER, "Manage refused it for good (400): too large, not DICOM, or a UID is missing"),
    401: (Outcome.NOT_ARRIVED, TOKEN_REFUSED),
    403: (
        Outcome.SLOWER,
        "Manage takes nothing under this action (403): not of today, not confirmed, failed, or another gateway's",
    ),
    422: (Outcome.OUR_FAULT, "Manage found no file in the request (422)"),
    500: (Outcome.UNKNOWN, "Manage could not take it (500): perhaps the appointment is not in progress yet"),
}
#: The answers to PATCH dicom/{action_id}/failure.
FAILURE_REPORT: Meanings = {
    200: (Outcome.TAKEN, ""),
    400: (Outcome.OUR_FAULT, "Manage could not read the report (400)"),
    401: (Outcome.NOT_ARRIVED, TOKEN_REFUSED),
    403: (Outcome.NEVER, "Manage takes no report of this action (403)"),
    404: (Outcome.NEVER, "Manage does not know this action (404)"),
    422: (Outcome.OUR_FAULT, "Manage could not read the report (422)"),
}
#: Part of the text of a failure to connect → its cause and the next step. The text itself may name hosts and proxies.
CONNECTION_STEPS = (
    ("CERTIFICATE_VERIFY_FAILED", "its certificate is not trusted: is a private authority missing from SSL_CERT_FILE?"),
    ("Proxy Authentication Required", "the proxy requires a user name and password: check HTTPS_PROXY"),
    ("Name or service not known", "its host name cannot be resolved: check DNS, MANAGE_API_URL or HTTPS_PROXY"),
    ("Temporary failure in name resolution", "its host name cannot be resolved: check DNS or HTTPS_PROXY"),
    (  # anyio's text, whatever the system says
        "All connection attempts failed",
        "the connection was refused, or there is no way to the host: check MANAGE_API_URL and HTTPS_PROXY",
    ),
)
#: What httpx raises before a request has left.
BEFORE_SENDING = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.LocalProtocolError,
    httpx.UnsupportedProtocol,
)


class NoToken(Exception):
    """There is no token; the text says why, and quotes nothing of the credential."""


class Tokens(Protocol):
    """Gives the token for `Authorization: Bearer`."""

    def token(self, *, fresh: bool = False) -> str:
        """Return a token that is valid now, a new one if `fresh`; raise NoToken."""


@dataclass(frozen=True)
class StaticToken:
    """The token of MANAGE_API_TOKEN, for development."""

    value: str = field(repr=False)

    def token(self, *, fresh: bool = False) -> str:
        return self.value


class EntraIdTokens:
    """Tokens of Entra ID for `resource`, kept until shortly before they expire. For use in several threads."""

    def __init__(self, resource: str, credential: Any = None, clock: Callable[[], float] = time.time) -> None:
        self._scope = f"{resource.rstrip('/')}/.default"
        self._credential = credential
        self._clock = clock
        self._lock = threading.Lock()
        self._value = ""
        self._expires_at = 0.0

    def token(self, *, fresh: bool = False) -> str:
        from azure.core.exceptions import AzureError  # noqa: PLC0415 - slow, and not needed with a static token

        with self._lock:
            if not fresh and self._clock() < self._expires_at - TOKEN_MARGIN:
                return self._value
            self._credential = self._credential or default_credential(connection_timeout=10, read_timeout=20)
            try:
                token = self._credential.get_token(self._scope)
            except AzureError as error:
                raise NoToken(f"Entra ID gave no token for Manage ({type(error).__name__})") from None
            self._value, self._expires_at = token.token, token.expires_on
            return self._value


class ManageApi:
    """Manage's endpoints for images, over connections that are kept. For use in several threads."""

    def __init__(
        self, url: str, tokens: Tokens, timeouts: httpx.Timeout = TIMEOUTS, request_seconds: float = REQUEST_SECONDS
    ) -> None:
        """`url` ends in /api/v1. http:// is for a developer's machine, so no proxy is asked.

        Raise ImproperlyConfigured if HTTPS_PROXY is malformed.
        """
        self._url = url.rstrip("/")
        self._tokens = tokens
        self._request_seconds = request_seconds
        secure = self._url.startswith("https:")
        try:
            self._client = httpx.AsyncClient(
                verify=ssl.create_default_context() if secure else False,
                trust_env=secure,
                timeout=timeouts,
                follow_redirects=False,
            )
        except (ValueError, ImportError, httpx.InvalidURL):  # the texts quote the proxy's password
            raise ImproperlyConfigured(
                "HTTPS_PROXY cannot be used: write it as http://user:password@proxy:port"
            ) from None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="manage-api", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Close the connections."""
        asyncio.run_coroutine_threadsafe(self._client.aclose(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def upload(self, action_id: str, file: Path) -> Answer:
        """Send a Part 10 file as an image of an action. Raise OSError if the file cannot be read."""

        def send(headers: dict[str, str]) -> int:
            with file.open("rb") as opened:
                form = {"file": (file.name, opened, "application/dicom")}
                return self._status("PUT", f"dicom/{quote(action_id, safe='')}", headers, files=form)

        return self._answer(send, UPLOAD)

    def report_failure(self, action_id: str, sentence: str) -> Answer:
        """Tell Manage that an action's images have failed. It takes no image under this action after that."""

        def send(headers: dict[str, str]) -> int:
            path = f"dicom/{quote(action_id, safe='')}/failure"
            return self._status("PATCH", path, headers, json={"error": sentence})

        return self._answer(send, FAILURE_REPORT)

    def _answer(self, send: Callable[[dict[str, str]], int], meanings: Meanings) -> Answer:
        """Send, once more with a fresh token if the first was refused, and look up what the status means."""
        try:
            status = send(self._authorization())
            if status == 401:
                status = send(self._authorization(fresh=True))
        except NoToken as reason:
            return Answer(Outcome.NOT_ARRIVED, None, str(reason))
        except BEFORE_SENDING as error:
            step = next((step for part, step in CONNECTION_STEPS if part in str(error)), type(error).__name__)
            return Answer(Outcome.NOT_ARRIVED, None, f"Manage cannot be reached: {step}")
        except (httpx.TransportError, TimeoutError) as error:
            return Answer(Outcome.UNKNOWN, None, f"Manage did not answer ({type(error).__name__})")
        unexpected = (Outcome.UNKNOWN if status >= 500 else Outcome.SLOWER, f"Manage answered with status {status}")
        outcome, cause = meanings.get(status, unexpected)
        return Answer(outcome, status, cause)

    def _authorization(self, *, fresh: bool = False) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._tokens.token(fresh=fresh)}"}

    def _status(self, method: str, path: str, headers: dict[str, str], **body: Any) -> int:
        request = self._client.build_request(method, f"{self._url}/{path}", headers=headers, **body)
        return asyncio.run_coroutine_threadsafe(self._send(request), self._loop).result()

    async def _send(self, request: httpx.Request) -> int:
        async with asyncio.timeout(self._request_seconds):
            response = await self._client.send(request, stream=True)
        try:
            with suppress(httpx.TransportError, TimeoutError):
                async with asyncio.timeout(REST_SECONDS):
                    async for _part in response.aiter_raw():
                        if response.num_bytes_downloaded > REST_BYTES:
                            break
        finally:
            await response.aclose()
        return response.status_code


def configured_manage_api() -> ManageApi:
    """Return the client that the settings describe."""
    static, resource = settings.MANAGE_API_TOKEN, settings.MANAGE_API_RESOURCE
    return ManageApi(settings.MANAGE_API_URL, StaticToken(static) if static else EntraIdTokens(resource))
