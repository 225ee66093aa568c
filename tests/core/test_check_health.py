"""The check_health command, as containers and people call it."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from core import concerns
from core.concerns import Concern, Severity
from core.heartbeat import STALE_AFTER
from core.management.commands import check_health
from core.management.commands.check_health import role_of
from tests.core.heartbeats import beat

pytestmark = pytest.mark.once


class FakeWebServer(BaseHTTPRequestHandler):
    """Answers each path with its own status, and records the Host headers."""

    statuses: dict[str, int]
    hosts: list[str]

    def do_GET(self) -> None:
        self.hosts.append(self.headers["Host"])
        self.send_response(self.statuses[self.path])
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Keep the tests' output clean."""


@pytest.fixture
def web_server(settings: Any) -> Iterator[type[FakeWebServer]]:
    """A web server at the address where the settings place the gateway's."""

    class Handler(FakeWebServer):
        statuses = {"/healthz": 200, "/elsewhere": 200}
        hosts = []

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        settings.WEB_PORT = server.server_port
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield Handler
        server.shutdown()


@pytest.fixture
def no_concerns(monkeypatch: pytest.MonkeyPatch) -> None:
    """No concern is open."""
    monkeypatch.setattr(concerns, "_registered", [])


@pytest.mark.django_db
@pytest.mark.usefixtures("no_concerns")
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

    def test_an_open_problem_is_printed_and_changes_no_exit_status(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        problem = Concern("wrong_patient", Severity.PROBLEM, "Wrong patient", "Stop work.", "", 2, (), "")
        warning = Concern("failed_actions", Severity.WARNING, "Failed", "Look.", "", 1, (), "")
        monkeypatch.setattr(concerns, "_registered", [lambda _: [problem, warning]])
        call_command("check_health", "database")
        assert capsys.readouterr().out == "database: ok\nALARM: Wrong patient (2). Stop work.\n"

    def test_a_database_that_answers_is_healthy(self, capsys: pytest.CaptureFixture[str]) -> None:
        call_command("check_health", "database")
        assert capsys.readouterr().out == "database: ok\n"


class TestWeb:
    def test_a_server_that_answers_is_healthy(
        self, web_server: type[FakeWebServer], capsys: pytest.CaptureFixture[str]
    ) -> None:
        call_command("check_health", "web")
        assert capsys.readouterr().out == "web: ok\n"

    @pytest.mark.parametrize(
        ("allowed", "called"), [("gw.nhs.uk", "gw.nhs.uk"), (".nhs.uk", "nhs.uk"), ("*", "localhost")]
    )
    def test_it_is_called_by_a_name_that_it_allows(
        self, web_server: type[FakeWebServer], settings: Any, allowed: str, called: str
    ) -> None:
        settings.ALLOWED_HOSTS = [allowed, "other.example"]
        call_command("check_health", "web")
        assert web_server.hosts == [called]

    @pytest.mark.parametrize("status", [301, 400, 503])
    def test_any_other_answer_is_not_and_a_redirect_is_not_followed(
        self, web_server: type[FakeWebServer], status: int
    ) -> None:
        web_server.statuses["/healthz"] = status
        with pytest.raises(CommandError, match=f"web: port .* answers with {status}"):
            call_command("check_health", "web")
        assert len(web_server.hosts) == 1

    def test_nothing_that_listens_is_not(self, settings: Any) -> None:
        settings.WEB_PORT = 1
        with pytest.raises(CommandError, match=r"web: no answer on port 1 \(ConnectionRefusedError\)"):
            call_command("check_health", "web")


class TestRoleOfAContainer:
    def test_where_there_is_no_process_1_the_role_must_be_given(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(check_health, "PROCESS_1", tmp_path / "cmdline")
        with pytest.raises(CommandError, match=r"^name what to check: .*mwl_scp"):
            call_command("check_health")

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
