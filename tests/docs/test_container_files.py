"""Dockerfile, .dockerignore and docker-compose.yml against the settings that they name; tools/check_image runs them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from gateway_project.settings import local
from gateway_project.settings.base import SETTINGS

#: Set for others than the gateway's settings: Django, Python, PostgreSQL, azure-identity, what opens connections.
OF_OTHERS = {
    "DJANGO_SETTINGS_MODULE",
    "PATH",
    "PYTHONUNBUFFERED",
    "PYTHONDONTWRITEBYTECODE",
    "POSTGRES_USER",
    "POSTGRES_DB",
    "POSTGRES_PASSWORD",
    "AZURE_TENANT_ID",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "HTTPS_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
}
#: Settings in which containers have no choice: addresses inside, and what is only for a developer's machine.
FIXED = {"DEBUG", "IMAGE_HOST", "MWL_HOST", "RELAY_EMULATOR_PORT", "AZURE_RELAY_PLAIN_WEBSOCKET"}


def text(name: str) -> str:
    """A file beside manage.py."""
    return (settings.BASE_DIR / name).read_text()


def compose_names() -> set[str]:
    """The variables that docker-compose.yml sets in containers, and those that it takes from .env."""
    source = text("docker-compose.yml")
    return {*re.findall(r"^ +([A-Z][A-Z_]+):", source, re.MULTILINE), *re.findall(r"\$\{([A-Z_]+)", source)}


def dockerfile_names() -> set[str]:
    """The variables that the Dockerfile sets in the image."""
    (block,) = re.findall(r"^ENV (.*?[^\\])$", text("Dockerfile"), re.MULTILINE | re.DOTALL)
    return set(re.findall(r"(\w+)=", block))


def seconds(pattern: str, name: str) -> list[int]:
    """The numbers that a pattern finds in a file."""
    return [int(found) for found in re.findall(pattern, text(name))]


class TestSettings:
    def test_what_the_containers_set_is_a_setting(self) -> None:
        names = (compose_names() | dockerfile_names()) - OF_OTHERS
        assert {name for name in names if name.removesuffix("_FILE") not in SETTINGS} == set()

    def test_every_setting_that_is_not_fixed_in_containers_can_be_made_there(self) -> None:
        settable = {name.removesuffix("_FILE") for name in compose_names() | dockerfile_names()}
        assert set(SETTINGS) - settable == FIXED

    def test_a_container_is_given_longer_to_stop_than_the_listener_takes(self) -> None:
        (grace,) = seconds(r'RELAY_STOP_GRACE_SECONDS: "(\d+)"', "docker-compose.yml")
        assert min(seconds(r"stop_grace_period: (\d+)s", "docker-compose.yml")) > grace

    def test_a_health_check_is_given_longer_than_it_waits_for_the_database(self) -> None:
        (timeout,) = seconds(r"--timeout=(\d+)s", "Dockerfile")
        assert timeout > SETTINGS["DATABASE_WAIT_SECONDS"][1]


class TestDockerfile:
    def test_it_installs_only_what_has_the_hash_that_was_pinned(self) -> None:
        assert "--require-hashes" in text("Dockerfile")

    def test_its_last_user_is_not_root(self) -> None:
        assert int(re.findall(r"^USER (\d+):\d+$", text("Dockerfile"), re.MULTILINE)[-1]) > 0

    def test_it_runs_production_settings_unless_told_otherwise(self) -> None:
        assert "DJANGO_SETTINGS_MODULE=gateway_project.settings.production" in text("Dockerfile")


class TestDockerignore:
    def test_every_app_goes_into_the_image_and_nothing_by_default(self) -> None:
        lines = text(".dockerignore").splitlines()
        ours = {app for app in local.INSTALLED_APPS if Path(app).is_dir()}
        assert lines[1] == "*"
        assert {f"!{name}" for name in ours | {"gateway_project", "manage.py"}} <= set(lines)

    def test_nothing_of_development_goes_into_it(self) -> None:
        lines = text(".dockerignore").splitlines()
        assert not {f"!{name}" for name in ("tests", "docs", "tools", ".git", ".env", ".venv")} & set(lines)


class TestContainerSettings:
    @pytest.mark.parametrize(
        ("namespace", "expected"),
        [
            ("", "False True 127.0.0.1:9350 0.0.0.0"),
            ("a.servicebus.windows.net", "True False a.servicebus.windows.net 0.0.0.0"),
        ],
    )
    def test_they_are_local_ones_until_a_relay_is_configured_then_productions(
        self, namespace: str, expected: str
    ) -> None:
        program = (
            "from django.conf import settings as s;"
            "print(s.PRODUCTION, 'nonprod' in s.INSTALLED_APPS, s.AZURE_RELAY_NAMESPACE, s.MWL_HOST)"
        )
        chosen = {"DJANGO_SETTINGS_MODULE": "gateway_project.settings.container", "AZURE_RELAY_NAMESPACE": namespace}
        environment = {**os.environ, **chosen, "IMAGE_HOST": "", "MWL_HOST": "", "RELAY_EMULATOR_PORT": "9350"}
        python = [sys.executable, "-c", program]
        ended = subprocess.run(
            python, env=environment, cwd=settings.BASE_DIR, check=True, capture_output=True, text=True
        )
        assert ended.stdout.split() == expected.split()
