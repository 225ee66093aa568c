"""Performs one step of the worklist as a mammography unit does: query, N-CREATE, exposures, N-SET; prints each.

The step is that of --accession, or the first one on today's list of this modality. Ctrl-C discontinues it. Exits 2
where it cannot be performed.
"""

import threading
from argparse import ArgumentParser
from contextlib import nullcontext
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from pydicom.dataset import Dataset

from core.daemon import stop_event
from core.value_representations import parse_da
from nonprod.management.arguments import add_modality_arguments, modality_of
from nonprod.modality_emulator import (
    UNSPECIFIED,
    VIEWS,
    ModalityEmulator,
    PerformedStep,
    Reason,
    RequestFailed,
    reason_named,
    step_query,
)


class Command(BaseCommand):
    """`python manage.py perform_procedure_step`"""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which step, at which server, and how it ends."""
        add_modality_arguments(parser)
        parser.add_argument("--accession", default="", help="accession number; else the first of the day's list")
        parser.add_argument("--date", default=f"{date.today():%Y%m%d}", help="YYYYMMDD; today unless given")  # noqa: DTZ011
        parser.add_argument("--seconds", type=float, default=2.0, help="between N-CREATE and the last N-SET")
        parser.add_argument("--progress", action="store_true", help="an N-SET after the first exposure, too")
        parser.add_argument("--discontinue", metavar="REASON", help='after the first exposure: "refused" or 110505, …')
        parser.add_argument("--one-association", action="store_true", help="for all requests")

    def handle(self, *args: Any, **options: Any) -> None:
        """Perform it."""
        modality = modality_of(options)
        try:
            reason = reason_named(options["discontinue"]) if options["discontinue"] else None
            identifier = _identifier(options)
            whole = modality.in_one_association() if options["one_association"] else nullcontext(modality)
            with stop_event() as stopping, whole as asking:
                self._perform(asking, identifier, reason, options, stopping)
        except (RequestFailed, ValueError) as error:
            raise CommandError(str(error), returncode=2) from None

    def _perform(
        self,
        modality: ModalityEmulator,
        identifier: Dataset,
        reason: Reason | None,
        options: dict[str, Any],
        stopping: threading.Event,
    ) -> None:
        step = self._start(modality, identifier)
        step.expose(VIEWS[0])
        if options["progress"]:
            step.progress()
            self._say(f"N-SET: 0000, IN PROGRESS, with {_taken(step)}")
        if stopping.wait(options["seconds"]):
            reason = reason or UNSPECIFIED
        self._end(step, reason)

    def _start(self, modality: ModalityEmulator, identifier: Dataset) -> PerformedStep:
        rows = modality.query(identifier)
        if not rows:
            raise RequestFailed(f"There is no such step on the list of {modality.ae_title}")
        number = rows[0].get("AccessionNumber", "")
        self._say(f"C-FIND: 0000, {len(rows)} on the list; accession number {number} is next")
        step = modality.start(rows[0])
        self._say(f"N-CREATE: 0000, IN PROGRESS, as performed procedure step {step.uid}")
        return step

    def _end(self, step: PerformedStep, reason: Reason | None) -> None:
        if reason:
            step.discontinue(reason)
            self._say(f"N-SET: 0000, DISCONTINUED, with {_taken(step)}: {reason.code}, {reason.meaning}")
        else:
            step.expose(*VIEWS[1:])
            step.complete()
            self._say(f"N-SET: 0000, COMPLETED, with {_taken(step)}")

    def _say(self, sentence: str) -> None:
        self.stdout.write(sentence)
        self.stdout.flush()


def _identifier(options: dict[str, Any]) -> Dataset:
    """By accession number alone, or the modality's own list of the day."""
    if options["accession"]:
        return step_query(options["accession"])
    return step_query(ae_title=options["calling"], day=parse_da(options["date"]), modality="MG")


def _taken(step: PerformedStep) -> str:
    return f"{len(step.series)} series and {step.images} image{'s' if step.images != 1 else ''}"
