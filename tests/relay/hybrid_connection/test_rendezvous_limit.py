"""How many rendezvous are served at once, who waits how long, and when idle senders are evicted."""

import asyncio

import pytest

from relay.hybrid_connection.rendezvous_limit import LimitReached, RendezvousLimit
from tests import virtual_time


class Senders:
    """Senders that ask for a slot, note that they have it, and keep it until they are all released."""

    def __init__(self, limit: RendezvousLimit) -> None:
        self.limit = limit
        self.served: list[int] = []
        self._released = asyncio.Event()

    async def serve(self, number: int) -> None:
        """Hold a slot until `release`."""
        async with self.limit.acquire():
            self.served.append(number)
            await self._released.wait()

    def release(self) -> None:
        """Let all senders finish."""
        self._released.set()


async def let_tasks_run() -> None:
    """Let all tasks run until they wait for something."""
    for _ in range(5):
        await asyncio.sleep(0)


class TestAcquire:
    async def test_senders_over_the_limit_are_served_in_the_order_they_came(self) -> None:
        senders = Senders(RendezvousLimit(limit=2))
        tasks = [asyncio.create_task(senders.serve(number)) for number in range(5)]
        await let_tasks_run()
        assert (senders.served, senders.limit.waiting) == ([0, 1], 3)
        senders.release()
        await asyncio.gather(*tasks)
        assert senders.served == [0, 1, 2, 3, 4]
        assert senders.limit.waiting == 0

    async def test_a_sender_is_refused_when_the_queue_is_full(self) -> None:
        senders = Senders(RendezvousLimit(limit=1, queue=1))
        tasks = [asyncio.create_task(senders.serve(number)) for number in range(2)]
        await let_tasks_run()
        with pytest.raises(LimitReached, match="limit of 1 concurrent senders is reached and 1 are waiting: try again"):
            await senders.serve(2)
        senders.release()
        await asyncio.gather(*tasks)

    def test_a_sender_waits_no_longer_than_a_rendezvous_address_lives(self) -> None:
        async def play() -> None:
            senders = Senders(RendezvousLimit(limit=1))
            first = asyncio.create_task(senders.serve(1))
            await let_tasks_run()
            began = virtual_time.now()
            with pytest.raises(LimitReached, match="still reached after 15 s"):
                await senders.serve(2)
            assert 14.9 <= virtual_time.now() - began < 16
            senders.release()
            await first

        virtual_time.run(play())

    async def test_a_sender_cancelled_in_the_queue_takes_no_slot(self) -> None:
        senders = Senders(RendezvousLimit(limit=1))
        tasks = [asyncio.create_task(senders.serve(number)) for number in range(3)]
        await let_tasks_run()
        tasks[1].cancel()
        senders.release()
        await asyncio.gather(tasks[0], tasks[2])
        assert senders.served == [0, 2]
        async with senders.limit.acquire():
            assert senders.limit.waiting == 0


class TestRejecting:
    async def test_rejections_are_limited_and_queued_as_senders_are(self) -> None:
        limit, rejected, may_end = RendezvousLimit(limit=1, queue=1), [0], asyncio.Event()

        async def reject() -> None:
            async with limit.rejecting():
                rejected[0] += 1
                await may_end.wait()

        rejections = [asyncio.create_task(reject()) for _ in range(3)]
        await let_tasks_run()
        assert rejected == [2]
        with pytest.raises(LimitReached, match="rejected already"):
            await reject()
        may_end.set()
        await asyncio.gather(*rejections)
        assert rejected == [3]


class TestReceiving:
    def test_an_idle_sender_is_evicted_after_30_seconds_while_nobody_waits(self) -> None:
        async def play() -> None:
            limit = RendezvousLimit(limit=1)
            began = virtual_time.now()
            with pytest.raises(TimeoutError):
                async with limit.receiving():
                    await asyncio.Event().wait()
            assert 30 <= virtual_time.now() - began < 31

        virtual_time.run(play())

    def test_an_idle_sender_is_evicted_after_5_seconds_once_another_waits(self) -> None:
        async def be_idle(limit: RendezvousLimit) -> None:
            async with limit.acquire():
                with pytest.raises(TimeoutError):
                    async with limit.receiving():
                        await asyncio.Event().wait()

        async def play() -> None:
            limit = RendezvousLimit(limit=1)
            idle = asyncio.create_task(be_idle(limit))
            await asyncio.sleep(2)
            began = virtual_time.now()
            async with limit.acquire():
                assert 2.9 <= virtual_time.now() - began < 4
            await idle

        virtual_time.run(play())

    def test_a_sender_that_becomes_idle_while_others_wait_has_5_seconds_from_the_start(self) -> None:
        async def play() -> None:
            senders = Senders(RendezvousLimit(limit=1))
            tasks = [asyncio.create_task(senders.serve(number)) for number in range(2)]
            await let_tasks_run()
            began = virtual_time.now()
            with pytest.raises(TimeoutError):
                async with senders.limit.receiving():
                    await asyncio.Event().wait()
            assert 5 <= virtual_time.now() - began < 6
            senders.release()
            await asyncio.gather(*tasks)

        virtual_time.run(play())


class TestKeeping:
    """A rendezvous that is kept for the sender's next request."""

    @staticmethod
    async def idle_for(limit: RendezvousLimit) -> float:
        """Return the seconds until a rendezvous that may be idle for 100 is given up."""
        began = virtual_time.now()
        with pytest.raises(TimeoutError):
            async with limit.keeping(100):
                await asyncio.Event().wait()
        return virtual_time.now() - began

    def test_it_may_be_idle_for_the_time_given_even_when_others_wait(self) -> None:
        async def play() -> float:
            senders = Senders(RendezvousLimit(limit=1))
            tasks = [asyncio.create_task(senders.serve(number)) for number in range(2)]
            await let_tasks_run()
            idle = await self.idle_for(senders.limit)
            senders.release()
            await asyncio.gather(*tasks, return_exceptions=True)
            return idle

        assert 100 <= virtual_time.run(play()) < 101

    def test_of_more_than_the_limit_the_longest_idle_is_given_up(self) -> None:
        async def play() -> list[int]:
            limit = RendezvousLimit(limit=2)
            idle = [asyncio.create_task(self.idle_for(limit)) for _ in range(3)]
            return [round(seconds) for seconds in await asyncio.gather(*idle)]

        assert virtual_time.run(play()) == [0, 100, 100]

    def test_one_that_is_in_use_again_does_not_count(self) -> None:
        async def play() -> list[int]:
            limit = RendezvousLimit(limit=1)
            async with limit.keeping(100):
                pass
            return [round(await self.idle_for(limit))]

        assert virtual_time.run(play()) == [100]

    def test_none_is_idle_any_longer_once_the_listener_stops(self) -> None:
        async def play() -> list[int]:
            limit = RendezvousLimit(limit=2)
            before = asyncio.create_task(self.idle_for(limit))
            await let_tasks_run()
            limit.drain()
            return [round(seconds) for seconds in (await before, await self.idle_for(limit))]

        assert virtual_time.run(play()) == [0, 0]
