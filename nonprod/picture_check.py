"""Compare a picture that Manage shows with the phantom it was made from."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from images.phantoms import WINDOW_CENTRE, WINDOW_WIDTH, Phantom

Grey = NDArray[np.float64]

#: Of 255 levels. JPEG 2000 at 15:1 differs by one or two; a picture without the window, by thirty.
MEAN_DIFFERENCE = 6.0
#: Letters that are turned, mirrored, inverted or smeared correlate less with those of the phantom.
LETTERS_CORRELATION = 0.9


def problems_of(jpeg: bytes, phantom: Phantom) -> list[str]:
    """Return what is wrong with a picture: its shape, its contrast, or its letters; nothing if all is right."""
    with Image.open(BytesIO(jpeg)) as opened:
        picture: Grey = np.asarray(opened.convert("L"), dtype=np.float64)
    rows, columns = picture.shape
    if abs(rows / columns - phantom.rows / phantom.columns) > 0.02:
        return [f"{columns} by {rows} pixels"]
    expected = _seen_through_the_window(phantom, rows, columns)
    problems = []
    if (difference := float(np.abs(picture - expected).mean())) > MEAN_DIFFERENCE:
        problems.append(f"the tissue differs by {difference:.0f} grey levels of 255")
    top, left, letters = phantom.letters()
    height, width = letters.shape
    box = (
        slice(top * rows // phantom.rows, (top + height) * rows // phantom.rows),
        slice(left * columns // phantom.columns, (left + width) * columns // phantom.columns),
    )
    correlation = float(np.corrcoef(picture[box].ravel(), expected[box].ravel())[0, 1])
    if not correlation > LETTERS_CORRELATION:
        problems.append(f"the letters {phantom.view} are not legible ({correlation:.2f})")
    return problems


def _seen_through_the_window(phantom: Phantom, rows: int, columns: int) -> Grey:
    """Return the phantom as grey levels 0 to 255, in this size (PS3.3 section C.11.2.1.2.1)."""
    stored = Phantom(phantom.view, phantom.rows, phantom.columns).pixels().astype(np.float64)
    levels = ((stored - (WINDOW_CENTRE - 0.5)) / (WINDOW_WIDTH - 1) + 0.5) * 255
    image = Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))
    return np.asarray(image.resize((columns, rows), Image.Resampling.BOX), dtype=np.float64)
