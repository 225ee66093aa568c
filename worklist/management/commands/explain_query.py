"""Says why an item is on a modality's list, or why not: key by key, with the rule's section.

The query is one of the log, by its id or correlation id; or keys that are typed in; or a DICOM file of an identifier.
Values of patients are printed with --show-patients only. Exits 1 unless the item is shown; of a
query of the log, unless it was: there the log is the fact, and the rules say what would come of the query now.
"""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from uuid import UUID

import pydicom
from django.core.management.base import BaseCommand, CommandError
from pydicom.errors import BytesLengthException, InvalidDicomError

from worklist.models import WorklistItem, WorklistQuery
from worklist.services.explain_query import Asked, NoQuestion, asked_with, explained, identifier_with, lines_of, logged


class Command(BaseCommand):
    """`python manage.py explain_query ACCESSION`"""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """About what, and by which query."""
        parser.add_argument("accession", metavar="ACCESSION")
        parser.add_argument(
            "--calling", default="", metavar="AE", help="AE title of the modality, for --key and --identifier"
        )
        parser.add_argument("--show-patients", action="store_true", help="values of patients, too")
        query = parser.add_mutually_exclusive_group(required=True)
        query.add_argument("--query", metavar="ID", help="of the log: its id or correlation id")
        query.add_argument("--key", nargs="+", action="extend", metavar="KEYWORD=VALUE", help="such as Modality=MG")
        query.add_argument("--identifier", metavar="FILE", type=Path, help="an identifier as a DICOM file")

    def handle(self, *args: Any, accession: str, **options: Any) -> None:
        """Explain it."""
        item = WorklistItem.objects.filter(accession_number=accession).first()
        if item is None:
            raise CommandError(f"No worklist item has accession number {accession}: was it ever sent?")
        try:
            asked = _asked(options)
        except NoQuestion as problem:
            raise CommandError(str(problem)) from None
        explanation = explained(item, asked)
        self.stdout.write(f"{accession}: {explanation.summary}")
        for line in lines_of(explanation, with_persons=options["show_patients"]):
            self.stdout.write(line)
        if not explanation.on_the_list:
            raise CommandError(f"The item {'was' if asked.query else 'is'} not on the list")


def _asked(options: dict[str, Any]) -> Asked:
    if options["query"]:
        return logged(_query(options["query"]))
    if options["key"]:
        pairs = [pair.partition("=") for pair in options["key"]]
        return asked_with(identifier_with({keyword: value for keyword, _, value in pairs}), options["calling"])
    return asked_with(_identifier(options["identifier"]), options["calling"])


def _query(name: str) -> WorklistQuery:
    try:
        found = WorklistQuery.objects.filter(pk=UUID(name)).first()
    except ValueError:
        found = WorklistQuery.objects.filter(correlation_id=name).first()
    if found is None:
        raise NoQuestion(f"No query of the log has id or correlation id {name}; old ones are removed")
    return found


def _identifier(file: Path) -> pydicom.Dataset:
    try:
        identifier = pydicom.dcmread(file, force=True)
        identifier.decode()
    except (OSError, InvalidDicomError, BytesLengthException, ValueError, NotImplementedError) as error:
        raise NoQuestion(f"{file} cannot be read as a DICOM data set ({type(error).__name__})") from None
    return identifier
