"""The pages, over a gateway that runs, and a browser without scripts."""

from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from nonprod.models import Appointment, Reading
from nonprod.pages.appointments import appointments_of_today
from tests.processes import free_ports
from tests.system.conftest import Gateway, gateway

__all__ = ["gateway"]  # a fixture of the whole, for these tests too

CLINIC, MODALITY = "/nonprod/clinic", "/nonprod/modality"


@dataclass
class Browser:
    """Somebody who looks at the pages and presses their buttons."""

    client: Client = field(default_factory=Client)

    def clinic(self) -> str:
        """The clinic's list, a second after anybody has looked at it last."""
        Reading.objects.update(asked_at=timezone.now() - timedelta(seconds=2))
        return self._text(f"{CLINIC}/list")

    def modality(self, **query: str) -> str:
        """The console, with what a button asks for."""
        return self._text(MODALITY, **query)

    def press(self, button: str, **values: str) -> str:
        """The page that comes after a button."""
        response = self.client.post(f"/nonprod/{button}", values, follow=True)
        assert response.status_code == 200
        return response.content.decode()

    def _text(self, address: str, **query: str) -> str:
        response = self.client.get(address, query)
        assert response.status_code == 200
        return response.content.decode()


@pytest.fixture
def browser() -> Browser:
    """One browser."""
    return Browser()


@pytest.fixture
def nobody_there(settings: Settings) -> None:
    """No relay, and no worklist server."""
    relay, worklist = free_ports(2)
    settings.AZURE_RELAY_NAMESPACE, settings.MWL_PORT = f"127.0.0.1:{relay}", worklist


@pytest.fixture
def running(gateway: Gateway, settings: Settings) -> Gateway:
    """The gateway, with its emulated relay, where the pages find it."""
    gateway.run("run_relay_emulator", "run_relay_listener", "run_mwl_scp")
    settings.AZURE_RELAY_NAMESPACE = gateway.environment["AZURE_RELAY_NAMESPACE"]
    settings.MWL_PORT = gateway.mwl_port
    return gateway


def woman(name: str) -> Appointment:
    """Whose name begins so, as she stands now."""
    return next(one for one in appointments_of_today() if one.name.startswith(name))


def action_id(appointment: Appointment) -> str:
    """Of what was sent last."""
    assert appointment.action
    return str(appointment.action["action_id"])
