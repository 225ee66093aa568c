"""Make phantoms: synthetic mammograms of nobody, with burnt-in letters, complete enough for Manage.

In production the test machine sends them, elsewhere the modality emulator.
"""

from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

from dicom.scu.datasets import Series, exposed

#: View codes (PS3.16 CID 4014), and Patient Orientation of the rows and columns (PS3.3 section C.7.6.1.1.1).
VIEW_CODES = {"CC": ("399162004", "cranio-caudal"), "MLO": ("399368009", "medio-lateral oblique")}
ORIENTATIONS = {"L CC": ["A", "R"], "R CC": ["P", "L"], "L MLO": ["A", "FR"], "R MLO": ["P", "FL"]}
BREAST = ("76752008", "Breast")

#: 12 bits stored. The window shows the tissue; the letters are far above it, as lead letters on film are, so a picture
#: stretched from the least to the greatest value instead has no contrast.
BITS_STORED = 12
WHITE = (1 << BITS_STORED) - 1
WINDOW_CENTRE, WINDOW_WIDTH = 900.5, 1001
TISSUE = (500, 1300)
MUSCLE = 1350

#: A font of 5 by 7 dots, as far as it is needed.
FONT = {
    "C": (" ### ", "#   #", "#    ", "#    ", "#    ", "#   #", " ### "),
    "L": ("#    ", "#    ", "#    ", "#    ", "#    ", "#    ", "#####"),
    "M": ("#   #", "## ##", "# # #", "# # #", "#   #", "#   #", "#   #"),
    "O": (" ### ", "#   #", "#   #", "#   #", "#   #", "#   #", " ### "),
    "R": ("#### ", "#   #", "#   #", "#### ", "# #  ", "#  # ", "#   #"),
    " ": ("     ",) * 7,
}

#: What a modality copies from its worklist into its images, if the worklist has it.
COPIED = (
    "SpecificCharacterSet",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyInstanceUID",
)


@dataclass(frozen=True)
class Phantom:
    """How a phantom looks. Its letters are legible if it has at least 100 by 100 pixels."""

    view: str = "L CC"
    rows: int = 2294
    columns: int = 1914
    photometric_interpretation: str = "MONOCHROME2"

    @property
    def laterality(self) -> str:
        return self.view.partition(" ")[0]

    @property
    def view_position(self) -> str:
        return self.view.partition(" ")[2]

    def pixels(self) -> NDArray[np.uint16]:
        """Return the stored values: the same whenever they are made."""
        # The left breast has its chest wall at the left edge of the image, the right one mirrors it.
        image = _left_breast(self.rows, self.columns, with_muscle=self.view_position == "MLO")
        if self.laterality == "R":
            image = image[:, ::-1].copy()
        top, left, letters = self.letters()
        height, width = letters.shape
        image[top : top + height, left : left + width][letters] = WHITE
        return image if self.photometric_interpretation == "MONOCHROME2" else (WHITE - image).astype(np.uint16)

    def letters(self) -> tuple[int, int, NDArray[np.bool_]]:
        """Return the burnt-in letters as a mask, and the row and column where it begins: above, far from the chest."""
        dots = ["  ".join(FONT[letter][line] for letter in self.view) for line in range(7)]
        mask = np.array([[dot == "#" for dot in line] for line in dots])
        scale = max(1, min(self.rows // 70, self.columns // (2 * mask.shape[1])))
        mask = mask.repeat(scale, axis=0).repeat(scale, axis=1)
        margin = 3 * scale
        return margin, margin if self.laterality == "R" else self.columns - margin - mask.shape[1], mask


def _left_breast(rows: int, columns: int, *, with_muscle: bool) -> NDArray[np.uint16]:
    """Draw half an ellipse of uneven tissue on air, with the pectoral muscle above it in an oblique view."""
    y = np.linspace(-1, 1, rows, dtype=np.float32)[:, np.newaxis]
    x = np.linspace(0, 1, columns, dtype=np.float32)[np.newaxis, :]
    centre, reach = (0.15, 0.8) if with_muscle else (0.0, 0.75)
    distance = (x / reach) ** 2 + ((y - centre) / 0.75) ** 2
    random = np.random.default_rng(rows * columns)
    coarse = random.random((17, 15), dtype=np.float32)
    cells = np.ix_(np.arange(rows) * 17 // rows, np.arange(columns) * 15 // columns)
    darkest, brightest = TISSUE
    tissue = darkest + (brightest - darkest) * np.clip(1 - distance, 0, 1) ** 0.5 * (0.7 + 0.3 * coarse[cells])
    image = np.where(distance < 1, tissue, 0.0)
    if with_muscle:
        image = np.where(x / 0.4 + (y + 1) / 1.1 < 1, MUSCLE, image)
    noise = random.integers(0, 16, size=(rows, columns), dtype=np.uint16)
    return image.astype(np.uint16) + noise


def image_of(
    phantom: Phantom, scheduled: Dataset | None = None, *, at: datetime, series: Series | None = None, number: int = 1
) -> Dataset:
    """Return a phantom as a *Digital Mammography X-Ray Image - For Presentation*, Explicit VR Little Endian.

    `scheduled` is the worklist's row of the examination: the image has what it has (and what it lacks is empty, but for
    a Study Instance UID), and nothing else of the patient. `at` is the clinic's time. `series` is what the N-SET
    reports of it; its only image gets this instance number.
    """
    scheduled = scheduled or Dataset()
    series = series or exposed(phantom.view)
    image = Dataset()
    image.PatientName = image.PatientID = image.PatientBirthDate = image.PatientSex = image.AccessionNumber = ""
    for keyword in COPIED:
        if value := scheduled.get(keyword):
            setattr(image, keyword, deepcopy(value))
    image.StudyInstanceUID = image.get("StudyInstanceUID") or generate_uid()
    image.StudyDescription = scheduled.get("RequestedProcedureDescription") or "Phantom"
    image.StudyDate = image.SeriesDate = image.ContentDate = image.AcquisitionDate = f"{at:%Y%m%d}"
    image.StudyTime = image.SeriesTime = image.ContentTime = image.AcquisitionTime = f"{at:%H%M%S}"
    image.StudyID = scheduled.get("RequestedProcedureID") or ""
    image.ReferringPhysicianName = ""
    if request := _request(scheduled):
        image.RequestAttributesSequence = [request]

    image.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    (image.SOPInstanceUID,) = series.images
    image.SeriesInstanceUID = series.uid
    image.SeriesNumber = image.InstanceNumber = number
    image.SeriesDescription, image.ProtocolName = series.description, series.protocol
    image.Modality, image.PresentationIntentType = "MG", "FOR PRESENTATION"
    image.Manufacturer, image.ManufacturerModelName = "Screening gateway", "Phantom"
    image.ImageType = ["ORIGINAL", "PRIMARY"]
    _add_view(image, phantom)
    _add_pixels(image, phantom)
    image.file_meta = FileMetaDataset()
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return image


def image_of_series(performed: Dataset, series: Series, number: int, *, rows: int, columns: int) -> Dataset:
    """Return the image of a series of a performed step, its series of this number: the same whenever it is made.

    `performed` is the Attribute List of the step's N-CREATE.
    """
    (scheduled,) = deepcopy(performed.ScheduledStepAttributesSequence)
    for keyword in COPIED:
        if value := performed.get(keyword):
            setattr(scheduled, keyword, value)
    started = performed.PerformedProcedureStepStartDate + performed.PerformedProcedureStepStartTime
    at = datetime.strptime(started, "%Y%m%d%H%M%S")  # noqa: DTZ007 - wall clock
    return image_of(Phantom(series.description, rows, columns), scheduled, at=at, series=series, number=number)


def _request(scheduled: Dataset) -> Dataset:
    """Return the item of the Request Attributes Sequence (PS3.3 table 10-9)."""
    step = (scheduled.get("ScheduledProcedureStepSequence") or [scheduled])[0]
    item = Dataset()
    for source, keywords in (
        (scheduled, ("AccessionNumber", "StudyInstanceUID", "RequestedProcedureID", "RequestedProcedureDescription")),
        (step, ("ScheduledProcedureStepID", "ScheduledProcedureStepDescription")),
    ):
        for keyword in keywords:
            if value := source.get(keyword):
                setattr(item, keyword, value)
    return item


def _add_view(image: Dataset, phantom: Phantom) -> None:
    """Add what was imaged, and how: DX Anatomy Imaged, Mammography Image, DX Detector (PS3.3 section C.8.11)."""
    image.ImageLaterality, image.ViewPosition = phantom.laterality, phantom.view_position
    image.PatientOrientation = ORIENTATIONS[phantom.view]
    image.AnatomicRegionSequence = [_code(*BREAST)]
    view = _code(*VIEW_CODES[phantom.view_position])
    view.ViewModifierCodeSequence = Sequence()
    image.ViewCodeSequence = [view]
    image.BodyPartExamined = image.OrganExposed = "BREAST"
    image.PositionerType = "MAMMOGRAPHIC"
    image.BreastImplantPresent = "NO"
    image.AcquisitionContextSequence = Sequence()
    image.DetectorType = "DIRECT"
    image.ImagerPixelSpacing = [f"{240 / phantom.rows:.4f}"] * 2  # a detector of 24 cm


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return item


def _add_pixels(image: Dataset, phantom: Phantom) -> None:
    """Add the pixels and how to show them: Image Pixel, DX Image, VOI LUT (PS3.3 sections C.7.6.3, C.8.11.3)."""
    is_inverse = phantom.photometric_interpretation == "MONOCHROME1"
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, phantom.photometric_interpretation
    image.Rows, image.Columns = phantom.rows, phantom.columns
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, BITS_STORED, 11, 0
    image.PixelIntensityRelationship = "LOG"
    image.PixelIntensityRelationshipSign = 1 if is_inverse else -1
    image.RescaleIntercept, image.RescaleSlope, image.RescaleType = 0, 1, "US"
    image.PresentationLUTShape = "INVERSE" if is_inverse else "IDENTITY"
    image.WindowCenter = WHITE + 1 - WINDOW_CENTRE if is_inverse else WINDOW_CENTRE
    image.WindowWidth = WINDOW_WIDTH
    image.LossyImageCompression = "00"
    image.BurnedInAnnotation = "NO"  # the letters do not say who it is
    image.PixelData = phantom.pixels().astype("<u2").tobytes()
