"""Build the relay's objects from the settings: address, tokens, dispatcher, listener."""

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import import_module

from django.conf import settings
from django.db import connection as database

from core.contract import MAX_FRAME_BYTES
from core.database import ConcurrencyLimit, LendConnection, borrowed_connection
from core.entra_id import default_credential
from relay.dispatcher import Dispatcher, too_large_reply
from relay.http import respond
from relay.hybrid_connection.address import HybridConnectionAddress
from relay.hybrid_connection.control_protocol import Accept, Request, Response
from relay.hybrid_connection.listener import Listener
from relay.hybrid_connection.liveness import LivenessPolicy
from relay.hybrid_connection.rendezvous import RendezvousPolicy
from relay.hybrid_connection.rendezvous_limit import RendezvousLimit
from relay.hybrid_connection.status import ListenerStatus
from relay.hybrid_connection.tokens import EntraId, SharedAccessKey, TokenProvider

#: Database vendor → how many actions are executed at a time. SQLite has one writer: of threads that compete for it,
#: each sleeps for up to a tenth of a second whenever it finds it taken, and some are never lucky.
ACTIONS_AT_ONCE = {"sqlite": 1, "postgresql": 8}
#: Database vendor → how many of the actions that wait at the same moment the listener commits at once.
ACTIONS_TOGETHER = {"sqlite": 50, "postgresql": 1}


def configured_address() -> HybridConnectionAddress:
    """Build the address from AZURE_RELAY_NAMESPACE and AZURE_RELAY_HYBRID_CONNECTION; ValueError if malformed."""
    return HybridConnectionAddress(
        settings.AZURE_RELAY_NAMESPACE,
        settings.AZURE_RELAY_HYBRID_CONNECTION,
        plain=settings.AZURE_RELAY_PLAIN_WEBSOCKET,
    )


def configured_tokens() -> TokenProvider:
    """Sign with the shared access key if one is set; otherwise get tokens from Entra ID."""
    if settings.AZURE_RELAY_SHARED_ACCESS_KEY:
        return SharedAccessKey(settings.AZURE_RELAY_KEY_NAME, settings.AZURE_RELAY_SHARED_ACCESS_KEY)
    return EntraId(default_credential())


def configured_dispatcher(connection: LendConnection = borrowed_connection, together: int = 1) -> Dispatcher:
    """Build the dispatcher with the tables of the module that GATEWAY_ACTIONS names, as ROOT_URLCONF names urls.py."""
    tables = import_module(settings.GATEWAY_ACTIONS)
    database_limit = ConcurrencyLimit(ACTIONS_AT_ONCE[database.vendor], settings.DATABASE_WAIT_SECONDS)
    return Dispatcher(tables.ACTIONS, tables.PROBES, database_limit, connection, together)


def configured_listener(
    on_status: Callable[[ListenerStatus], None], connection: LendConnection = borrowed_connection
) -> Listener:
    """Build the listener, which hands frames and HTTP requests to the dispatcher, each in its own thread."""
    address = configured_address()
    origin = f"{address.namespace}/{address.path}"
    dispatch = configured_dispatcher(connection, ACTIONS_TOGETHER[database.vendor]).dispatch
    # One thread more than there can be senders, for the listener's own echo.
    threads = ThreadPoolExecutor(settings.RELAY_MAX_RENDEZVOUS + 1, thread_name_prefix="action")

    async def answer(frame: bytes, accept: Accept) -> str:
        work = partial(dispatch, frame, f"{origin}#{accept.id}", accept.id)
        return await asyncio.get_running_loop().run_in_executor(threads, work)

    async def answer_request(request: Request) -> Response:
        work = partial(respond, request, address.path, dispatch, f"{origin}#{request.correlation_id}")
        return await asyncio.get_running_loop().run_in_executor(threads, work)

    return Listener(
        address,
        configured_tokens(),
        answer,
        answer_request,
        liveness=LivenessPolicy(
            interval=settings.RELAY_ECHO_SECONDS,
            listeners=settings.RELAY_MAX_LISTENERS,
            max_age=settings.RELAY_CHANNEL_MAX_AGE_SECONDS,
        ),
        rendezvous_policy=RendezvousPolicy(
            keep=settings.RELAY_RENDEZVOUS_IDLE_SECONDS, frame_bytes=MAX_FRAME_BYTES, oversize_reply=too_large_reply()
        ),
        rendezvous_limit=RendezvousLimit(settings.RELAY_MAX_RENDEZVOUS, settings.RELAY_MAX_WAITING),
        stop_grace=settings.RELAY_STOP_GRACE_SECONDS,
        echo_text=echo_text if settings.RELAY_ECHO_SECONDS else None,
        on_status=on_status,
    )


def echo_text(nonce: str) -> str:
    """Return the echo action that proves the relay: it may come back to this listener or to another one."""
    return json.dumps({"action_type": "echo", "source_system": "gateway-listener", "nonce": nonce})
