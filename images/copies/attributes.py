"""Choose what goes to Manage besides the pixels: the attributes that it reads, and of the patient the Patient ID alone.

Manage counts images by SOP Instance UID, so a copy keeps the UIDs of its original, although it is another image, which
by PS3.3 C.7.6.1.1.2 would have a UID of its own. A copy is therefore for Manage alone, and never for an archive.
"""

from contextlib import suppress
from io import BytesIO
from typing import Any

from numpy.typing import NDArray
from pydicom import DataElement, Dataset, config, dcmwrite
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.multival import MultiValue
from pydicom.uid import JPEG2000

from images.copies import CannotCopy
from images.copies.original import Original

#: Without these Manage takes no image.
UIDS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
#: What Manage reads besides them. Everything else in the original is left out.
DESCRIPTIVE = (
    "PatientID",
    "StudyDate",
    "StudyTime",
    "StudyDescription",
    "Modality",
    "SeriesNumber",
    "InstanceNumber",
    "ImageLaterality",
    "ViewPosition",
    "BreastImplantPresent",
)
#: All that is read of the original's header for this.
KEYWORDS = (*UIDS, *DESCRIPTIVE, "ViewCodeSequence", "SpecificCharacterSet", "ImageType")
#: Of a frame of an enhanced image, such as a tomosynthesis, which has no Image Laterality (PS3.3 C.7.6.16.2.8).
LATERALITIES = {"L", "R", "B"}
#: View Position may be missing from a mammogram, View Code Sequence may not (PS3.3 C.8.11.7). The codes are those of
#: SNOMED CT, and of SNOMED RT, which older units send (PS3.16 CID 4014).
VIEW_POSITIONS = {
    "399162004": "CC",
    "399368009": "MLO",
    "399260004": "ML",
    "399352003": "LM",
    "R-10242": "CC",
    "R-10226": "MLO",
    "R-10224": "ML",
    "R-10228": "LM",
}
METHOD = "ISO_15444_1"


def with_attributes(original: Original, pixels: NDArray[Any], codestream: bytes) -> bytes:
    """Return a Part 10 file of the original's attributes and the JPEG 2000 codestream that `pixels` were encoded to."""
    header, copy = original.header, Dataset()
    copy.SpecificCharacterSet = "ISO_IR 192"
    copy.ImageType = _image_type(header)
    for keyword in UIDS:
        copy.add(_uid(header, keyword))
    for keyword in DESCRIPTIVE:
        with suppress(Exception):  # a value that DICOM does not allow is left out, whatever pydicom thinks of it
            copy.add(_valid(header, keyword))
    if "ImageLaterality" not in copy and (laterality := original.find("FrameLaterality")) in LATERALITIES:
        copy.ImageLaterality = laterality
    with suppress(Exception):
        if "ViewPosition" not in copy:
            copy.ViewPosition = VIEW_POSITIONS[header.ViewCodeSequence[0].CodeValue]
    _describe_pixels(copy, header, pixels)
    _say_that_it_is_lossy(copy, header, len(codestream))
    copy.PixelData = encapsulate([codestream])
    copy["PixelData"].VR = "OB"
    copy.file_meta = FileMetaDataset()
    copy.file_meta.TransferSyntaxUID = JPEG2000
    file = BytesIO()
    dcmwrite(file, copy, enforce_file_format=True)
    return file.getvalue()


def _image_type(header: Dataset) -> list[str]:
    """Return Image Type: derived from other pixels, and not made by the examination (PS3.3 C.7.6.1.1.2)."""
    with suppress(Exception):
        kept = list(_valid(header, "ImageType", multiple=True).value)[2:]
        return ["DERIVED", "SECONDARY", *kept]
    return ["DERIVED", "SECONDARY"]


def _uid(header: Dataset, keyword: str) -> DataElement:
    """Return a UID as it is, for some units make UIDs that break the rules, and Manage takes these."""
    value = header.get(keyword)
    if not value or isinstance(value, MultiValue):
        raise CannotCopy(f"its {keyword} is missing")
    return DataElement(tag_for_keyword(keyword) or 0, "UI", str(value), validation_mode=config.IGNORE)


def _valid(header: Dataset, keyword: str, *, multiple: bool = False) -> DataElement:
    """Return a valid element of the header, or raise an exception."""
    value = header[keyword].value
    if value in (None, "") or isinstance(value, MultiValue) != multiple:
        raise ValueError("its number of values is wrong")
    return DataElement(tag_for_keyword(keyword) or 0, dictionary_VR(keyword), value, validation_mode=config.RAISE)


def _describe_pixels(copy: Dataset, header: Dataset, pixels: NDArray[Any]) -> None:
    """Describe pixels of 8 bits to which nothing is to be applied but what MONOCHROME1 asks for (PS3.3 C.7.6.3).

    With MONOCHROME1 the least value is white, which Presentation LUT Shape says by INVERSE (PS3.3 C.8.11.3.1.2).
    """
    is_inverse = header.PhotometricInterpretation == "MONOCHROME1"
    copy.SamplesPerPixel = 1
    copy.PhotometricInterpretation = "MONOCHROME1" if is_inverse else "MONOCHROME2"
    copy.PresentationLUTShape = "INVERSE" if is_inverse else "IDENTITY"
    copy.Rows, copy.Columns = pixels.shape
    copy.BitsAllocated = copy.BitsStored = 8
    copy.HighBit = 7
    copy.PixelRepresentation = 0
    copy.DerivationDescription = "Preview: window applied, averaged to fewer pixels, 8 bits, JPEG 2000"


def _say_that_it_is_lossy(copy: Dataset, header: Dataset, length: int) -> None:
    """Add this compression to those that the original has been through (PS3.3 C.7.6.1.1.5)."""
    ratios, methods = (_values(header, f"LossyImageCompression{each}") for each in ("Ratio", "Method"))
    if header.get("LossyImageCompression") != "01" or len(ratios) != len(methods):
        ratios, methods = [], []
    copy.LossyImageCompression = "01"
    copy.LossyImageCompressionRatio = [*ratios, f"{copy.Rows * copy.Columns / length:.2f}"]
    copy.LossyImageCompressionMethod = [*methods, METHOD]


def _values(header: Dataset, keyword: str) -> list[str]:
    with suppress(Exception):
        value = header[keyword].value
        return [str(each) for each in (value if isinstance(value, MultiValue) else [value])]
    return []
