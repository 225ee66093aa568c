"""Plays the main job against a gateway that runs on this machine; exits 0 only if every step held."""

import threading
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from nonprod.local_gateway import NotReady, local_modality, wait_until_ready
from nonprod.main_job import MainJob, StepFailed
from nonprod.manage_emulator import PollRefused, to_lines
from nonprod.modality_emulator import NoAnswer
from relay.hybrid_connection.failures import HybridConnectionError


class Command(BaseCommand):
    """`python manage.py play_main_job`"""

    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        """Wait for the parts, then step by step."""
        try:
            wait_until_ready(threading.Event())
        except NotReady as error:
            raise CommandError(str(error)) from None
        job = MainJob(local_modality())
        for sentence, step in job.steps():
            self._play(sentence, step)
        self.stdout.write(f"\nWhat the modality showed:\n\n{job.shown}")
        self.stdout.write(f"\nWhat Manage has learnt:\n\n{to_lines(job.learnt)}\n\nEvery step held.")

    def _play(self, sentence: str, step: Any) -> None:
        started = time.monotonic()
        try:
            step()
        except (StepFailed, NoAnswer, PollRefused, HybridConnectionError) as error:
            raise CommandError(f"✗ {sentence}: {error}") from None
        self.stdout.write(f"✓ {sentence} ({(time.monotonic() - started) * 1000:.0f} ms)")
