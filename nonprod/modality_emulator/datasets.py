"""Build the N-CREATE and N-SET data sets with which a mammography unit reports a procedure step. Pure.

They have all attributes of types 1 and 2 of PS3.4 table F.7.2-1, as the model modality of PS3.2 sends them. An N-SET
may set only attributes that the N-CREATE has, so values known later are sent zero-length first.
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
#: Type 3: copied only if the row has it.
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


def created(row: Dataset, ae_title: str, at: datetime) -> Dataset:
    """Return the Attribute List of the N-CREATE; the step is unscheduled if the worklist row is empty."""
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
    """Return the Modification List of an intermediate N-SET: all series so far, as an N-SET replaces the sequence."""
    return _set(IN_PROGRESS, series, operator, terms)


def completed(
    series: Sequence[Series], operator: str, terms: list[str], at: datetime, dose: Dose | None = None
) -> Dataset:
    """Return the Modification List of the N-SET that completes a step."""
    return _ended(COMPLETED, series, operator, terms, at, dose)


def discontinued(  # noqa: PLR0913, PLR0917 - all that ends a step
    reason: Reason,
    series: Sequence[Series],
    operator: str,
    terms: list[str],
    at: datetime,
    dose: Dose | None = None,
) -> Dataset:
    """Return the Modification List of the N-SET that discontinues a step.

    It has at least one series, without images if none were taken (table F.7.2-1, note 2).
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
    """Return the item of a series; all its attributes are of type 1 or 2."""
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
    made.EntranceDose = round(dose.entrance_mgy / 100)  # whole dGy; the attribute for mammography is the one in mGy
    made.EntranceDoseInmGy = f"{dose.entrance_mgy:.4g}"
    made.ImageAndFluoroscopyAreaDoseProduct = f"{dose.area_product:.4g}"


def _step_of(row: Dataset) -> Dataset:
    steps = row.get("ScheduledProcedureStepSequence")
    return steps[0] if steps else Dataset()


def _scheduled(row: Dataset, step: Dataset) -> Dataset:
    """Return the item that refers to the scheduled step; without a Study Instance UID, the device makes one."""
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
    """Copy a value; without one, set the attribute zero-length."""
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
    """Return the defined terms of a row's Specific Character Set; an empty list means ASCII."""
    value = row.get("SpecificCharacterSet") or ()
    return [str(term) for term in (value if isinstance(value, MultiValue | tuple) else [value])]


def written_in(made: Dataset, terms: list[str]) -> Dataset:
    """Set the worklist row's character sets, or Unicode if they cannot encode a text.

    An N-SET may differ from its N-CREATE: its character sets do not replace the others (PS3.4 section F.7.2.2.3).
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
    """Yield each component of each text value, including those in sequences."""
    for element in made.iterall():
        if element.VR in ("LO", "LT", "PN", "SH", "ST") and element.value:
            yield from _components(element.value)


def _components(value: Any) -> list[str]:
    """Split a value: each component may use another character set (PS3.5 section 6.1.2.5.3)."""
    return str(value).replace("=", "^").split("^")
