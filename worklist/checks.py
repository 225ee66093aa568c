"""Owns the checks of the worklist's settings, run before every command."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from core.value_representations import is_ae


@register
def check_worklist_settings(**kwargs: Any) -> Sequence[CheckMessage]:
    """Everything that would keep a modality from reaching the worklist."""
    return list(_complaints())


def _complaints() -> Iterator[CheckMessage]:
    if not is_ae(settings.MWL_AE_TITLE):
        yield Error(
            f"MWL_AE_TITLE is no AE title: {settings.MWL_AE_TITLE!r}",
            hint="1 to 16 ASCII characters without backslash; modalities are configured with exactly this text.",
            id="worklist.E001",
        )
    if not 1 <= settings.MWL_PORT <= 65535:
        yield Error(
            f"MWL_PORT is no port: {settings.MWL_PORT}",
            hint="11112 is DICOM's own; below 1024 needs a privilege.",
            id="worklist.E002",
        )
    if settings.MWL_MAX_ASSOCIATIONS < 1:
        yield Error(
            f"MWL_MAX_ASSOCIATIONS is {settings.MWL_MAX_ASSOCIATIONS}: no modality could connect",
            hint="At least 1; the default is 60.",
            id="worklist.E004",
        )
    if settings.MWL_MAX_ROWS < 100:
        yield Error(
            f"MWL_MAX_ROWS is {settings.MWL_MAX_ROWS}: a modality would lose women off its list",
            hint="It must be far above a day's list of 40 to 80 women a room; the default is 500.",
            id="worklist.E003",
        )
