"""Owns the checks of the relay's settings, run before every command."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from relay.configuration import configured_address


@register
def check_relay_settings(**kwargs: Any) -> Sequence[CheckMessage]:
    """Everything that would keep the listener from ever coming online, before it tries."""
    return list(_complaints())


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
    if not 1 <= settings.RELAY_MAX_RENDEZVOUS <= 1000:
        yield Error(
            f"RELAY_MAX_RENDEZVOUS is {settings.RELAY_MAX_RENDEZVOUS}",
            hint="From 1 to 1000 senders are served at once; the default is 64.",
            id="relay.E006",
        )
    if not 0 <= settings.RELAY_STOP_GRACE_SECONDS <= 300:
        yield Error(
            f"RELAY_STOP_GRACE_SECONDS is {settings.RELAY_STOP_GRACE_SECONDS}",
            hint="From 0 to 300 seconds; the default is 20.",
            id="relay.E007",
        )
    if settings.PRODUCTION and settings.AZURE_RELAY_PLAIN_WEBSOCKET:
        yield Error(
            "AZURE_RELAY_PLAIN_WEBSOCKET is on in production",
            hint="Remove it: a relay is spoken to over TLS. It is for the emulator on a developer's machine.",
            id="relay.E005",
        )
