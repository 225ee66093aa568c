"""Check the settings of the worklist before the gateway starts."""

from pathlib import Path
from typing import Any

import pytest
from django.core.checks import Error, run_checks
from pytest_django import Settings

from dicom.checks import TLS_FILES
from tests.processes import Start
from worklist.checks import check_worklist_settings


def error_for(settings: Settings, name: str, value: Any) -> Error:
    """Return the only error about a setting."""
    setattr(settings, name, value)
    (found,) = check_worklist_settings()
    assert isinstance(found, Error)
    assert found.hint
    return found


class TestWorklistSettings:
    def test_the_defaults_are_valid(self) -> None:
        assert check_worklist_settings() == []

    @pytest.mark.parametrize("title", ["", "   ", "A" * 17, "MAMMO\\1", "RÖNTGEN", "A\n"])
    def test_an_ae_title_must_be_valid(self, settings: Settings, title: str) -> None:
        found = error_for(settings, "MWL_AE_TITLE", title)
        assert found.id == "worklist.E001"
        assert repr(title) in found.msg

    @pytest.mark.parametrize("port", [-1, 65536])
    def test_a_port_must_be_in_range(self, settings: Settings, port: int) -> None:
        found = error_for(settings, "MWL_PORT", port)
        assert (found.id, found.msg) == ("worklist.E002", f"MWL_PORT is {port}; it must be from 0 to 65535")

    @pytest.mark.parametrize("rows", [0, 99])
    def test_the_row_limit_must_be_far_above_a_days_list(self, settings: Settings, rows: int) -> None:
        assert error_for(settings, "MWL_MAX_ROWS", rows).id == "worklist.E003"

    def test_at_least_one_association_must_be_allowed(self, settings: Settings) -> None:
        assert error_for(settings, "MWL_MAX_ASSOCIATIONS", 0).id == "worklist.E004"

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("MWL_AE_TITLE", "A" * 16),
            ("MWL_PORT", 1),
            ("MWL_PORT", 65535),
            ("MWL_MAX_ROWS", 100),
            ("MWL_MAX_ASSOCIATIONS", 1),
        ],
    )
    def test_the_limits_of_each_range_are_valid(self, settings: Settings, name: str, value: Any) -> None:
        setattr(settings, name, value)
        assert check_worklist_settings() == []

    @pytest.mark.parametrize("issuer", ["N" * 65, "NHS\\LOCAL", "NHS\n"])
    def test_an_issuer_must_be_a_text_that_dicom_allows(self, settings: Settings, issuer: str) -> None:
        assert error_for(settings, "MWL_ISSUER_OF_PATIENT_ID", issuer).id == "worklist.E013"

    def test_every_command_runs_them(self, settings: Settings) -> None:
        settings.MWL_PORT = -1
        assert "worklist.E002" in {message.id for message in run_checks()}


def ids(settings: Settings, **values: Any) -> list[str | None]:
    """Return the ids of all errors about these settings."""
    for name, value in values.items():
        setattr(settings, name, value)
    return [message.id for message in check_worklist_settings()]


class TestPorts:
    def test_cannot_both_be_off(self, settings: Settings) -> None:
        assert ids(settings, MWL_PORT=0, MWL_TLS_PORT=0) == ["worklist.E009"]

    def test_must_be_different(self, settings: Settings, tls_files: dict[str, str]) -> None:
        assert ids(settings, MWL_PORT=2762, MWL_TLS_PORT=2762, **tls_files) == ["worklist.E010"]

    def test_may_be_only_the_one_for_tls(self, settings: Settings, tls_files: dict[str, str]) -> None:
        assert ids(settings, MWL_PORT=0, MWL_TLS_PORT=2762, **tls_files) == []

    @pytest.mark.parametrize(
        ("name", "value", "identifier"),
        [
            ("MWL_TLS_PORT", 65536, "worklist.E006"),
            ("MWL_MAX_ASSOCIATIONS_PER_PEER", 0, "worklist.E007"),
            ("MWL_IDLE_SECONDS", 4, "worklist.E008"),
        ],
    )
    def test_and_limits_have_their_ranges(
        self, settings: Settings, tls_files: dict[str, str], name: str, value: int, identifier: str
    ) -> None:
        assert ids(settings, **{**tls_files, name: value}) == [identifier]


class TestTlsFiles:
    @pytest.mark.parametrize("name", [f"MWL_{name}" for name in sorted(TLS_FILES)])
    def test_must_exist(self, settings: Settings, tls_files: dict[str, str], name: str) -> None:
        for value in ("", "/nowhere/at/all.pem", "/tmp"):
            assert ids(settings, MWL_TLS_PORT=2762, **{**tls_files, name: value}) == ["worklist.E011"]
            assert name in check_worklist_settings()[0].msg

    def test_may_be_missing_if_tls_is_off(self, settings: Settings) -> None:
        assert ids(settings, MWL_TLS_PORT=0) == []

    @pytest.mark.parametrize("name", [f"MWL_{name}" for name in sorted(TLS_FILES)])
    def test_must_have_valid_contents(
        self, settings: Settings, tls_files: dict[str, str], tmp_path: Path, name: str
    ) -> None:
        nonsense = tmp_path / "nonsense.pem"
        nonsense.write_text("nonsense")
        assert ids(settings, MWL_TLS_PORT=2762, **{**tls_files, name: str(nonsense)}) == ["worklist.E012"]


class TestUnknownModalities:
    @pytest.mark.parametrize(
        ("module", "value", "expected"),
        [
            ("production", "", "reject-once-configured"),
            ("local", "", "warn"),
            ("production", "accept", "accept"),
            ("production", "reject", "reject"),
        ],
    )
    def test_are_rejected_in_production_by_default(self, start: Start, module: str, value: str, expected: str) -> None:
        program = f"import gateway_project.settings.{module} as s; print(s.MWL_UNKNOWN_AE_TITLES)"
        process = start(program, program="-c", MWL_UNKNOWN_AE_TITLES=value)
        assert process.exit_status() == 0
        assert process.output.strip() == expected

    def test_setting_must_be_one_of_three_words(self, start: Start) -> None:
        process = start("check", MWL_UNKNOWN_AE_TITLES="ignore")
        assert process.exit_status() == 1
        assert "MWL_UNKNOWN_AE_TITLES is not one of accept, warn, reject" in process.output
