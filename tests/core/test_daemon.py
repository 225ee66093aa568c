"""How signals stop a daemon."""

import asyncio
import os
import signal

from core.daemon import Signals, stop_event


class TestSignals:
    async def test_the_first_signal_stops_and_the_second_one_aborts(self) -> None:
        signals = Signals.of_loop(reload=lambda: None)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(signals.stopping.wait(), 5)
        assert not signals.aborting.is_set()
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.wait_for(signals.aborting.wait(), 5)

    async def test_sighup_reloads(self) -> None:
        reloaded = asyncio.Event()
        Signals.of_loop(reload=reloaded.set)
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.wait_for(reloaded.wait(), 5)


class TestStopEvent:
    def test_is_set_by_a_signal_that_arrives_during_wait(self) -> None:
        with stop_event() as stopping:
            with stopping._cond:  # type: ignore[attr-defined]  # as `wait` has it for a moment
                os.kill(os.getpid(), signal.SIGTERM)
            assert stopping.wait(5)
