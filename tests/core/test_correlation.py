"""The id that follows an action."""

import asyncio
import logging

from core.correlation import CorrelationFilter, correlated, correlation_id, new_correlation_id


class TestCorrelated:
    def test_the_id_holds_inside_and_not_after(self) -> None:
        with correlated("outer"):
            with correlated("inner"):
                assert correlation_id() == "inner"
            assert correlation_id() == "outer"
        assert correlation_id() == ""

    async def test_it_goes_along_into_another_thread(self) -> None:
        with correlated("abc"):
            assert await asyncio.to_thread(correlation_id) == "abc"

    def test_new_ids_differ(self) -> None:
        assert new_correlation_id() != new_correlation_id()


class TestCorrelationFilter:
    def test_a_record_gets_the_id_in_force_unless_it_brings_its_own(self) -> None:
        plain, own = logging.makeLogRecord({}), logging.makeLogRecord({"correlation_id": "own"})
        with correlated("abc"):
            CorrelationFilter().filter(plain)
            CorrelationFilter().filter(own)
        assert (vars(plain)["correlation_id"], vars(own)["correlation_id"]) == ("abc", "own")
