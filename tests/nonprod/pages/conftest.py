"""Fixtures: a running gateway, and a browser without scripts."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from nonprod.models import Appointment, Reading
from nonprod.pages.appointments import appointments_of_today
from tests.processes import free_ports, processes
from tests.system.conftest import Gateway

CLINIC, MODALITY = "/nonprod/clinic", "/nonprod/modality"


@dataclass
class Browser:
    """A user of the pages."""

    client: Client = field(default_factory=Client)

    def clinic(self) -> str:
        """Return the clinic's list, as if the last poll was two seconds ago."""
        Reading.objects.update(asked_at=timezone.now() - timedelta(seconds=2))
        return self._text(f"{CLINIC}/list")

    def modality(self, **query: str) -> str:
        """Return the console with the result of a search."""
        return self._text(MODALITY, **query)

    def press(self, button: str, **values: str) -> str:
        """Press a button and return the next page."""
        response = self.client.post(f"/nonprod/{button}", values, follow=True)
        assert response.status_code == 200
        return response.content.decode()

    def _text(self, address: str, **query: str) -> str:
        response = self.client.get(address, query)
        assert response.status_code == 200
        return response.content.decode()


@pytest.fixture
def browser() -> Browser:
    return Browser()


@pytest.fixture
def gateway_stopped(settings: Settings) -> None:
    """Point the settings at ports without a relay and worklist server."""
    relay, worklist = free_ports(2)
    settings.AZURE_RELAY_NAMESPACE, settings.MWL_PORT = f"127.0.0.1:{relay}", worklist


@pytest.fixture(scope="module")
def module_gateway(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Run one gateway for all tests of a module, as starting one costs more than a test."""
    parts = ("run_relay_emulator", "run_relay_listener", "run_mwl_scp", "run_image_scp")
    with processes() as start:
        spool = str(tmp_path_factory.mktemp("spool"))
        yield Gateway(start).run(*parts, IMAGE_SPOOL_DIR=spool, IMAGE_MIN_FREE_BYTES="0")


@pytest.fixture
def running(module_gateway: Gateway, settings: Settings) -> Gateway:
    """Point the settings at a running gateway and its emulated relay."""
    gateway = module_gateway
    settings.AZURE_RELAY_NAMESPACE = gateway.environment["AZURE_RELAY_NAMESPACE"]
    settings.MWL_PORT = gateway.mwl_port
    settings.IMAGE_PORT = int(gateway.environment["IMAGE_PORT"])
    return gateway


def appointment_of(name: str) -> Appointment:
    """Return today's appointment of the participant whose name starts like this."""
    return next(one for one in appointments_of_today() if one.name.startswith(name))


def action_id(appointment: Appointment) -> str:
    assert appointment.action
    return str(appointment.action["action_id"])
