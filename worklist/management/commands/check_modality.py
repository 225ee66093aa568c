"""Asks a modality whether it is there: TCP, association, C-ECHO, each with what to do where it fails.

HOST is a host name, an IP address, or the AE title of a modality whose expected address the admin has.
"""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from core.value_representations import is_ae
from dicom.echo import Echo, NoEcho
from dicom.models import Modality

DICOM_PORT = 104


class Command(BaseCommand):
    """`python manage.py check_modality HOST [PORT]`"""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whom to ask."""
        parser.add_argument("host", metavar="HOST")
        parser.add_argument("port", metavar="PORT", type=int, nargs="?", default=DICOM_PORT)
        parser.add_argument("--called", help="its AE title; ANY-SCP unless it is known")
        parser.add_argument("--calling", default=settings.MWL_AE_TITLE, help="ours")
        parser.add_argument("--patience", type=float, default=10.0, metavar="SECONDS", help="for each step")

    def handle(self, *args: Any, host: str, port: int, **options: Any) -> None:
        """Ask once; exit 1 where it does not answer."""
        modality = _configured(host)
        if modality and not modality.expected_address:
            raise CommandError(
                f"{host} has no expected address in the admin: give its HOST and PORT, and --called {host}"
            )
        called = options["called"] or (modality.ae_title if modality else "ANY-SCP")
        _refuse_what_is_no_title(called, options["calling"])
        address = str(modality.expected_address) if modality else host
        try:
            Echo(address, port, called, options["calling"], options["patience"]).ask(self.stdout.write)
        except NoEcho as problem:
            raise CommandError(str(problem)) from None


def _configured(host: str) -> Modality | None:
    return Modality.objects.filter(ae_title=host).first()


def _refuse_what_is_no_title(*titles: str) -> None:
    for title in titles:
        if not is_ae(title):
            raise CommandError(f"{title!r} is no AE title: 1 to 16 ASCII characters without backslash")
