"""Says, step by step, whether this machine reaches its hybrid connection and, where it does not, what to do.

✓ holds, ✗ does not; what has neither mark was not tried, or is not needed. Exits 0 only if all holds that must.
Prints no key, token or password. The listener may go on running: run it where the listener runs, with its settings.
"""

import asyncio
import logging
import sys
from typing import Any

from django.core.management.base import BaseCommand

from relay.probe.report import Outcome, lines, take, verdict
from relay.probe.site import Site
from relay.probe.steps import STEPS


class Command(BaseCommand):
    """`python manage.py probe_relay`"""

    help = __doc__
    requires_system_checks = ()  # they are the first step

    def handle(self, *args: Any, **options: Any) -> None:
        """Take all steps once."""
        logging.disable(logging.INFO)  # the report says it all
        good, sentence = verdict(asyncio.run(self.probe()))
        self.stdout.write(sentence)
        if not good:
            sys.exit(1)

    async def probe(self) -> list[Outcome]:
        """Print each outcome as soon as it is there."""
        outcomes = []
        async for outcome in take(STEPS, Site()):
            outcomes.append(outcome)
            for line in lines(outcome):
                self.stdout.write(line)
            self.stdout.flush()
        return outcomes
