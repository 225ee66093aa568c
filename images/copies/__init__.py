"""Make the small copy of an image that Manage shows: window applied, 400 px, JPEG 2000, and proven to be readable."""

from pathlib import Path


class CannotCopy(Exception):
    """No copy can be made of an image, however often it is tried. The text says why, and nothing of the patient."""


def unfinished(copy: Path) -> Path:
    """Return where a copy is written until it is proven. What is left there by a process that died is rubbish."""
    return copy.with_name(f"{copy.name}.part")
