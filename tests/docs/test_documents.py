"""What the documents say is what the code does."""

import ast
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import get_commands

from core.contract import TEMPORARY_ERRORS, ErrorCode
from gateway_project.actions import ACTIONS, PROBES
from gateway_project.settings.base import SETTINGS
from nonprod.local_gateway import PORT_SETTINGS, environment_with
from tests.processes import PATIENCE, Start, database_url, free_ports

README = Path("README.md").read_text()
CONFIGURATION = Path("docs/configuration.md").read_text()
CONTRACT = Path("docs/gateway-actions.md").read_text()
DOCUMENTS = [Path("README.md"), Path("CONTRIBUTING.md"), *Path("docs").rglob("*.md")]


def shown(default: Any) -> str:
    """A default as `.env` would have it."""
    return "" if default in ("", []) else str(default)


class TestSettings:
    def test_configuration_md_has_the_settings_with_their_defaults(self) -> None:
        table = CONFIGURATION.split("## What is checked")[0]
        rows = re.findall(r"^\| `(\w+)` \| (?:`(.*?)`)? ?\|", table, re.MULTILINE)
        assert dict(rows) == {name: shown(default) for name, (_, default) in SETTINGS.items()}

    def test_env_tpl_has_the_settings_with_their_defaults(self) -> None:
        lines = dict(re.findall(r"^# ([A-Z_]+)=(.*)$", Path(".env.tpl").read_text(), re.MULTILINE))
        assert lines.pop("DJANGO_SETTINGS_MODULE") == "gateway_project.settings.local"
        assert lines == {name: shown(default) for name, (_, default) in SETTINGS.items()}

    def test_every_setting_is_read_somewhere_and_none_that_is_not_in_the_table(self) -> None:
        sources = "".join(path.read_text() for path in Path("gateway_project/settings").glob("*.py"))
        assert set(re.findall(r"\b(?:env|one_of)\(\"(\w+)\"", sources)) == set(SETTINGS)

    def test_every_check_is_in_configuration_md(self) -> None:
        sources = "".join(Path(f"{app}/checks.py").read_text() for app in ("core", "images", "relay", "worklist"))
        assert set(re.findall(r'"(\w+\.E\d+)"', sources)) == set(
            re.findall(r"^\| `(\w+\.E\d+)`", CONFIGURATION, re.MULTILINE)
        )


class TestContract:
    def test_every_action_type_is_in_its_document(self) -> None:
        table = CONTRACT.split("## Actions and replies")[1].split("Every failure")[0]
        assert set(re.findall(r"^\| `([a-z._]+)` \| (?!does)", table, re.MULTILINE)) == {*ACTIONS, *PROBES}

    def test_every_error_code_is_in_its_document_with_whether_it_is_final(self) -> None:
        rows = re.findall(r"^\| `(\w+)` \| .* \| (yes|no)[^|]*\|$", CONTRACT, re.MULTILINE)
        assert {code: final == "yes" for code, final in rows} == {
            code.value: code not in TEMPORARY_ERRORS for code in ErrorCode
        }


class TestPaths:
    @pytest.mark.parametrize("document", DOCUMENTS, ids=str)
    def test_every_path_that_a_document_names_exists(self, document: Path) -> None:
        roots = {path.name for path in Path().iterdir() if path.is_dir()}
        named = {
            path
            for path in re.findall(r"`(?:python )?([\w.-]+/[\w./-]+?)/?`", document.read_text())
            if path.split("/")[0] in roots and path.split("/")[0] != "build"
        }
        assert {path for path in named if not Path(path).exists()} == set()

    def test_the_import_contracts_name_every_module_that_calls_itself_pure(self) -> None:
        contracts = Path("pyproject.toml").read_text()
        pure = {
            ".".join(path.with_suffix("").parts).removesuffix(".__init__")
            for package in ("core", "dicom", "relay", "worklist", "images", "dashboard", "nonprod")
            for path in Path(package).rglob("*.py")
            if re.search(r"\bPure\b[.:]", ast.get_docstring(ast.parse(path.read_text())) or "")
        }
        assert {module for module in pure if f'"{module}"' not in contracts} == set()


class TestCommands:
    @pytest.mark.parametrize("document", DOCUMENTS, ids=str)
    def test_every_command_that_a_document_names_exists(self, document: Path) -> None:
        text = document.read_text()
        targets = set(re.findall(r"^([a-z-]+):", Path("Makefile").read_text(), re.MULTILINE))
        assert set(re.findall(r"(?:`|^)make ([a-z-]+)", text, re.MULTILINE)) <= targets
        assert set(re.findall(r"manage\.py ([a-z_]+)", text)) <= set(get_commands())

    @pytest.mark.parametrize("document", DOCUMENTS, ids=str)
    def test_every_link_leads_somewhere(self, document: Path) -> None:
        links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", document.read_text())
        gone = [link for link in links if "://" not in link and not (document.parent / link).exists()]
        assert gone == []

    @pytest.mark.once
    @pytest.mark.django_db(transaction=True)
    @pytest.mark.usefixtures("findscu")
    def test_the_commands_of_the_readme_do_what_it_says(self, start: Start) -> None:
        ports = dict(zip(PORT_SETTINGS, map(str, free_ports(len(PORT_SETTINGS))), strict=True))
        start("run_gateway", IMAGES="off", **ports).wait_for("Ctrl-C stops everything")
        blocks = re.findall(r"```sh\n(.*?)```", README.split("## Configure it")[0], re.DOTALL)
        commands = [line for block in blocks for line in block.splitlines() if not line.startswith("make ")]
        assert len(commands) == 4
        environment = environment_with({**ports, "DATABASE_URL": database_url()})
        outputs = [run(command.replace("11112", ports["MWL_PORT"]), environment) for command in commands]
        assert '"status":"created"' in outputs[0]
        assert "O'BRIEN-ŁUKASZ^ZOË" in outputs[1]
        assert "1 on the list" in outputs[1]
        assert "Success" in outputs[2]
        assert "AccessionNumber" in outputs[3]


def run(command: str, environment: dict[str, str]) -> str:
    """What a command prints; it must end with 0."""
    arguments = [sys.executable if word == ".venv/bin/python" else word for word in shlex.split(command)]
    done = subprocess.run(arguments, env=environment, capture_output=True, timeout=PATIENCE, check=False)
    output = (done.stdout + done.stderr).decode("utf-8", errors="replace")
    assert done.returncode == 0, output
    return output
