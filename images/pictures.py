"""Show the copy of an image as people see it: as PNG, stretched from its least to its greatest value.

An image that waits for a person has a copy, too: nobody can say whose it is without seeing it.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from io import BytesIO
from pathlib import Path

from django.conf import settings

from images.copies import CannotCopy
from images.models import ReceivedImage
from images.queue import due
from images.spool import Spool

logger = logging.getLogger(__name__)

State = ReceivedImage.State

#: Makes a copy of the original with this longest side and ratio, as `images.copies.worker.copy_in_process` does.
MakeCopy = Callable[[Path, Path, int, int], None]
#: How the last error of an image begins of which no copy can be made.
NO_PICTURE = "There is no picture of it"


class NoPicture(Exception):
    """The copy is missing, or cannot be decoded."""


def png_of(copy: Path) -> bytes:
    """Decode a copy for Manage; raise NoPicture if that is impossible."""
    import numpy as np  # noqa: PLC0415 - large, and only those who look at a picture need it
    from PIL import Image  # noqa: PLC0415
    from pydicom import dcmread  # noqa: PLC0415

    from dicom.unreadable import UNREADABLE  # noqa: PLC0415

    try:
        data_set = dcmread(copy)
        pixels = data_set.pixel_array.astype(np.float64)
    except (RuntimeError, *UNREADABLE) as error:
        raise NoPicture(type(error).__name__) from None
    least, greatest = float(pixels.min()), float(pixels.max())
    grey = (pixels - least) * (255.0 / ((greatest - least) or 1.0))
    if data_set.get("PhotometricInterpretation") == "MONOCHROME1":
        grey = 255.0 - grey
    png = BytesIO()
    Image.fromarray(grey.round().astype(np.uint8)).save(png, "PNG")
    return png.getvalue()


def copy_undecided(spool: Spool, make_copy: MakeCopy, now: datetime) -> int:
    """Make the missing copies of images that wait for a person, while none is due for Manage; return how many.

    Why one cannot be made is in the row, and it is not tried again. If the disk fails, or the system kills the worker
    for want of memory, that is no fault of the image: it is tried again at the next call, and no other until then.
    """
    undecided = ReceivedImage.objects.filter(state__in=(State.UNLINKED, State.HELD), copy="")
    possible = undecided.exclude(file="").exclude(last_error__startswith=NO_PICTURE)
    made = 0
    for image in list(possible.order_by("-received_at")[:100]):
        if due(ReceivedImage.objects.filter(state=State.WAITING), now).exists():
            break
        original = spool.original(image.file)
        if not original.is_file():  # what is lost is found, and told, elsewhere
            continue
        still = ReceivedImage.objects.filter(pk=image.pk, state=image.state, file=image.file)
        try:
            make_copy(original, spool.copy(image.file), settings.IMAGE_PREVIEW_PIXELS, settings.IMAGE_PREVIEW_RATIO)
        except CannotCopy as reason:
            still.update(last_error=f"{NO_PICTURE}: {reason}"[:200])
        except OSError as error:
            logger.warning("image not copied or read", extra={"image": str(image.pk), "error": error.strerror})
            break
        else:
            made += still.update(copy=image.file)
    return made
