"""Emulate Azure Relay on loopback, with the hybrid connection of the settings or a file; stops at SIGTERM or SIGINT."""

import asyncio
import logging
import ssl
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from core.checks import GATEWAY
from core.daemon import Signals
from nonprod.relay_emulator import HybridConnection, Namespace, RelayEmulator, SharedAccessPolicy
from nonprod.relay_emulator.certificates import make_certificate
from nonprod.relay_emulator.configuration import BadConfiguration, load

logger = logging.getLogger(__name__)

CA_FILE = settings.BASE_DIR / "build" / "relay-emulator-ca.pem"


class Command(BaseCommand):
    help = __doc__
    requires_system_checks = (GATEWAY,)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=settings.RELAY_EMULATOR_PORT, help="0 for a free port")
        parser.add_argument("--tls", action="store_true", help="use TLS, with a certificate made for this run")
        parser.add_argument(
            "--ca-file", type=Path, default=CA_FILE, help="file for the certificate that clients must trust"
        )
        parser.add_argument("--config", type=Path, help="a TOML file; nonprod/relay_emulator/README.md describes it")

    def handle(self, *args: Any, port: int, tls: bool, ca_file: Path, config: Path | None, **options: Any) -> None:
        """Serve until a signal; exit 2 if the port is taken or the file is invalid."""
        try:
            namespace = load(config) if config else namespace_of_settings()
        except BadConfiguration as error:
            raise CommandError(str(error), returncode=2) from None
        context = self.make_context(ca_file) if tls else None
        connections, policies = namespace.hybrid_connections, namespace.policies
        emulator = RelayEmulator(connections, policies, port, tls=context, bearer_tokens=namespace.bearer_tokens)
        try:
            asyncio.run(serve(emulator))
        except OSError as error:
            problem = f"The relay emulator cannot listen on 127.0.0.1:{port} ({error.strerror}); "
            raise CommandError(f"{problem}set RELAY_EMULATOR_PORT to another port", returncode=2) from None

    def make_context(self, ca_file: Path) -> ssl.SSLContext:
        """Make a certificate, write it to the file, and print how clients trust it."""
        certificate = make_certificate()
        certificate.write_authority(ca_file)
        self.stdout.write(f"The certificate to trust is in {ca_file}. For the listener and its senders:")
        self.stdout.write(f"SSL_CERT_FILE={ca_file.resolve()}")
        self.stdout.flush()
        return certificate.context


def namespace_of_settings() -> Namespace:
    """Return the hybrid connection and shared access policy of the gateway's settings."""
    policies = {settings.AZURE_RELAY_KEY_NAME: SharedAccessPolicy(settings.AZURE_RELAY_SHARED_ACCESS_KEY)}
    return Namespace((HybridConnection(settings.AZURE_RELAY_HYBRID_CONNECTION),), policies)


async def serve(emulator: RelayEmulator) -> None:
    stopping = Signals.of_loop().stopping
    async with emulator:
        logger.info("relay emulator listening", extra={"namespace": emulator.namespace})
        await stopping.wait()
    logger.info("relay emulator stopped")
