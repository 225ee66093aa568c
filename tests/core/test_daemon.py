"""How signals stop a daemon."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from threading import Timer

import pytest

from core.daemon import SIGNALS, Signals, stop_event


class LoopOfWindows(asyncio.SelectorEventLoop):
    """An event loop without add_signal_handler, as all are on Windows."""

    add_signal_handler = asyncio.AbstractEventLoop.add_signal_handler
    remove_signal_handler = asyncio.AbstractEventLoop.remove_signal_handler


@pytest.fixture(params=[asyncio.SelectorEventLoop, LoopOfWindows])
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    """A runner on each kind of loop; this process's signal handlers are as before afterwards."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    with asyncio.Runner(loop_factory=request.param) as made:
        yield made
    for number, handler in before.items():
        signal.signal(number, handler)


class TestSignals:
    def test_the_first_signal_stops_and_the_second_one_aborts(self, runner: asyncio.Runner) -> None:
        async def receive_two() -> None:
            signals = Signals.of_loop(reload=lambda: None)
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(signals.stopping.wait(), 5)
            assert not signals.aborting.is_set()
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.wait_for(signals.aborting.wait(), 5)

        runner.run(receive_two())

    def test_sighup_reloads(self, runner: asyncio.Runner) -> None:
        if sys.platform == "win32":
            pytest.skip("Windows has no SIGHUP")

        async def receive() -> None:
            reloaded = asyncio.Event()
            Signals.of_loop(reload=reloaded.set)
            os.kill(os.getpid(), signal.SIGHUP)
            await asyncio.wait_for(reloaded.wait(), 5)

        before = signal.getsignal(signal.SIGHUP)
        runner.run(receive())
        signal.signal(signal.SIGHUP, before)

    def test_a_signal_that_arrives_while_the_loop_waits_wakes_it(self, runner: asyncio.Runner) -> None:
        async def receive() -> None:
            signals = Signals.of_loop()
            Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
            await asyncio.wait_for(signals.stopping.wait(), 5)

        runner.run(receive())


class TestStopEvent:
    def test_is_set_by_a_signal_that_arrives_during_wait(self) -> None:
        with stop_event() as stopping:
            with stopping._cond:  # type: ignore[attr-defined]  # as `wait` has it for a moment
                os.kill(os.getpid(), signal.SIGTERM)
            assert stopping.wait(5)

    def test_is_waited_for_as_long_as_asked(self) -> None:
        with stop_event() as stopping:
            assert not stopping.wait(0)
            assert not stopping.wait(0.01)
            Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
            assert stopping.wait()
            assert stopping.wait(0)
