"""The whole gateway as processes: emulator, listener, worklist server, and DCMTK's findscu as the modality."""

import asyncio
import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from relay.hybrid_connection.address import HybridConnectionAddress
from relay.hybrid_connection.sender import send
from tests.conftest import KEYS, PATH
from tests.processes import PATIENCE, Process, Start, free_ports


@dataclass
class Gateway:
    """A running gateway."""

    start: Start
    environment: dict[str, str] = field(default_factory=dict)
    mwl_port: int = 0
    processes: dict[str, Process] = field(default_factory=dict)

    def run(self, *names: str, **environment: str) -> "Gateway":
        """Start these parts, each ready when this returns; the emulator first."""
        emulator_port, self.mwl_port, image_port, web_port = free_ports(4)
        self.environment = {
            "RELAY_EMULATOR_PORT": str(emulator_port),
            "AZURE_RELAY_NAMESPACE": f"127.0.0.1:{emulator_port}",
            "MWL_PORT": str(self.mwl_port),
            "IMAGE_PORT": str(image_port),
            "WEB_PORT": str(web_port),
            "IMAGES": "on" if "run_image_scp" in names else "off",
            **environment,
        }
        for name in names:
            self.run_one(name)
        return self

    def run_one(self, name: str, program: str = "manage.py") -> Process:
        """Start one part, and wait for the log line that says that it is ready."""
        ready = {
            "run_relay_emulator": "relay emulator listening",
            "run_relay_listener": "listener online",
            "run_mwl_scp": "listening",
            "run_image_scp": "listening",
            "run_web": "startup complete",
            "run_image_uploader": "uploading images",
        }
        process = self.start(name, program=program, **self.environment)
        process.wait_for(ready[name])
        self.processes[name] = process
        return process

    @property
    def address(self) -> HybridConnectionAddress:
        """Return the hybrid connection of its listener."""
        return HybridConnectionAddress(self.environment["AZURE_RELAY_NAMESPACE"], PATH, plain=True)

    async def send(self, action: dict[str, Any]) -> str:
        """Send an action as Manage does, and return the reply's text."""
        return await send(self.address, KEYS, json.dumps(action), PATIENCE)

    def reply(self, action: dict[str, Any]) -> dict[str, Any]:
        """Send an action and return the reply."""
        reply: dict[str, Any] = json.loads(asyncio.run(self.send(action)))
        return reply

    def findscu(self, *keys: str, calling: str = "MAMMO1") -> str:
        """Return the output of DCMTK for a query with these keys."""
        arguments = [argument for key in keys for argument in ("-k", key)]
        called = settings.MWL_AE_TITLE
        command = ["findscu", "-v", "-W", "-aet", calling, "-aec", called, "127.0.0.1", str(self.mwl_port), *arguments]
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)
        return (done.stdout + done.stderr).decode("utf-8", errors="replace")


@pytest.fixture
def gateway(start: Start) -> Gateway:
    """A gateway; the test starts the parts that it needs."""
    return Gateway(start)


@pytest.fixture
def project() -> Path:
    """The folder of the project."""
    return Path(settings.BASE_DIR)
