"""Make the small copy of an image that Manage shows: window applied, 400 px, JPEG 2000, and proven to be readable."""

from pathlib import Path


class CannotCopy(Exception):
    """No copy can be made of an image, however often it is tried. The text says why, and nothing of the patient."""


def unfinished(copy: Path, process_id: int) -> Path:
    """Return where a process writes a copy until it is proven. What is left there by one that died is rubbish."""
    return copy.with_name(f"{copy.name}.{process_id}.part")
