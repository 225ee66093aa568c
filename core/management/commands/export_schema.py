"""Print a JSON Schema of the contract with Manage: the file itself, byte for byte."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from core.contract import SCHEMA_NAMES, schema_text


class Command(BaseCommand):
    """`python manage.py export_schema gateway_action`"""

    help = __doc__
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", choices=SCHEMA_NAMES)

    def handle(self, *args: Any, name: str, **options: Any) -> None:
        self.stdout.write(schema_text(name), ending="")
