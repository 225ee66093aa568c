"""Explain why an item is on a modality's list or is not, key by key, with the section of each rule.

The query is one from the log, by its id or correlation id; or keys on the command line; or an identifier in a DICOM
file. Patient data is printed only with --show-patients. Exit with 1 if the query does not show the item. For a query
from the log, the log says whether it did, and the rules say what the same query would show now.
"""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from uuid import UUID

import pydicom
from django.core.management.base import BaseCommand, CommandError
from pydicom.errors import BytesLengthException, InvalidDicomError

from core.checks import GATEWAY
from worklist.models import WorklistItem, WorklistQuery
from worklist.services.explain_query import (
    InvalidQuery,
    QueryToExplain,
    explain_query,
    identifier_from,
    logged_query,
    unsent_query,
)


class Command(BaseCommand):
    """`python manage.py explain_query ACCESSION`"""

    help = __doc__
    requires_system_checks = (GATEWAY,)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("accession", metavar="ACCESSION")
        parser.add_argument(
            "--calling", default="", metavar="AE", help="AE title of the modality, for --key and --identifier"
        )
        parser.add_argument("--show-patients", action="store_true", help="print patient data too")
        query = parser.add_mutually_exclusive_group(required=True)
        query.add_argument("--query", metavar="ID", help="a query from the log, by its id or correlation id")
        query.add_argument(
            "--key", nargs="+", action="extend", metavar="KEYWORD=VALUE", help="keys of a query, such as Modality=MG"
        )
        query.add_argument("--identifier", metavar="FILE", type=Path, help="a DICOM file with an identifier")

    def handle(self, *args: Any, accession: str, **options: Any) -> None:
        item = WorklistItem.objects.filter(accession_number=accession).first()
        if item is None:
            raise CommandError(f"No worklist item has accession number {accession}: was it ever sent?")
        try:
            query = _query_from(options)
        except InvalidQuery as problem:
            raise CommandError(str(problem)) from None
        explanation = explain_query(item, query)
        self.stdout.write(f"{accession}: {explanation.summary}")
        for line in explanation.lines(with_patient_data=options["show_patients"]):
            self.stdout.write(line)
        if not explanation.on_the_list:
            raise CommandError(f"The item {'was' if query.record else 'is'} not on the list")


def _query_from(options: dict[str, Any]) -> QueryToExplain:
    if name := options["query"]:
        try:
            found = WorklistQuery.objects.filter(pk=UUID(name)).first()
        except ValueError:
            found = WorklistQuery.objects.filter(correlation_id=name).first()
        if found is None:
            raise InvalidQuery(f"No query in the log has id or correlation id {name}; old ones are removed")
        return logged_query(found)
    if options["key"]:
        pairs = [pair.partition("=") for pair in options["key"]]
        identifier = identifier_from({keyword: value for keyword, _, value in pairs})
    else:
        try:
            identifier = pydicom.dcmread(options["identifier"], force=True)
            identifier.decode()
        except (OSError, InvalidDicomError, BytesLengthException, ValueError, NotImplementedError) as error:
            problem = f"{options['identifier']} cannot be read as a DICOM data set ({type(error).__name__})"
            raise InvalidQuery(problem) from None
    return unsent_query(identifier, options["calling"])
