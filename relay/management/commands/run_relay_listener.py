"""Holds the hybrid connection and executes the actions that come through it, until SIGTERM or SIGINT."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from core.daemon import stop_event_of_loop
from core.health import Pulse
from relay.configuration import configured_address, configured_dispatcher, configured_tokens
from relay.hybrid_connection.control_channel import Accept
from relay.hybrid_connection.listener import Listener

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    """`python manage.py run_relay_listener`"""

    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until told to stop."""
        asyncio.run(self.listen())

    async def listen(self) -> None:
        """Wire the listener to the dispatcher, and its state to the heartbeat."""
        stopping = stop_event_of_loop()
        address = configured_address()
        pulse = Pulse("relay_listener", "starting").start()
        listener = Listener(
            address,
            configured_tokens(),
            self.answer,
            max_rendezvous=settings.RELAY_MAX_RENDEZVOUS,
            stop_grace=settings.RELAY_STOP_GRACE_SECONDS,
            on_state=lambda state, why: pulse.set_state(state, why=why),
        )
        self.dispatch = configured_dispatcher().dispatch
        self.connection = f"{address.namespace}/{address.path}"
        self.workers = ThreadPoolExecutor(settings.RELAY_MAX_RENDEZVOUS, thread_name_prefix="action")
        try:
            await listener.run(stopping)
        finally:
            self.workers.shutdown(wait=False, cancel_futures=True)
            await asyncio.to_thread(pulse.stop)
            logger.info("listener stopped")

    async def answer(self, frame: bytes, accept: Accept) -> str:
        """One action, in a thread of its own while the others go on."""
        connection = f"{self.connection}#{accept.id}"
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.workers, self.dispatch, frame, connection, accept.id)
