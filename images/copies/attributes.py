"""Write a copy as a Part 10 file, with the attributes that Manage reads; of the patient it has only the Patient ID.

Manage counts images by SOP Instance UID, so a copy keeps the UIDs of its original. PS3.3 C.7.6.1.1.2 would give it a
UID of its own, as its pixels differ. A copy is therefore for Manage alone, and never for an archive.
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
#: What else Manage reads. A copy has nothing else of the original.
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
#: What is read from the original's header to write a copy.
KEYWORDS = (*UIDS, *DESCRIPTIVE, "ViewCodeSequence", "SpecificCharacterSet", "ImageType")
#: Frame Laterality, which an enhanced image, such as a tomosynthesis, has instead (PS3.3 C.7.6.16.2.8).
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


def part_10_file(original: Original, pixels: NDArray[Any], codestream: bytes) -> bytes:
    """Return the copy of an original as a file (PS3.10), with the JPEG 2000 codestream that `pixels` were encoded to.

    Raise CannotCopy if the original lacks one of UIDS.
    """
    header, copy = original.header, Dataset()
    copy.SpecificCharacterSet = "ISO_IR 192"
    # Derived from other pixels, and not made by the examination (PS3.3 C.7.6.1.1.2).
    copy.ImageType = ["DERIVED", "SECONDARY"]
    with suppress(Exception):
        copy.ImageType = ["DERIVED", "SECONDARY", *list(_valid(header, "ImageType", multiple=True).value)[2:]]
    for keyword in UIDS:
        copy.add(_uid(header, keyword))
    for keyword in DESCRIPTIVE:
        with suppress(Exception):  # a missing value, or one that DICOM does not allow, is left out
            copy.add(_valid(header, keyword))
    if "ImageLaterality" not in copy and (laterality := original.find("FrameLaterality")) in LATERALITIES:
        copy.ImageLaterality = laterality
    with suppress(Exception):
        if "ViewPosition" not in copy:
            copy.ViewPosition = VIEW_POSITIONS[header.ViewCodeSequence[0].CodeValue]
    _describe_pixels(copy, header, pixels)
    _add_lossy_compression(copy, header, len(codestream))
    copy.PixelData = encapsulate([codestream])
    copy["PixelData"].VR = "OB"
    copy.file_meta = FileMetaDataset()
    copy.file_meta.TransferSyntaxUID = JPEG2000
    file = BytesIO()
    dcmwrite(file, copy, enforce_file_format=True)
    return file.getvalue()


def _uid(header: Dataset, keyword: str) -> DataElement:
    """Return a UID unchecked: some units make UIDs that break the rules, and Manage takes them."""
    value = header.get(keyword)
    if not value or isinstance(value, MultiValue):
        raise CannotCopy(f"its {keyword} is missing")
    return DataElement(tag_for_keyword(keyword) or 0, "UI", str(value), validation_mode=config.IGNORE)


def _valid(header: Dataset, keyword: str, *, multiple: bool = False) -> DataElement:
    """Return an element of the header; raise some exception if it is missing or not valid.

    Spaces around a text mean nothing in any of these VRs (PS3.5 6.2), and Manage would count them.
    """
    value = header[keyword].value
    value = value.strip(" ") if isinstance(value, str) else value
    if value in (None, "") or isinstance(value, MultiValue) != multiple:
        raise ValueError("its number of values is wrong")
    return DataElement(tag_for_keyword(keyword) or 0, dictionary_VR(keyword), value, validation_mode=config.RAISE)


def _describe_pixels(copy: Dataset, header: Dataset, pixels: NDArray[Any]) -> None:
    """Describe pixels of 8 bits that are shown as they are, without a window (PS3.3 C.7.6.3).

    In MONOCHROME1 the least value is white, and Presentation LUT Shape is then INVERSE (PS3.3 C.8.11.3.1.2).
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


def _add_lossy_compression(copy: Dataset, header: Dataset, length: int) -> None:
    """Add this lossy compression to those that the original has been through (PS3.3 C.7.6.1.1.5)."""
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
