"""The system checks of the relay's settings."""

import pytest
from pytest_django.fixtures import Settings

from relay.checks import check_relay_settings

GOOD = {
    "AZURE_RELAY_NAMESPACE": "hospital.servicebus.windows.net",
    "AZURE_RELAY_HYBRID_CONNECTION": "gateway",
    "AZURE_RELAY_KEY_NAME": "listen",
    "AZURE_RELAY_SHARED_ACCESS_KEY": "key",
    "AZURE_RELAY_PLAIN_WEBSOCKET": False,
    "PRODUCTION": True,
}


def ids_with(settings: Settings, **changes: object) -> list[str | None]:
    """Run the checks with these settings, and return the ids of the errors."""
    for name, value in {**GOOD, **changes}.items():
        setattr(settings, name, value)
    messages = check_relay_settings()
    assert all(message.hint for message in messages)
    return [message.id for message in messages]


class TestCheckRelaySettings:
    @pytest.mark.parametrize("key", [{}, {"AZURE_RELAY_KEY_NAME": "", "AZURE_RELAY_SHARED_ACCESS_KEY": ""}])
    def test_a_shared_access_key_or_entra_id_is_accepted(self, settings: Settings, key: dict[str, str]) -> None:
        assert ids_with(settings, **key) == []

    @pytest.mark.parametrize(
        ("name", "value", "expected"),
        [
            ("AZURE_RELAY_NAMESPACE", "", "relay.E001"),
            ("AZURE_RELAY_HYBRID_CONNECTION", "", "relay.E002"),
            ("AZURE_RELAY_NAMESPACE", "https://hospital.servicebus.windows.net/", "relay.E003"),
            ("AZURE_RELAY_KEY_NAME", "", "relay.E004"),
            ("RELAY_MAX_RENDEZVOUS", 0, "relay.E006"),
            ("RELAY_STOP_GRACE_SECONDS", -5, "relay.E007"),
            ("AZURE_RELAY_SHARED_ACCESS_KEY", "", "relay.E004"),
        ],
    )
    def test_each_invalid_setting_has_its_own_id(
        self, settings: Settings, name: str, value: str | int, expected: str
    ) -> None:
        assert ids_with(settings, **{name: value}) == [expected]

    def test_plain_websockets_are_refused_in_production(self, settings: Settings) -> None:
        changes = {"AZURE_RELAY_PLAIN_WEBSOCKET": True, "AZURE_RELAY_NAMESPACE": "127.0.0.1:9350"}
        assert ids_with(settings, **changes) == ["relay.E005"]

    def test_no_message_contains_the_key(self, settings: Settings) -> None:
        ids_with(settings, AZURE_RELAY_SHARED_ACCESS_KEY="hunter2", AZURE_RELAY_KEY_NAME="")
        assert "hunter2" not in str(check_relay_settings())
