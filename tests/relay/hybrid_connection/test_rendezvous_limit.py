"""Who is served at once, and who waits how long."""

import asyncio

import pytest

from relay.hybrid_connection.rendezvous_limit import NoPlace, Places
from tests import virtual_time


class Guests:
    """People at some places; each says when he has one, and stays until he is told to go."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.came: list[int] = []
        self._gone = asyncio.Event()

    async def visit(self, number: int) -> None:
        """One visit."""
        async with self.places.taken():
            self.came.append(number)
            await self._gone.wait()

    def all_go(self) -> None:
        """Everybody leaves."""
        self._gone.set()


async def settle() -> None:
    """Let all tasks go as far as they can."""
    for _ in range(5):
        await asyncio.sleep(0)


class TestTaken:
    async def test_so_many_at_once_and_then_in_the_order_they_came(self) -> None:
        guests = Guests(Places(limit=2))
        visits = [asyncio.create_task(guests.visit(number)) for number in range(5)]
        await settle()
        assert (guests.came, guests.places.waiting) == ([0, 1], 3)
        guests.all_go()
        await asyncio.gather(*visits)
        assert guests.came == [0, 1, 2, 3, 4]
        assert guests.places.waiting == 0

    async def test_when_the_line_is_full_there_is_no_place(self) -> None:
        guests = Guests(Places(limit=1, queue=1))
        visits = [asyncio.create_task(guests.visit(number)) for number in range(2)]
        await settle()
        with pytest.raises(NoPlace, match="1 senders are served and 1 wait: try again"):
            await guests.visit(2)
        guests.all_go()
        await asyncio.gather(*visits)

    def test_nobody_waits_longer_than_a_rendezvous_lives(self) -> None:
        async def play() -> None:
            guests = Guests(Places(limit=1))
            first = asyncio.create_task(guests.visit(1))
            await settle()
            began = virtual_time.now()
            with pytest.raises(NoPlace, match="within 15 s"):
                await guests.visit(2)
            assert 14.9 <= virtual_time.now() - began < 16
            guests.all_go()
            await first

        virtual_time.run(play())

    async def test_one_that_is_cancelled_in_the_line_costs_no_place(self) -> None:
        guests = Guests(Places(limit=1))
        visits = [asyncio.create_task(guests.visit(number)) for number in range(3)]
        await settle()
        visits[1].cancel()
        guests.all_go()
        await asyncio.gather(visits[0], visits[2])
        assert guests.came == [0, 2]
        async with guests.places.taken():
            assert guests.places.waiting == 0


class TestRefusal:
    async def test_so_many_are_told_at_once_and_of_the_others_so_many_wait(self) -> None:
        places, told, may_go = Places(limit=1, queue=1), [0], asyncio.Event()

        async def tell() -> None:
            async with places.refusal():
                told[0] += 1
                await may_go.wait()

        telling = [asyncio.create_task(tell()) for _ in range(3)]
        await settle()
        assert told == [2]
        with pytest.raises(NoPlace, match="nobody is left"):
            await tell()
        may_go.set()
        await asyncio.gather(*telling)
        assert told == [3]


class TestSilence:
    def test_the_silent_may_stay_for_30_seconds_while_nobody_waits(self) -> None:
        async def play() -> None:
            places = Places(limit=1)
            began = virtual_time.now()
            with pytest.raises(TimeoutError):
                async with places.silence_allowed():
                    await asyncio.Event().wait()
            assert 30 <= virtual_time.now() - began < 31

        virtual_time.run(play())

    def test_they_go_after_5_seconds_once_somebody_waits(self) -> None:
        async def be_silent(places: Places) -> None:
            async with places.taken():
                with pytest.raises(TimeoutError):
                    async with places.silence_allowed():
                        await asyncio.Event().wait()

        async def play() -> None:
            places = Places(limit=1)
            silent = asyncio.create_task(be_silent(places))
            await asyncio.sleep(2)
            began = virtual_time.now()
            async with places.taken():
                assert 2.9 <= virtual_time.now() - began < 4
            await silent

        virtual_time.run(play())

    def test_whoever_is_silent_while_others_wait_already_has_5_seconds_from_the_start(self) -> None:
        async def play() -> None:
            guests = Guests(Places(limit=1))
            visits = [asyncio.create_task(guests.visit(number)) for number in range(2)]
            await settle()
            began = virtual_time.now()
            with pytest.raises(TimeoutError):
                async with guests.places.silence_allowed():
                    await asyncio.Event().wait()
            assert 5 <= virtual_time.now() - began < 6
            guests.all_go()
            await asyncio.gather(*visits)

        virtual_time.run(play())
