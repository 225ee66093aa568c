"""The daemons' heartbeats, and how others judge them."""

import pytest

from core.heartbeat import STALE_AFTER, HeartbeatWriter, check_daemon
from core.instance import instance_name
from core.models import Heartbeat
from tests.core.heartbeats import beat


@pytest.mark.django_db
class TestCheckDaemon:
    def test_is_ok_with_a_fresh_heartbeat_in_a_working_state(self) -> None:
        beat("relay_listener", "online")
        assert check_daemon("relay_listener")["ok"] is True

    def test_fails_for_a_daemon_that_is_alive_but_offline(self) -> None:
        beat("relay_listener", "offline")
        result = check_daemon("relay_listener")
        assert (result["ok"], result["state"]) == (False, "offline")

    def test_fails_for_a_stale_heartbeat_whatever_its_state(self) -> None:
        beat("relay_listener", "online", seconds_ago=STALE_AFTER.seconds + 1)
        result = check_daemon("relay_listener")
        assert result["ok"] is False
        assert "no sign of life" in result["error"]

    def test_is_ok_if_one_of_two_processes_works(self) -> None:
        beat("relay_listener", "offline", process=1)
        beat("relay_listener", "online", process=2, seconds_ago=3)
        assert check_daemon("relay_listener")["ok"] is True

    def test_includes_the_details_but_they_replace_nothing(self) -> None:
        beat("relay_listener", "online")
        Heartbeat.objects.update(details={"last_echo_ms": 40, "state": "other"})
        result = check_daemon("relay_listener")
        assert (result["last_echo_ms"], result["state"], result["ok"]) == (40, "online", True)


@pytest.mark.django_db(transaction=True)
class TestHeartbeatWriter:
    def writes(self, writer: HeartbeatWriter) -> bool:
        """Tell whether one beat of a writer leaves a row, and delete the row."""
        writer.set_state("online")
        writer.beat()
        found = Heartbeat.objects.filter(role=writer.role, instance=instance_name())
        return bool(found.delete()[0])

    def test_stops_when_the_watchdog_expires_and_resumes_when_it_is_reset(self) -> None:
        now = 1000.0
        writer = HeartbeatWriter("relay_listener", "connecting", watchdog=True, clock=lambda: now)
        assert self.writes(writer)
        now += STALE_AFTER.total_seconds()
        assert not self.writes(writer)
        writer.keep_alive()
        assert self.writes(writer)

    def test_goes_on_without_a_watchdog(self) -> None:
        now = 1000.0
        writer = HeartbeatWriter("mwl_scp", "listening", clock=lambda: now)
        now += 3600
        assert self.writes(writer)

    def test_deletes_its_row_when_it_is_stopped(self) -> None:
        writer = HeartbeatWriter("mwl_scp", "listening").start()
        writer.set_state("offline", why="test")
        writer.stop()
        assert not Heartbeat.objects.filter(role="mwl_scp", instance=instance_name()).exists()
