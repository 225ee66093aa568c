"""Owns how the settings become the relay's objects: address, tokens, dispatcher."""

from importlib import import_module

from django.conf import settings

from core.database import StoreGate
from relay.dispatcher import Dispatcher
from relay.hybrid_connection.address import HybridConnectionAddress
from relay.hybrid_connection.tokens import EntraId, SharedAccessKey, TokenProvider

#: Each has a database connection while it is executed.
ACTIONS_AT_ONCE = 8


def configured_address() -> HybridConnectionAddress:
    """The hybrid connection of AZURE_RELAY_NAMESPACE and AZURE_RELAY_HYBRID_CONNECTION; ValueError when malformed."""
    return HybridConnectionAddress(
        settings.AZURE_RELAY_NAMESPACE,
        settings.AZURE_RELAY_HYBRID_CONNECTION,
        plain=settings.AZURE_RELAY_PLAIN_WEBSOCKET,
    )


def configured_tokens() -> TokenProvider:
    """Shared access signatures where there is a key, Entra ID otherwise."""
    if settings.AZURE_RELAY_SHARED_ACCESS_KEY:
        return SharedAccessKey(settings.AZURE_RELAY_KEY_NAME, settings.AZURE_RELAY_SHARED_ACCESS_KEY)
    return EntraId()


def configured_dispatcher() -> Dispatcher:
    """The dispatcher with the tables of the module that GATEWAY_ACTIONS names, as ROOT_URLCONF names urls.py."""
    tables = import_module(settings.GATEWAY_ACTIONS)
    gate = StoreGate(ACTIONS_AT_ONCE, settings.DATABASE_WAIT_SECONDS)
    return Dispatcher(tables.ACTIONS, tables.PROBES, gate)
