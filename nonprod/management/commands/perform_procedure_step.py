"""Perform one step of the worklist as a mammography unit does, and print each request, from C-FIND to N-SET.

Performs the step of --accession, or the first one on today's worklist of this modality. Ctrl-C discontinues it. Exits 2
if it cannot be performed.
"""

from argparse import ArgumentParser
from contextlib import nullcontext
from datetime import date
from threading import Event
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from pydicom.dataset import Dataset

from core.checks import GATEWAY
from core.daemon import stop_event
from core.value_representations import parse_da
from core.wording import count_of
from nonprod.management.arguments import add_image_arguments, add_modality_arguments, exposure_of, modality_of
from nonprod.modality_emulator import (
    UNSPECIFIED,
    VIEWS,
    Exposure,
    ModalityEmulator,
    PerformedStep,
    Reason,
    RequestFailed,
    reason_named,
    step_query,
)


class Command(BaseCommand):
    help = __doc__
    requires_system_checks = (GATEWAY,)

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_modality_arguments(parser)
        add_image_arguments(parser)
        parser.add_argument(
            "--accession", default="", help="accession number (default: the first item on the day's worklist)"
        )
        parser.add_argument("--date", default=f"{date.today():%Y%m%d}", help="YYYYMMDD (default: today)")  # noqa: DTZ011
        parser.add_argument(
            "--seconds", type=float, default=2.0, help="time between the N-CREATE and the final N-SET (default: 2)"
        )
        parser.add_argument("--progress", action="store_true", help="also send an N-SET after the first exposure")
        parser.add_argument(
            "--discontinue",
            metavar="REASON",
            help='discontinue after the first exposure: a code such as 110505, or part of its meaning ("refused")',
        )
        parser.add_argument("--one-association", action="store_true", help="send all requests in one association")

    def handle(self, *args: Any, **options: Any) -> None:
        modality = modality_of(options)
        try:
            reason = reason_named(options["discontinue"]) if options["discontinue"] else None
            if options["accession"]:
                identifier = step_query(options["accession"])
            else:
                identifier = step_query(ae_title=options["calling"], day=parse_da(options["date"]), modality="MG")
            association = modality.in_one_association() if options["one_association"] else nullcontext(modality)
            with stop_event() as stopping, association as associated:
                self._perform(associated, identifier, options, stopping, reason)
        except (RequestFailed, ValueError) as error:
            raise CommandError(str(error), returncode=2) from None

    def _perform(
        self,
        modality: ModalityEmulator,
        identifier: Dataset,
        options: dict[str, Any],
        stopping: Event,
        reason: Reason | None,
    ) -> None:
        rows = modality.query(identifier)
        if not rows:
            raise RequestFailed(f"There is no such step on the list of {modality.ae_title}")
        number = rows[0].get("AccessionNumber", "")
        self._print(f"C-FIND: 0000, {len(rows)} on the list; accession number {number} is next")
        step = modality.start(rows[0])
        self._print(f"N-CREATE: 0000, IN PROGRESS, as performed procedure step {step.uid}")
        exposure = exposure_of(options)
        self._expose(step, exposure, *VIEWS[:1])
        if options["progress"]:
            step.progress()
            self._print(f"N-SET: 0000, IN PROGRESS, with {_images(step)}")
        if stopping.wait(options["seconds"]):
            reason = reason or UNSPECIFIED
        if reason:
            step.discontinue(reason)
            self._print(f"N-SET: 0000, DISCONTINUED, with {_images(step)}: {reason.code}, {reason.meaning}")
        else:
            self._expose(step, exposure, *VIEWS[1:])
            step.complete()
            self._print(f"N-SET: 0000, COMPLETED, with {_images(step)}")

    def _expose(self, step: PerformedStep, exposure: Exposure | None, *views: str) -> None:
        taken = step.expose(*views)
        if exposure:
            count = exposure.send(step, taken)
            self._print(f"C-STORE: 0000, {count_of(count, 'image')} in {exposure.transfer_syntax.name}")

    def _print(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def _images(step: PerformedStep) -> str:
    return f"{len(step.series)} series and {count_of(step.images, 'image')}"
