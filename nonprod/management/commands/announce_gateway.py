"""Print the addresses of the gateway once every process answers, then wait: the last process of `make run`."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from core.checks import GATEWAY
from core.daemon import stop_event
from gateway_project.settings.base import SETTINGS
from nonprod.local_gateway import PORT_SETTINGS, NotReady, images_are_on, listening_settings, wait_until_ready
from nonprod.management.commands.run_gateway import ADMIN_PASSWORD, ADMIN_USER

TEXT = """
The gateway is ready.

  Clinic         http://127.0.0.1:{web}/nonprod/clinic    send a participant to the modality, as Manage does
  Modality       http://127.0.0.1:{web}/nonprod/modality  query the worklist, start, finish, as the console does
  Admin          http://127.0.0.1:{web}/admin/  ({user} / {password}, unless you have changed it)
  Relay          {namespace}, hybrid connection {path}{state}
  DICOM          127.0.0.1:{mwl}, AE title {ae_title}{images}

  Send an action:     {manage} send_gateway_action
  Query the worklist: {manage} query_worklist
  Perform the first:  {manage} perform_procedure_step

Ctrl-C stops everything.
"""


class Command(BaseCommand):
    help = __doc__
    requires_system_checks = (GATEWAY,)

    def handle(self, *args: Any, **options: Any) -> None:
        """Wait until every process answers, print the addresses, wait for the end."""
        with stop_event() as stopping:
            try:
                wait_until_ready(stopping)
            except NotReady as error:
                raise CommandError(str(error)) from None
            if not stopping.is_set():
                self._print_addresses()
            stopping.wait()

    def _print_addresses(self) -> None:
        namespace = settings.AZURE_RELAY_NAMESPACE
        # Commands in another terminal need the ports that are not the defaults.
        ports = {name: getattr(settings, name) for name in PORT_SETTINGS if name in listening_settings()}
        changed = "".join(f"{name}={port} " for name, port in ports.items() if port != SETTINGS[name][1])
        self.stdout.write(
            TEXT.format(
                web=settings.WEB_PORT,
                user=ADMIN_USER,
                password=ADMIN_PASSWORD,
                namespace=namespace,
                path=settings.AZURE_RELAY_HYBRID_CONNECTION,
                mwl=settings.MWL_PORT,
                ae_title=settings.MWL_AE_TITLE,
                images=f"\n  Images         127.0.0.1:{settings.IMAGE_PORT}, AE title {settings.IMAGE_AE_TITLE}"
                if images_are_on()
                else "",
                state=f"; its state: http://{namespace}/$emulator" if settings.RELAY_IS_EMULATED else "",
                manage=f"{changed}.venv/bin/python manage.py",
            )
        )
