"""How a daemon hears that it is to stop."""

import asyncio
import os
import signal

from core.daemon import Signals


class TestSignals:
    async def test_the_first_one_asks_to_stop_and_the_second_one_to_leave(self) -> None:
        signals = Signals.of_loop(reload=lambda: None)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(signals.stopping.wait(), 5)
        assert not signals.leaving.is_set()
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.wait_for(signals.leaving.wait(), 5)

    async def test_sighup_reloads(self) -> None:
        reloaded = asyncio.Event()
        Signals.of_loop(reload=reloaded.set)
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.wait_for(reloaded.wait(), 5)
