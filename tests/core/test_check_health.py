"""The check_health command, as containers and people call it."""

from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from core.health import STALE_AFTER, host_name
from core.management.commands.check_health import role_of
from core.models import Heartbeat


def beat(role: str, state: str, seconds_ago: float = 0, host: str = "", why: str = "") -> None:
    """A heartbeat of a process, on this host unless another is named."""
    then = timezone.now() - timedelta(seconds=seconds_ago)
    times = {"state_since": then, "started_at": then, "beat_at": then}
    instance, details = f"{host or host_name()}:1", {"why": why}
    Heartbeat.objects.create(role=role, state=state, instance=instance, details=details, **times)


class Site(BaseHTTPRequestHandler):
    """Answers each path with a status of its own, and remembers by what name it was called."""

    statuses: dict[str, int]
    hosts: list[str]

    def do_GET(self) -> None:
        """Answer."""
        self.hosts.append(self.headers["Host"])
        self.send_response(self.statuses[self.path])
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Not into the tests' output."""


@pytest.fixture
def site(settings: Any) -> Iterator[type[Site]]:
    """A web server where the settings say that the gateway's is."""

    class Mine(Site):
        statuses = {"/healthz": 200, "/elsewhere": 200}
        hosts = []

    with HTTPServer(("127.0.0.1", 0), Mine) as server:
        settings.WEB_PORT = server.server_port
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield Mine
        server.shutdown()


@pytest.mark.django_db
class TestDaemons:
    def test_a_daemon_at_work_is_healthy(self, capsys: pytest.CaptureFixture[str]) -> None:
        beat("mwl_scp", "listening")
        call_command("check_health", "mwl_scp")
        assert capsys.readouterr().out == "mwl_scp: listening\n"

    def test_one_that_has_been_silent_for_long_is_not(self) -> None:
        beat("mwl_scp", "listening", seconds_ago=STALE_AFTER.seconds + 1)
        with pytest.raises(CommandError, match="mwl_scp: no sign of life for 30 s") as failure:
            call_command("check_health", "mwl_scp")
        assert failure.value.returncode == 1

    def test_a_listener_that_is_offline_is_not_and_says_since_when(self) -> None:
        beat("relay_listener", "offline")
        with pytest.raises(CommandError, match=r"^relay_listener: offline since \d{4}-"):
            call_command("check_health", "relay_listener")

    @pytest.mark.parametrize("state", ["connecting", "suspect", "offline"])
    def test_a_listener_is_healthy_in_no_other_state_than_online_and_says_why(self, state: str) -> None:
        beat("relay_listener", state, why="403, the policy needs Listen")
        with pytest.raises(CommandError, match=rf"^relay_listener: {state} since .*: 403, the policy needs Listen"):
            call_command("check_health", "relay_listener")

    def test_the_health_of_another_host_does_not_count(self) -> None:
        beat("mwl_scp", "listening", host="other")
        with pytest.raises(CommandError, match="no sign of life"):
            call_command("check_health", "mwl_scp")

    def test_a_database_that_answers_is_healthy(self, capsys: pytest.CaptureFixture[str]) -> None:
        call_command("check_health", "database")
        assert capsys.readouterr().out == "database: ok\n"


class TestWeb:
    def test_a_server_that_answers_is_healthy(self, site: type[Site], capsys: pytest.CaptureFixture[str]) -> None:
        call_command("check_health", "web")
        assert capsys.readouterr().out == "web: ok\n"

    @pytest.mark.parametrize(
        ("allowed", "called"), [("gw.nhs.uk", "gw.nhs.uk"), (".nhs.uk", "nhs.uk"), ("*", "localhost")]
    )
    def test_it_is_called_by_a_name_that_it_allows(
        self, site: type[Site], settings: Any, allowed: str, called: str
    ) -> None:
        settings.ALLOWED_HOSTS = [allowed, "other.example"]
        call_command("check_health", "web")
        assert site.hosts == [called]

    @pytest.mark.parametrize("status", [301, 400, 503])
    def test_any_other_answer_is_not_and_a_redirect_is_not_followed(self, site: type[Site], status: int) -> None:
        site.statuses["/healthz"] = status
        with pytest.raises(CommandError, match=f"web: port .* answers with {status}"):
            call_command("check_health", "web")
        assert len(site.hosts) == 1

    def test_nothing_that_listens_is_not(self, settings: Any) -> None:
        settings.WEB_PORT = 1
        with pytest.raises(CommandError, match=r"web: no answer on port 1 \(ConnectionRefusedError\)"):
            call_command("check_health", "web")


class TestRoleOfAContainer:
    @pytest.mark.parametrize(
        ("command_line", "role"),
        [
            (b"python\0manage.py\0run_mwl_scp\0", "mwl_scp"),
            (b"/sbin/docker-init\0--\0python\0manage.py\0run_relay_listener\0", "relay_listener"),
            (b"python\0manage.py\0run_web\0", "web"),
            (b"python\0manage.py\0migrate\0", "database"),
            (b"/sbin/init\0", "database"),
        ],
    )
    def test_is_what_its_first_process_runs(self, command_line: bytes, role: str) -> None:
        assert role_of(command_line) == role
