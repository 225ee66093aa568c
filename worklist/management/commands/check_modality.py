"""Check that a modality answers: TCP, association and C-ECHO. On failure, name the phase, the cause and the next step.

HOST is a host name, an IP address, or the AE title of a modality that has an expected address in the admin.
"""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from core.checks import GATEWAY
from core.value_representations import is_ae
from dicom.models import Modality
from dicom.verification import VerificationFailed, VerificationScu

DICOM_PORT = 104


class Command(BaseCommand):
    """`python manage.py check_modality HOST [PORT]`"""

    help = __doc__
    requires_system_checks = (GATEWAY,)

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the modality's address and the AE titles."""
        parser.add_argument("host", metavar="HOST")
        parser.add_argument("port", metavar="PORT", type=int, nargs="?", default=DICOM_PORT)
        parser.add_argument("--called", metavar="AE", help="the modality's AE title (default: the admin's, or ANY-SCP)")
        parser.add_argument(
            "--calling", default=settings.MWL_AE_TITLE, metavar="AE", help="our AE title (default: %(default)s)"
        )
        parser.add_argument(
            "--patience", type=float, default=10.0, metavar="SECONDS", help="for each phase (default: %(default)s)"
        )

    def handle(self, *args: Any, host: str, port: int, **options: Any) -> None:
        """Send one C-ECHO; exit with status 1 if it fails."""
        modality = Modality.objects.filter(ae_title=host).first()
        if modality and not modality.expected_address:
            raise CommandError(
                f"{host} has no expected address in the admin. Add one, or give its HOST and PORT, and --called {host}"
            )
        address = str(modality.expected_address) if modality else host
        called = options["called"] or (modality.ae_title if modality else "ANY-SCP")
        for title in (called, options["calling"]):
            if not is_ae(title):
                raise CommandError(f"{title!r} is not an AE title. Give 1 to 16 ASCII characters without a backslash")
        try:
            VerificationScu(address, port, called, options["calling"], options["patience"]).verify(self.stdout.write)
        except VerificationFailed as problem:
            raise CommandError(str(problem)) from None
