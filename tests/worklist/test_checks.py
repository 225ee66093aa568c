"""What keeps a gateway from starting with settings that no modality could work with."""

from typing import Any

import pytest
from django.core.checks import Error, run_checks
from pytest_django import Settings

from worklist.checks import check_worklist_settings


def complaint(settings: Settings, name: str, value: Any) -> Error:
    """The one complaint about a setting."""
    setattr(settings, name, value)
    (found,) = check_worklist_settings()
    assert isinstance(found, Error)
    assert found.hint
    return found


class TestWorklistSettings:
    def test_the_defaults_are_right(self) -> None:
        assert check_worklist_settings() == []

    @pytest.mark.parametrize("title", ["", "   ", "A" * 17, "MAMMO\\1", "RÖNTGEN", "A\n"])
    def test_an_ae_title_must_be_one(self, settings: Settings, title: str) -> None:
        found = complaint(settings, "MWL_AE_TITLE", title)
        assert found.id == "worklist.E001"
        assert repr(title) in found.msg

    @pytest.mark.parametrize("port", [0, -1, 65536])
    def test_a_port_must_be_one(self, settings: Settings, port: int) -> None:
        found = complaint(settings, "MWL_PORT", port)
        assert (found.id, found.msg) == ("worklist.E002", f"MWL_PORT is {port}, and not from 1 to 65535")

    @pytest.mark.parametrize("rows", [0, 99])
    def test_a_cap_must_be_far_above_a_days_list(self, settings: Settings, rows: int) -> None:
        assert complaint(settings, "MWL_MAX_ROWS", rows).id == "worklist.E003"

    def test_somebody_must_be_able_to_connect(self, settings: Settings) -> None:
        assert complaint(settings, "MWL_MAX_ASSOCIATIONS", 0).id == "worklist.E004"

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
    def test_the_edges_are_right(self, settings: Settings, name: str, value: Any) -> None:
        setattr(settings, name, value)
        assert check_worklist_settings() == []

    def test_every_command_runs_them(self, settings: Settings) -> None:
        settings.MWL_PORT = 0
        assert "worklist.E002" in {message.id for message in run_checks()}
