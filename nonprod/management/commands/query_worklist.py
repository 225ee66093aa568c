"""Query a worklist server as a mammography unit does, and print the table that its console would show.

With --preset, sends the query that a button of a real device sends; `--preset all` sends those of all buttons.
"""

from argparse import ArgumentParser
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from core.checks import GATEWAY
from core.value_representations import parse_da
from nonprod.device_queries import DEVICE_QUERIES, PRESETS, QueryValues
from nonprod.management.arguments import add_modality_arguments, modality_of
from nonprod.modality_emulator import RequestFailed, broad_query, worklist_table


class Command(BaseCommand):
    help = __doc__
    requires_system_checks = (GATEWAY,)

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_modality_arguments(parser)
        parser.add_argument("--date", default=f"{date.today():%Y%m%d}", help="YYYYMMDD, or '' for any (default: today)")  # noqa: DTZ011
        parser.add_argument("--modality", default="MG", help="DICOM modality, or '' for any (default: MG)")
        parser.add_argument("--any-station", action="store_true", help="query the worklists of all stations")
        parser.add_argument("--preset", choices=["all", *PRESETS], metavar="NAME", help=f"all, {', '.join(PRESETS)}")
        parser.add_argument("--accession", default="", help="with --preset: the accession number to search for")
        parser.add_argument("--name", default="", help="with --preset: the name to search for, such as SMITH*")

    def handle(self, *args: Any, **options: Any) -> None:
        modality, calling = modality_of(options), options["calling"]
        try:
            day = parse_da(options["date"]) if options["date"] else None
            modality.echo()
            if not options["preset"]:
                identifier = broad_query("" if options["any_station"] else calling, day, options["modality"])
                self.stdout.write(worklist_table(modality.query(identifier)))
                return
            today = day or date.today()  # noqa: DTZ011 - the clinic's day
            values = QueryValues(calling, today, options["modality"], options["accession"], options["name"])
            for query in DEVICE_QUERIES if options["preset"] == "all" else [PRESETS[options["preset"]]]:
                self.stdout.write(f"\n{query.name}: {query.button}")
                rows = modality.query(query.identifier(values), implicit_only=query.implicit_only)
                self.stdout.write(worklist_table(rows))
        except (RequestFailed, ValueError) as error:
            raise CommandError(str(error)) from None
