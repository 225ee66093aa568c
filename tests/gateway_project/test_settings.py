"""Production refuses insecure or missing settings, and says which and what to do."""

import re
import shutil
from pathlib import Path, PureWindowsPath

import pytest
from django.conf import settings

from gateway_project.settings.base import database
from tests.processes import Process, Start

APPS = ("core", "dicom", "relay", "worklist", "images", "dashboard", "nonprod")
GOOD = {
    "DJANGO_SETTINGS_MODULE": "gateway_project.settings.production",
    "SECRET_KEY": "0123456789-abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "ALLOWED_HOSTS": "gateway.hospital.example",
    "DATABASE_URL": "postgres://gateway@127.0.0.1/gateway",
    "AZURE_RELAY_NAMESPACE": "hospital.servicebus.windows.net",
    "AZURE_RELAY_HYBRID_CONNECTION": "gateway",
    "AZURE_RELAY_KEY_NAME": "listen",
    "AZURE_RELAY_SHARED_ACCESS_KEY": "hunter2-is-secret",
}

pytestmark = [pytest.mark.django_db, pytest.mark.once]


def ended(start: Start, *command: str, **changes: str) -> Process:
    """A command with production settings, after its end."""
    process = start(*command, **{**GOOD, **changes})
    process.exit_status()
    return process


class TestDatabase:
    def test_a_path_of_windows_with_spaces_is_kept(self) -> None:
        path = PureWindowsPath("C:\\Program Files\\gateway\\gateway.sqlite3").as_posix()
        assert database(f"sqlite:///{path}")["NAME"] == "C:/Program Files/gateway/gateway.sqlite3"


class TestProduction:
    def test_with_all_that_is_needed_nothing_is_complained_of(self, start: Start) -> None:
        process = ended(start, "check", "--deploy", "--fail-level", "WARNING")
        assert "no issues" in process.output

    @pytest.mark.parametrize(
        "wrong",
        [
            {
                "SECRET_KEY": ("", "core.E001"),
                "ALLOWED_HOSTS": ("", "core.E002"),
                "DATABASE_URL": ("", "core.E005"),
                "AZURE_RELAY_NAMESPACE": ("", "relay.E001"),
                "MWL_AE_TITLE": ("MORE_THAN_SIXTEEN", "worklist.E001"),
                "MWL_PORT": ("70000", "worklist.E002"),
                "MWL_MAX_ASSOCIATIONS": ("0", "worklist.E004"),
                "DATABASE_WAIT_SECONDS": ("99", "core.E006"),
                "WEB_PORT": ("99999", "core.E007"),
                "METRICS_ALLOWED_NETWORKS": ("10.1.2.0/24,hospital", "core.E008"),
            },
            {
                "SECRET_KEY": ("short", "core.E001"),
                "ALLOWED_HOSTS": ("*", "core.E002"),
                "AZURE_RELAY_PLAIN_WEBSOCKET": ("true", "relay.E003"),
            },
            {"SECRET_KEY": ("a" * 80, "core.E001")},
        ],
        ids=["missing or out of range", "insecure", "a key of one letter"],
    )
    def test_no_daemon_starts_with_wrong_settings_and_each_is_named(
        self, start: Start, wrong: dict[str, tuple[str, str]]
    ) -> None:
        process = ended(start, "run_mwl_scp", **{name: value for name, (value, _) in wrong.items()})
        assert process.exit_status() == 1
        with_hint = set(re.findall(r"\((\w+\.E\d+)\).*\n\tHINT: ", process.output))
        assert {code for _, code in wrong.values()} <= with_hint
        assert "hunter2" not in process.output

    def test_the_commands_of_nonprod_are_not_there(self, start: Start) -> None:
        assert "Unknown command" in ended(start, "run_relay_emulator").output

    def test_a_secret_can_come_from_a_file(self, start: Start, tmp_path_factory: pytest.TempPathFactory) -> None:
        file = tmp_path_factory.mktemp("secrets") / "key"
        file.write_text(GOOD["SECRET_KEY"] + "\n")
        environment = {name: value for name, value in GOOD.items() if name != "SECRET_KEY"}
        process = start("check", **environment, SECRET_KEY_FILE=str(file))
        assert process.exit_status() == 0, process.output

    @pytest.mark.parametrize(
        ("name", "value"), [("MWL_PORT", "abc"), ("DATABASE_URL", "foo"), ("LOG_LEVEL", "LOUD"), ("LOG_FORMAT", "xml")]
    )
    def test_a_value_of_another_kind_is_told_by_its_name_in_one_line(self, start: Start, name: str, value: str) -> None:
        process = ended(start, "run_mwl_scp", **{name: value})
        assert process.exit_status() == 1
        assert len(process.lines) == 1
        assert name in process.output

    def test_whatever_server_loads_the_application_runs_the_checks(self, start: Start) -> None:
        program = ("-c", "import gateway_project.asgi")
        assert start(*program[1:], program=program[0], **GOOD).exit_status() == 0
        refused = start(*program[1:], program=program[0], **{**GOOD, "ALLOWED_HOSTS": "*"})
        assert refused.exit_status() == 1
        assert "core.E002" in refused.output


class TestDotenv:
    def test_a_dotenv_file_chooses_the_settings_too(self, start: Start, tmp_path: Path) -> None:
        for app in APPS:
            (tmp_path / app).symlink_to(Path(settings.BASE_DIR, app))
        shutil.copy(Path(settings.BASE_DIR, "manage.py"), tmp_path)  # Python looks beside the file that a link names
        shutil.copytree(Path(settings.BASE_DIR, "gateway_project"), tmp_path / "gateway_project")
        lines = {**GOOD, "SECRET_KEY": "short"}
        (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
        process = start("check", program=str(tmp_path / "manage.py"), DJANGO_SETTINGS_MODULE="", DATABASE_URL="")
        assert process.exit_status() == 1
        assert "core.E001" in process.output
