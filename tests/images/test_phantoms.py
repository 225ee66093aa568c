"""Phantoms are complete images, with letters that tell the view and a window that shows the tissue."""

from datetime import datetime
from io import BytesIO

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from dicom.scu import VIEWS
from images.phantoms import WHITE, WINDOW_CENTRE, WINDOW_WIDTH, Phantom, image_of

AT = datetime(2026, 11, 28, 14, 30)
SMALL = (287, 239)


def worklist_row() -> Dataset:
    row = Dataset()
    row.SpecificCharacterSet = "ISO_IR 192"
    row.PatientName, row.PatientID = "O'BRIEN-ŁUKASZ^ZOË", "9990000018"
    row.PatientBirthDate, row.PatientSex, row.PatientAddress = "19700321", "F", "1 High Street"
    row.AccessionNumber, row.StudyInstanceUID, row.RequestedProcedureID = "ACC1", "1.2.3", "RP1"
    step = Dataset()
    step.ScheduledProcedureStepID = "SPS1"
    row.ScheduledProcedureStepSequence = [step]
    return row


@pytest.mark.parametrize("view", VIEWS)
def test_the_letters_are_where_the_breast_is_not(view: str) -> None:
    phantom = Phantom(view, *SMALL)
    pixels = phantom.pixels()
    top, left, letters = phantom.letters()
    box = pixels[top : top + letters.shape[0], left : left + letters.shape[1]]
    assert (box[letters] == WHITE).all()
    assert (box[~letters] < 16).all()  # air and its noise


def test_the_right_breast_has_its_chest_wall_at_the_right() -> None:
    for view, is_left in (("R CC", False), ("L MLO", True)):
        middle = Phantom(view, *SMALL).pixels()[143]
        assert bool(middle[:20].mean() > middle[-20:].mean()) == is_left


def test_monochrome1_is_the_inverse() -> None:
    bright_is_high = Phantom("L CC", *SMALL).pixels()
    bright_is_low = Phantom("L CC", *SMALL, "MONOCHROME1").pixels()
    assert (bright_is_high + bright_is_low == WHITE).all()


@pytest.mark.parametrize("photometric_interpretation", ["MONOCHROME1", "MONOCHROME2"])
def test_the_window_spans_the_tissue_and_not_the_letters(photometric_interpretation: str) -> None:
    image = image_of(Phantom("L MLO", *SMALL, photometric_interpretation), at=AT)
    lowest = image.WindowCenter - 0.5 - (image.WindowWidth - 1) / 2  # PS3.3 section C.11.2.1.2.1
    highest = image.WindowCenter - 0.5 + (image.WindowWidth - 1) / 2
    values = image.pixel_array[:, :40]
    if photometric_interpretation == "MONOCHROME1":
        lowest, highest, values = WHITE - highest, WHITE - lowest, WHITE - values
    tissue = values[values > 100]
    assert lowest == WINDOW_CENTRE - 0.5 - (WINDOW_WIDTH - 1) / 2
    assert lowest < tissue.min() < tissue.max() < highest < WHITE


def test_an_image_names_the_patient_as_the_worklist_does_and_nothing_more() -> None:
    image = image_of(Phantom("R MLO", *SMALL), worklist_row(), at=AT)
    written = BytesIO()
    image.save_as(written, enforce_file_format=True)
    read = dcmread(BytesIO(written.getvalue()))
    assert (read.PatientName, read.PatientID) == ("O'BRIEN-ŁUKASZ^ZOË", "9990000018")
    assert (read.AccessionNumber, read.StudyInstanceUID) == ("ACC1", "1.2.3")
    (request,) = read.RequestAttributesSequence
    assert (request.AccessionNumber, request.ScheduledProcedureStepID) == ("ACC1", "SPS1")
    assert "PatientAddress" not in read
    assert (read.ImageLaterality, read.ViewPosition) == ("R", "MLO")
    assert np.array_equal(read.pixel_array, Phantom("R MLO", *SMALL).pixels())


def test_an_image_without_a_worklist_has_uids_of_its_own() -> None:
    one, other = (image_of(Phantom("L CC", *SMALL), at=AT) for _ in range(2))
    assert one.StudyInstanceUID != other.StudyInstanceUID
    assert one.SOPInstanceUID != other.SOPInstanceUID
    assert one.PatientID == one.AccessionNumber == ""
    assert "RequestAttributesSequence" not in one
