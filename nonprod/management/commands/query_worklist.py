"""Asks a worklist server as a mammography unit does, and prints what its console would show.

With --preset it sends what a real device sends when a button is pressed; `--preset all` presses every button.
"""

from argparse import ArgumentParser
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from core.value_representations import parse_da
from nonprod.device_queries import DEVICE_QUERIES, PRESETS, QueryValues
from nonprod.management.arguments import add_modality_arguments, modality_of
from nonprod.modality_emulator import ModalityEmulator, RequestFailed, broad_query, worklist_table


class Command(BaseCommand):
    """`python manage.py query_worklist`"""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whom to ask, and for what."""
        add_modality_arguments(parser)
        parser.add_argument("--date", default=f"{date.today():%Y%m%d}", help="YYYYMMDD; today unless given, '' for any")  # noqa: DTZ011
        parser.add_argument("--modality", default="MG", help="MG unless given, '' for any")
        parser.add_argument("--any-station", action="store_true", help="not this modality's own list only")
        parser.add_argument("--preset", choices=["all", *PRESETS], metavar="NAME", help=f"all, {', '.join(PRESETS)}")
        parser.add_argument("--accession", default="", help="typed in at the console, with --preset")
        parser.add_argument("--name", default="", help="the same, as SMITH*")

    def handle(self, *args: Any, **options: Any) -> None:
        """C-ECHO, C-FIND, table."""
        modality = modality_of(options)
        try:
            day = parse_da(options["date"]) if options["date"] else None
            modality.echo()
            if options["preset"]:
                self._press(modality, options, day)
            else:
                station = "" if options["any_station"] else options["calling"]
                self.stdout.write(worklist_table(modality.query(broad_query(station, day, options["modality"]))))
        except (RequestFailed, ValueError) as error:
            raise CommandError(str(error)) from None

    def _press(self, modality: ModalityEmulator, options: dict[str, Any], day: date | None) -> None:
        """One button, or each of them."""
        values = QueryValues(
            options["calling"],
            day or date.today(),  # noqa: DTZ011 - the clinic's day
            options["modality"],
            options["accession"],
            options["name"],
        )
        for query in DEVICE_QUERIES if options["preset"] == "all" else [PRESETS[options["preset"]]]:
            self.stdout.write(f"\n{query.name}: {query.button}")
            rows = modality.query(query.identifier(values), implicit_only=query.implicit_only)
            self.stdout.write(worklist_table(rows))
