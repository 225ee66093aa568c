"""Plays Azure Relay on loopback, with the hybrid connection and the key of the settings, until SIGTERM or SIGINT."""

import asyncio
import logging
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from core.daemon import stop_event_of_loop
from nonprod.relay_emulator import Policy, RelayEmulator

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    """`python manage.py run_relay_emulator`"""

    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve until told to stop; exit 2 when the port is taken."""
        try:
            asyncio.run(self.serve())
        except OSError as error:
            port = settings.RELAY_EMULATOR_PORT
            problem = f"The relay emulator cannot listen on 127.0.0.1:{port} ({error.strerror}); "
            raise CommandError(f"{problem}another port goes in RELAY_EMULATOR_PORT", returncode=2) from None

    async def serve(self) -> None:
        """The emulator with one hybrid connection."""
        stopping = stop_event_of_loop()
        policies = {settings.AZURE_RELAY_KEY_NAME: Policy(settings.AZURE_RELAY_SHARED_ACCESS_KEY)}
        paths = [settings.AZURE_RELAY_HYBRID_CONNECTION]
        async with RelayEmulator(paths, policies, settings.RELAY_EMULATOR_PORT) as emulator:
            logger.info("relay emulator listening", extra={"namespace": emulator.namespace})
            await stopping.wait()
        logger.info("relay emulator stopped")
