"""Address, tokens and dispatcher are built from the settings."""

import subprocess
import sys

from azure.identity import DefaultAzureCredential
from pytest_django.fixtures import Settings

from gateway_project.actions import PROBES
from relay.configuration import configured_address, configured_dispatcher, configured_tokens
from relay.hybrid_connection.tokens import EntraId, SharedAccessKey


class TestConfiguration:
    def test_the_address_comes_from_the_settings(self, settings: Settings) -> None:
        settings.AZURE_RELAY_NAMESPACE = "hospital.servicebus.windows.net:8443"
        settings.AZURE_RELAY_PLAIN_WEBSOCKET = False
        address = configured_address()
        assert (address.namespace, address.path) == ("hospital.servicebus.windows.net:8443", "test-gateway")

    def test_tokens_are_signed_with_the_key_or_else_come_from_entra_id(self, settings: Settings) -> None:
        assert configured_tokens() == SharedAccessKey("test-policy", "test-key-0123456789")
        settings.AZURE_RELAY_SHARED_ACCESS_KEY = settings.AZURE_RELAY_KEY_NAME = ""
        tokens = configured_tokens()
        assert isinstance(tokens, EntraId)
        assert isinstance(tokens._credential, DefaultAzureCredential)

    def test_the_handlers_come_from_the_gateway_actions_module(self) -> None:
        assert "worklist.create_item" in configured_dispatcher().actions
        assert set(configured_dispatcher().probes) == set(PROBES)


class TestImports:
    def test_the_listener_imports_no_library_of_the_other_edge_and_none_that_it_may_never_need(self) -> None:
        """Each takes a tenth of a second and some megabytes."""
        libraries = ("pydicom", "pynetdicom", "jsonschema", "requests", "azure", "opentelemetry")
        unneeded = (*libraries, "dicom.upper_layer", "dashboard.urls")
        program = (
            "import django, sys; django.setup(); import gateway_project.actions, relay.configuration;"
            f"print([name for name in {unneeded} if name in sys.modules])"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]"
