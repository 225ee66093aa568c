"""Check the relay's settings before every command."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from core.checks import Ranges, errors_of_ranges
from relay.configuration import configured_address

RANGES: Ranges = {
    "relay.E006": ("RELAY_MAX_RENDEZVOUS", 1, 1000, "How many senders are served at once; 64 unless set."),
    "relay.E007": ("RELAY_STOP_GRACE_SECONDS", 0, 300, "20 unless set."),
    "relay.E008": ("RELAY_MAX_WAITING", 0, 10_000, "How many senders may wait for their turn; 256 unless set."),
    "relay.E009": ("RELAY_ECHO_SECONDS", 0, 3600, "60 unless set; 0 sends no echo."),
    "relay.E010": ("RELAY_MAX_LISTENERS", 1, 25, "2 unless set; a hybrid connection takes 25 at most."),
    "relay.E011": ("RELAY_CHANNEL_MAX_AGE_SECONDS", 60, 86_400, "900 unless set."),
}


@register
def check_relay_settings(**kwargs: Any) -> Sequence[CheckMessage]:
    """Everything that would keep the listener from ever coming online, before it tries."""
    return [*_complaints(), *errors_of_ranges(RANGES)]


def _complaints() -> Iterator[CheckMessage]:
    if not settings.AZURE_RELAY_NAMESPACE:
        yield Error(
            "AZURE_RELAY_NAMESPACE is not set",
            hint="The host name of the relay namespace, such as hospital.servicebus.windows.net.",
            id="relay.E001",
        )
    elif not settings.AZURE_RELAY_HYBRID_CONNECTION:
        yield Error(
            "AZURE_RELAY_HYBRID_CONNECTION is not set",
            hint="The name of the hybrid connection in the relay namespace.",
            id="relay.E002",
        )
    else:
        try:
            configured_address()
        except ValueError as error:
            yield Error(
                f"The relay's address is wrong: {error}",
                hint="See AZURE_RELAY_NAMESPACE, AZURE_RELAY_HYBRID_CONNECTION and AZURE_RELAY_PLAIN_WEBSOCKET.",
                id="relay.E003",
            )
    if bool(settings.AZURE_RELAY_KEY_NAME) != bool(settings.AZURE_RELAY_SHARED_ACCESS_KEY):
        yield Error(
            "Of AZURE_RELAY_KEY_NAME and AZURE_RELAY_SHARED_ACCESS_KEY only one is set",
            hint="Set both for a shared access key, or neither for Entra ID.",
            id="relay.E004",
        )
    if settings.PRODUCTION and settings.AZURE_RELAY_PLAIN_WEBSOCKET:
        yield Error(
            "AZURE_RELAY_PLAIN_WEBSOCKET is on in production",
            hint="Remove it: a relay is spoken to over TLS. It is for the emulator on a developer's machine.",
            id="relay.E005",
        )
