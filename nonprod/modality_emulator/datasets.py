"""Owns what a mammography unit says of a procedure step that it performs: the data sets of N-CREATE and N-SET. Pure.

PS3.4 table F.7.2-1: all attributes of types 1 and 2, as the model modality of PS3.2 sends them. What is only known at
the end is there from the beginning, zero-length, as an N-SET may set only what was created.
"""

from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from secrets import randbelow
from typing import Any

from pydicom.charset import convert_encodings
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation, generate_uid

from nonprod.modality_emulator.reasons import Reason

IN_PROGRESS, COMPLETED, DISCONTINUED = "IN PROGRESS", "COMPLETED", "DISCONTINUED"
UNICODE = "ISO_IR 192"

#: Of the Scheduled Step Attributes Sequence's item: from the root of the worklist row, and from its step.
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
#: Type 3: there only where the row has it.
SCHEDULED_IF_THERE = ("RequestedProcedureCodeSequence",)
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
#: Type 2, and nothing that a worklist knows.
EMPTY = ("PerformedStationName", "PerformedLocation")


@dataclass(frozen=True)
class Series:
    """One series of images, as a step's final N-SET lists it."""

    description: str
    protocol: str
    images: tuple[str, ...]
    uid: str = field(default_factory=generate_uid)


def exposed(view: str) -> Series:
    """The series of one new exposure: its view, such as `R CC`, is description and protocol, and it has one image."""
    return Series(view, view, (generate_uid(),))


#: What screening takes of both breasts.
VIEWS = ("R CC", "L CC", "R MLO", "L MLO")


@dataclass(frozen=True)
class Dose:
    """The radiation of a whole step: mGy at the skin, on the average, and dGy·cm² (PS3.3 section C.4.16)."""

    entrance_mgy: float
    area_product: float

    @classmethod
    def of(cls, exposures: int) -> "Dose":
        """Of so many usual exposures: 5.1 mGy each, on 18 by 24 cm."""
        return cls(5.1 if exposures else 0.0, exposures * 5.1 / 100 * 18 * 24)


def created(row: Dataset, ae_title: str, at: datetime) -> Dataset:
    """The Attribute List of the N-CREATE: of a step of the worklist row; of an unscheduled one where that is empty."""
    step = _step_of(row)
    made = Dataset()
    made.ScheduledStepAttributesSequence = [_scheduled(row, step)]
    for keyword in PATIENT:
        _copy(row, keyword, made)
    for keyword in (*EMPTY, *SET_LATER):
        _set_empty(made, keyword)
    made.PerformedProcedureStepID = f"P{at:%y%m%d%H%M%S}{randbelow(1000):03}"
    made.PerformedStationAETitle = ae_title
    made.PerformedProcedureStepStartDate, made.PerformedProcedureStepStartTime = _date_and_time(at)
    made.PerformedProcedureStepStatus = IN_PROGRESS
    _copy(step, "ScheduledProcedureStepDescription", made, "PerformedProcedureStepDescription")
    _copy(row, "RequestedProcedureDescription", made, "PerformedProcedureTypeDescription")
    _copy(row, "RequestedProcedureCodeSequence", made, "ProcedureCodeSequence")
    _copy(row, "RequestedProcedureID", made, "StudyID")
    made.Modality = step.get("Modality") or "MG"
    return written_in(made, character_sets(row))


def progressed(series: Iterable[Series], operator: str, terms: list[str]) -> Dataset:
    """The Modification List of an N-SET on the way: all series so far, as a sequence is replaced whole."""
    return _set(IN_PROGRESS, series, operator, terms)


def completed(
    series: Sequence[Series], operator: str, terms: list[str], at: datetime, dose: Dose | None = None
) -> Dataset:
    """The Modification List of the N-SET that ends a step well."""
    return _ended(COMPLETED, series, operator, terms, at, dose)


def discontinued(  # noqa: PLR0913, PLR0917 - all that ends a step
    reason: Reason,
    series: Sequence[Series],
    operator: str,
    terms: list[str],
    at: datetime,
    dose: Dose | None = None,
) -> Dataset:
    """The Modification List of the N-SET that ends a step early.

    One series at least, without an image where none was made (table F.7.2-1, note 2).
    """
    listed = series or [Series("None", "None", ())]
    made = _ended(DISCONTINUED, listed, operator, terms, at, dose)
    made.PerformedProcedureStepDiscontinuationReasonCodeSequence = [reason.item()]
    return made


def _ended(  # noqa: PLR0913, PLR0917 - see `discontinued`
    status: str, series: Sequence[Series], operator: str, terms: list[str], at: datetime, dose: Dose | None
) -> Dataset:
    made = _set(status, series, operator, terms)
    made.PerformedProcedureStepEndDate, made.PerformedProcedureStepEndTime = _date_and_time(at)
    _add_dose(made, series, dose)
    return made


def _set(status: str, series: Iterable[Series], operator: str, terms: list[str]) -> Dataset:
    made = Dataset()
    made.PerformedProcedureStepStatus = status
    made.PerformedSeriesSequence = [_series(one, operator) for one in series]
    return written_in(made, terms)


def _series(series: Series, operator: str) -> Dataset:
    """All of its attributes are of type 1 or 2."""
    made = Dataset()
    made.OperatorsName = operator
    made.SeriesDescription, made.ProtocolName = series.description, series.protocol
    made.SeriesInstanceUID = series.uid
    made.ReferencedImageSequence = [_reference(image) for image in series.images]
    for keyword in ("PerformingPhysicianName", "RetrieveAETitle", "ReferencedNonImageCompositeSOPInstanceSequence"):
        _set_empty(made, keyword)
    return made


def _reference(image: str) -> Dataset:
    made = Dataset()
    made.ReferencedSOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    made.ReferencedSOPInstanceUID = image
    return made


def _add_dose(made: Dataset, series: Sequence[Series], dose: Dose | None) -> None:
    exposures = sum(len(one.images) for one in series)
    dose = dose or Dose.of(exposures)
    made.TotalNumberOfExposures = exposures
    made.EntranceDose = round(dose.entrance_mgy / 100)  # dGy, whole ones: mammography's own is in mGy
    made.EntranceDoseInmGy = f"{dose.entrance_mgy:.4g}"
    made.ImageAndFluoroscopyAreaDoseProduct = f"{dose.area_product:.4g}"


def _step_of(row: Dataset) -> Dataset:
    steps = row.get("ScheduledProcedureStepSequence")
    return steps[0] if steps else Dataset()


def _scheduled(row: Dataset, step: Dataset) -> Dataset:
    """What was scheduled, as the worklist said it; a study of the device's own where it said none."""
    item = Dataset()
    for keyword in SCHEDULED_AT_ROOT:
        _copy(row, keyword, item)
    for keyword in SCHEDULED_AT_STEP:
        _copy(step, keyword, item)
    for keyword in SCHEDULED_IF_THERE:
        if row.get(keyword):
            _copy(row, keyword, item)
    item.StudyInstanceUID = item.StudyInstanceUID or generate_uid()
    return item


def _copy(source: Dataset, keyword: str, target: Dataset, target_keyword: str = "") -> None:
    """The value, zero-length where there is none."""
    value = source.get(keyword)
    if value:
        setattr(target, target_keyword or keyword, deepcopy(value))
    else:
        _set_empty(target, target_keyword or keyword)


def _set_empty(target: Dataset, keyword: str) -> None:
    setattr(target, keyword, [] if dictionary_VR(keyword) == "SQ" else None)


def _date_and_time(at: datetime) -> tuple[str, str]:
    return f"{at:%Y%m%d}", f"{at:%H%M%S}"


# Character sets -------------------------------------------------------------------------------------------------------


def character_sets(row: Dataset) -> list[str]:
    """The defined terms of a worklist row's character sets; none where it is in ASCII."""
    value = row.get("SpecificCharacterSet") or ()
    return [str(term) for term in (value if isinstance(value, MultiValue | tuple) else [value])]


def written_in(made: Dataset, terms: list[str]) -> Dataset:
    """The data set, in the character sets of the worklist row; in Unicode what these do not hold.

    Of an N-SET that is allowed: its character sets do not replace those of the N-CREATE (PS3.4 section F.7.2.2.3).
    """
    chosen = terms if all(_holds(terms, text) for text in texts_of(made)) else [UNICODE]
    if chosen:
        made.SpecificCharacterSet = chosen if len(chosen) > 1 else chosen[0]
    return made


def _holds(terms: list[str], text: str) -> bool:
    return text.isascii() or (bool(terms) and any(_can_be_encoded(text, name) for name in convert_encodings(terms)))


def _can_be_encoded(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeError, LookupError):
        return False
    return True


def texts_of(made: Dataset) -> Iterator[str]:
    """Each component of each value that may be text: names and texts, sequences included."""
    for element in made.iterall():
        if element.VR in ("LO", "LT", "PN", "SH", "ST") and element.value:
            yield from _components(element.value)


def _components(value: Any) -> list[str]:
    """A component for itself may be in another character set than the next (PS3.5 section 6.1.2.5.3)."""
    return str(value).replace("=", "^").split("^")
