"""Check, step by step, whether this machine can reach its hybrid connection and, if not, say what to correct.

✓ means passed, ✗ failed; a step with neither was not tried or is not needed. The exit code is 0 if every
necessary step passed. Prints no key, token or password. Run it where the listener runs, with its settings; the
listener may keep running.
"""

import asyncio
import logging
import sys
from typing import Any

from django.core.management.base import BaseCommand

from relay.probe.report import Outcome, format_outcome, run_steps, summarise
from relay.probe.steps import STEPS, ProbeContext


class Command(BaseCommand):
    help = __doc__
    requires_system_checks = ()  # they are the first step

    def handle(self, *args: Any, **options: Any) -> None:
        logging.disable(logging.INFO)  # the report says it all
        passed, summary = summarise(asyncio.run(self.probe()))
        self.stdout.write(summary)
        if not passed:
            sys.exit(1)

    async def probe(self) -> list[Outcome]:
        """Run all steps, and print each outcome as soon as it is known."""
        outcomes = []
        async for outcome in run_steps(STEPS, ProbeContext()):
            outcomes.append(outcome)
            for line in format_outcome(outcome):
                self.stdout.write(line)
            self.stdout.flush()
        return outcomes
