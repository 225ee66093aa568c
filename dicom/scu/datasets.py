"""Build the N-CREATE and N-SET data sets with which a mammography unit reports a procedure step. Pure.

They have all attributes of types 1 and 2 of PS3.4 table F.7.2-1, as the model modality of PS3.2 sends them. An N-SET
may set only attributes that the N-CREATE has, so values known later are sent zero-length first.
"""

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from secrets import randbelow

from pydicom.charset import convert_encodings
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation, generate_uid

IN_PROGRESS, COMPLETED, DISCONTINUED = "IN PROGRESS", "COMPLETED", "DISCONTINUED"
UNICODE = "ISO_IR 192"

#: The item of the Scheduled Step Attributes Sequence copies these from the root of the worklist row or from its step.
SCHEDULED_AT_ROOT = (
    "StudyInstanceUID",
    "ReferencedStudySequence",
    "AccessionNumber",
    "RequestedProcedureID",
    "RequestedProcedureDescription",
)
SCHEDULED_AT_STEP = (
    "ScheduledProcedureStepID",
    "ScheduledProcedureStepDescription",
    "ScheduledProtocolCodeSequence",
)
PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "ReferencedPatientSequence")
#: Zero-length until a later N-SET.
SET_LATER = (
    "PerformedProcedureStepEndDate",
    "PerformedProcedureStepEndTime",
    "CommentsOnThePerformedProcedureStep",
    "PerformedProcedureStepDiscontinuationReasonCodeSequence",
    "PerformedProtocolCodeSequence",
    "PerformedSeriesSequence",
    "TotalNumberOfExposures",
    "EntranceDose",
    "EntranceDoseInmGy",
    "ImageAndFluoroscopyAreaDoseProduct",
    "CommentsOnRadiationDose",
)
#: Type 2, and not in a worklist.
EMPTY = ("PerformedStationName", "PerformedLocation")


@dataclass(frozen=True)
class Series:
    """One series of images in the Performed Series Sequence."""

    description: str
    protocol: str
    images: tuple[str, ...]
    uid: str = field(default_factory=generate_uid)


def exposed(view: str) -> Series:
    """Return a series with one new image; its view, such as `R CC`, is description and protocol."""
    return Series(view, view, (generate_uid(),))


#: The four views of screening.
VIEWS = ("R CC", "L CC", "R MLO", "L MLO")


@dataclass(frozen=True)
class Dose:
    """The dose of a whole step: mean entrance dose in mGy, area dose product in dGy·cm² (PS3.3 section C.4.16)."""

    entrance_mgy: float
    area_product: float

    @classmethod
    def of(cls, exposures: int) -> "Dose":
        """Return the dose of this many usual exposures: 5.1 mGy each on 18 by 24 cm."""
        return cls(5.1 if exposures else 0.0, exposures * 5.1 / 100 * 18 * 24)


def step_identifier(accession_number: str) -> Dataset:
    """Return the identifier of a query for one accession number, with all return keys that `created` copies."""
    identifier, step = Dataset(), Dataset()
    for keyword in ("SpecificCharacterSet", *PATIENT, *SCHEDULED_AT_ROOT, "RequestedProcedureCodeSequence"):
        _set_empty(identifier, keyword)
    for keyword in (*SCHEDULED_AT_STEP, "Modality"):
        _set_empty(step, keyword)
    identifier.AccessionNumber = accession_number
    identifier.ScheduledProcedureStepSequence = [step]
    return identifier


def created(row: Dataset, ae_title: str, at: datetime) -> Dataset:
    """Return the Attribute List of the N-CREATE; the step is unscheduled if the worklist row is empty."""
    step = (row.get("ScheduledProcedureStepSequence") or [Dataset()])[0]
    scheduled = Dataset()
    for keyword in SCHEDULED_AT_ROOT:
        _copy(row, keyword, scheduled)
    for keyword in SCHEDULED_AT_STEP:
        _copy(step, keyword, scheduled)
    if row.get("RequestedProcedureCodeSequence"):  # type 3: only if the row has it
        _copy(row, "RequestedProcedureCodeSequence", scheduled)
    scheduled.StudyInstanceUID = scheduled.StudyInstanceUID or generate_uid()

    made = Dataset()
    made.ScheduledStepAttributesSequence = [scheduled]
    for keyword in PATIENT:
        _copy(row, keyword, made)
    for keyword in (*EMPTY, *SET_LATER):
        _set_empty(made, keyword)
    made.PerformedProcedureStepID = f"P{at:%y%m%d%H%M%S}{randbelow(1000):03}"
    made.PerformedStationAETitle = ae_title
    made.PerformedProcedureStepStartDate, made.PerformedProcedureStepStartTime = f"{at:%Y%m%d}", f"{at:%H%M%S}"
    made.PerformedProcedureStepStatus = IN_PROGRESS
    _copy(step, "ScheduledProcedureStepDescription", made, "PerformedProcedureStepDescription")
    _copy(row, "RequestedProcedureDescription", made, "PerformedProcedureTypeDescription")
    _copy(row, "RequestedProcedureCodeSequence", made, "ProcedureCodeSequence")
    _copy(row, "RequestedProcedureID", made, "StudyID")
    made.Modality = step.get("Modality") or "MG"
    _set_character_sets(made, character_sets(row))
    return made


def modified(status: str, series: Iterable[Series], operator: str, terms: list[str]) -> Dataset:
    """Return the Modification List of an N-SET: the status and all series so far, as an N-SET replaces the sequence.

    `terms` are the defined terms of the N-CREATE's character sets.
    """
    made = Dataset()
    made.PerformedProcedureStepStatus = status
    made.PerformedSeriesSequence = []
    for one in series:  # all attributes of its item are of type 1 or 2
        item = Dataset()
        item.OperatorsName = operator
        item.SeriesDescription, item.ProtocolName = one.description, one.protocol
        item.SeriesInstanceUID = one.uid
        item.ReferencedImageSequence = []
        for uid in one.images:
            image = Dataset()
            image.ReferencedSOPClassUID = DigitalMammographyXRayImageStorageForPresentation
            image.ReferencedSOPInstanceUID = uid
            item.ReferencedImageSequence.append(image)
        for keyword in ("PerformingPhysicianName", "RetrieveAETitle", "ReferencedNonImageCompositeSOPInstanceSequence"):
            _set_empty(item, keyword)
        made.PerformedSeriesSequence.append(item)
    _set_character_sets(made, terms)
    return made


def add_end(changes: Dataset, at: datetime, exposures: int, dose: Dose | None) -> None:
    """Add to the Modification List what a final N-SET reports as well: the time and the dose."""
    dose = dose or Dose.of(exposures)
    changes.PerformedProcedureStepEndDate, changes.PerformedProcedureStepEndTime = f"{at:%Y%m%d}", f"{at:%H%M%S}"
    changes.TotalNumberOfExposures = exposures
    changes.EntranceDose = round(dose.entrance_mgy / 100)  # whole dGy; the attribute for mammography is the one in mGy
    changes.EntranceDoseInmGy = f"{dose.entrance_mgy:.4g}"
    changes.ImageAndFluoroscopyAreaDoseProduct = f"{dose.area_product:.4g}"


def _copy(source: Dataset, keyword: str, target: Dataset, target_keyword: str = "") -> None:
    """Copy a value; without one, set the attribute zero-length."""
    value = source.get(keyword)
    if value:
        setattr(target, target_keyword or keyword, deepcopy(value))
    else:
        _set_empty(target, target_keyword or keyword)


def _set_empty(target: Dataset, keyword: str) -> None:
    setattr(target, keyword, [] if dictionary_VR(keyword) == "SQ" else None)


# Reasons for discontinuation (PS3.16 CID 9300) ------------------------------------------------------------------------


class UnknownReason(ValueError):
    """No reason or several reasons match; the text lists them."""


@dataclass(frozen=True)
class Reason:
    """A coded reason."""

    code: str
    meaning: str

    def item(self) -> Dataset:
        """Return the reason as the item of a code sequence."""
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = self.code, "DCM", self.meaning
        return item


UNSPECIFIED = Reason("110513", "Discontinued for unspecified reason")
REASONS = (
    UNSPECIFIED,
    Reason("110500", "Doctor canceled procedure"),
    Reason("110501", "Equipment failure"),
    Reason("110502", "Incorrect procedure ordered"),
    Reason("110504", "Patient died"),
    Reason("110505", "Patient refused to continue procedure"),
    Reason("110506", "Patient taken for treatment or surgery"),
    Reason("110507", "Patient did not arrive"),
    Reason("110508", "Patient pregnant"),
    Reason("110509", "Change of procedure for correct charging"),
    Reason("110510", "Duplicate order"),
    Reason("110511", "Nursing unit cancel"),
    Reason("110512", "Incorrect side ordered"),
    Reason("110514", "Incorrect worklist entry selected"),
    Reason("110515", "Patient condition prevented continuing"),
    Reason("110516", "Equipment change"),
)


def reason_named(text: str) -> Reason:
    """Return the reason with this code, or the only one whose meaning contains the text; raises UnknownReason."""
    words = text.strip().lower()
    found = [reason for reason in REASONS if words and (words == reason.code or words in reason.meaning.lower())]
    if len(found) != 1:
        problem = f"{len(found)} reasons match {text!r}" if found else f"no reason matches {text!r}"
        raise UnknownReason(f"{problem}: {'; '.join(f'{one.code} {one.meaning}' for one in found or REASONS)}")
    return found[0]


# Character sets -------------------------------------------------------------------------------------------------------


def character_sets(row: Dataset) -> list[str]:
    """Return the defined terms of a row's Specific Character Set; an empty list means ASCII."""
    value = row.get("SpecificCharacterSet") or ()
    return [str(term) for term in (value if isinstance(value, MultiValue | tuple) else [value])]


def _set_character_sets(made: Dataset, terms: list[str]) -> None:
    """Set the worklist row's character sets, or Unicode if they cannot encode a text.

    An N-SET may differ from its N-CREATE: its character sets do not replace the others (PS3.4 section F.7.2.2.3).
    """
    texts = [
        component
        for element in made.iterall()
        if element.VR in ("LO", "LT", "PN", "SH", "ST") and element.value
        # Each component may use another of the character sets (PS3.5 section 6.1.2.5.3).
        for component in str(element.value).replace("=", "^").split("^")
        if not component.isascii()
    ]
    encodings = convert_encodings(terms) if terms and texts else []
    chosen = terms if all(any(_can_encode(name, text) for name in encodings) for text in texts) else [UNICODE]
    if chosen:
        made.SpecificCharacterSet = chosen if len(chosen) > 1 else chosen[0]


def _can_encode(encoding: str, text: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeError, LookupError):
        return False
    return True
