"""Check the relay's settings before every command."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from core.checks import GATEWAY, Ranges, errors_of_ranges
from relay.configuration import configured_address

RANGES: Ranges = {
    "relay.E006": ("RELAY_MAX_RENDEZVOUS", 1, 1000, "The senders served at the same time. The default is 64."),
    "relay.E007": ("RELAY_STOP_GRACE_SECONDS", 0, 300, "The default is 20 seconds."),
    "relay.E008": ("RELAY_MAX_WAITING", 0, 10_000, "The senders that may wait to be served. The default is 256."),
    "relay.E009": ("RELAY_ECHO_SECONDS", 0, 3600, "The default is 60 seconds. With 0, no echo is sent."),
    "relay.E010": ("RELAY_MAX_LISTENERS", 1, 25, "The default is 2. Azure Relay allows 25 listeners."),
    "relay.E011": ("RELAY_CHANNEL_MAX_AGE_SECONDS", 60, 86_400, "The default is 300 seconds."),
    "relay.E012": ("RELAY_RENDEZVOUS_IDLE_SECONDS", 1, 3600, "The default is 120 seconds."),
}


@register(GATEWAY)
def check_relay_settings(**kwargs: Any) -> Sequence[CheckMessage]:
    """Report settings that would keep the listener from coming online."""
    return [*_connection_errors(), *errors_of_ranges(RANGES)]


def _connection_errors() -> Iterator[CheckMessage]:
    if not settings.AZURE_RELAY_NAMESPACE:
        yield Error(
            "AZURE_RELAY_NAMESPACE is not set",
            hint="Set the host name of the relay namespace, for example hospital.servicebus.windows.net.",
            id="relay.E001",
        )
    elif not settings.AZURE_RELAY_HYBRID_CONNECTION:
        yield Error(
            "AZURE_RELAY_HYBRID_CONNECTION is not set",
            hint="Set the name of the hybrid connection in the relay namespace.",
            id="relay.E002",
        )
    else:
        try:
            configured_address()
        except ValueError as error:
            yield Error(
                f"The relay's address is invalid: {error}",
                hint="Check AZURE_RELAY_NAMESPACE, AZURE_RELAY_HYBRID_CONNECTION and AZURE_RELAY_PLAIN_WEBSOCKET.",
                id="relay.E003",
            )
    if bool(settings.AZURE_RELAY_KEY_NAME) != bool(settings.AZURE_RELAY_SHARED_ACCESS_KEY):
        yield Error(
            "Only one of AZURE_RELAY_KEY_NAME and AZURE_RELAY_SHARED_ACCESS_KEY is set",
            hint="Set both to use a shared access key, or neither to use Entra ID.",
            id="relay.E004",
        )
    if settings.PRODUCTION and settings.AZURE_RELAY_PLAIN_WEBSOCKET:
        yield Error(
            "AZURE_RELAY_PLAIN_WEBSOCKET is on in production",
            hint="Remove it, so that the connection uses TLS. It is for the emulator on a developer's machine.",
            id="relay.E005",
        )
