"""`make run`, with and without ONCE=1."""

import os
import re
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from nonprod.local_gateway import PORT_SETTINGS, is_free
from tests.processes import Process, Start, database_url, free_ports, processes

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]


def ports() -> dict[str, str]:
    """Free ports for all parts."""
    return dict(zip(PORT_SETTINGS, map(str, free_ports(len(PORT_SETTINGS))), strict=True))


@pytest.fixture(scope="module")
def played(django_db_setup: None) -> Iterator[Process]:
    """The main job, played once, with a real relay in the settings."""
    real = {"AZURE_RELAY_NAMESPACE": "hospital.servicebus.windows.net", "AZURE_RELAY_HYBRID_CONNECTION": "gateway"}
    with processes() as start:
        process = start("run_gateway", "--once", DJANGO_SETTINGS_MODULE="gateway_project.settings.local", **real)
        process.exit_status()
        yield process


class TestOnce:
    def test_every_step_holds_whatever_relay_the_settings_name_and_the_list_is_printed(self, played: Process) -> None:
        assert played.exit_status() == 0, played.output
        assert played.output.count("✓") == 13
        assert "O'BRIEN-ŁUKASZ^ZOË" in played.output
        assert "IN PROGRESS" in played.output
        assert "superseded by ACC" in played.output

    def test_the_logs_are_in_a_file_and_not_in_the_way(self, played: Process) -> None:
        assert "relay-emulator" not in played.output
        found = re.search(r"The logs of all processes are in (\S+)", played.output)
        assert found
        log = Path(found[1])
        assert "mwl-scp" in log.read_text()
        log.unlink()

    def test_the_logs_are_printed_when_asked_for(self, start: Start) -> None:
        process = start("run_gateway", "--once", "--verbose", IMAGES="off")
        process.wait_for("mwl-scp")
        assert process.stop(signal.SIGINT) == 0

    def test_the_logs_are_printed_when_it_fails(self, start: Start) -> None:
        process = start("run_gateway", "--once", IMAGES="off", MWL_HOST="192.0.2.1")  # no address of this machine
        assert process.exit_status() == 2
        assert "The worklist cannot listen on 192.0.2.1" in process.output


class TestRun:
    def test_a_signal_that_comes_while_the_parts_start_ends_all_of_them_with_0(self, start: Start) -> None:
        process = start("run_gateway", **ports())
        process.wait_for("started (pid=")
        assert process.stop(signal.SIGTERM) == 0

    def test_a_taken_port_is_told_with_its_setting(self, start: Start) -> None:
        chosen = ports()
        with socket.create_server(("127.0.0.1", int(chosen["MWL_PORT"]))):
            process = start("run_gateway", **chosen)
            assert process.exit_status() == 2
        assert f"Port {chosen['MWL_PORT']} is taken" in process.output
        assert "MWL_PORT=" in process.output

    def test_it_says_where_everything_is_and_ctrl_c_at_a_terminal_ends_all_and_make_with_0(self, project: Path) -> None:
        pty = pytest.importorskip("pty", reason="Windows has no such terminals")
        chosen = ports()
        pid, terminal = pty.fork()
        if pid == 0:
            environment = {**os.environ, **chosen, "DATABASE_URL": database_url()}
            python = sys.executable
            # `make run` without the installation: a make above, as a newcomer has it
            recipe = f"run: ; @cd {project} && {python} manage.py run_gateway\n"
            os.execvpe("make", ["make", "--eval", recipe, "-f", "/dev/null", "run"], environment)
        written = ""
        for chunk in chunks(terminal):
            written += chunk
            if "Ctrl-C stops" in chunk:
                os.write(terminal, b"\x03")
        assert "Ctrl-C stops everything" in written, written
        addresses = (f":{chosen['WEB_PORT']}/admin/", chosen["RELAY_EMULATOR_PORT"], chosen["MWL_PORT"])
        assert [address for address in addresses if address not in written] == []
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert all(is_free(int(port)) for port in chosen.values())


def chunks(terminal: int) -> Iterator[str]:
    """Yield the output of a terminal, until all processes have closed it."""
    with suppress(OSError):
        while chunk := os.read(terminal, 65536):
            yield chunk.decode(errors="replace")
