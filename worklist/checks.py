"""Owns the checks of the worklist's settings, run before every command."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from core.checks import Ranges, errors_of_ranges
from core.value_representations import is_ae

RANGES: Ranges = {
    "worklist.E002": ("MWL_PORT", 1, 65535, "11112 is DICOM's own; below 1024 needs a privilege."),
    "worklist.E003": (
        "MWL_MAX_ROWS",
        100,
        100_000,
        "It must be far above a day's list of 40 to 80 women a room, or a modality loses women; 500 unless set.",
    ),
    "worklist.E004": ("MWL_MAX_ASSOCIATIONS", 1, 1000, "60 unless set."),
}


@register
def check_worklist_settings(**kwargs: Any) -> Sequence[CheckMessage]:
    """Everything that would keep a modality from reaching the worklist."""
    return [*_complaints(), *errors_of_ranges(RANGES)]


def _complaints() -> Iterator[CheckMessage]:
    if not is_ae(settings.MWL_AE_TITLE):
        yield Error(
            f"MWL_AE_TITLE is no AE title: {settings.MWL_AE_TITLE!r}",
            hint="1 to 16 ASCII characters without backslash; modalities are configured with exactly this text.",
            id="worklist.E001",
        )
