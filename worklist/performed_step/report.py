"""Check and read the reports of modalities, the data sets of N-CREATE and N-SET (PS3.4 table F.7.2-1). Pure.

If a report is refused, nobody learns that a patient was imaged; accepting one costs nothing. So a report is refused
only if nothing can be made of it. Other faults are flagged, for a person to look at. From a strict modality, every
fault is refused.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, time
from enum import Enum
from typing import Any

from pydicom.charset import convert_encodings
from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

from core import value_representations as vr
from core.contract import FINAL, STEP_STATUSES, ItemStatus
from dicom.unreadable import UNREADABLE
from worklist.performed_step.identity import PatientIdentity, ScheduledStep, family_name

STATUS = "PerformedProcedureStepStatus"
SCHEDULED_STEPS = "ScheduledStepAttributesSequence"
SERIES = "PerformedSeriesSequence"
END = ("PerformedProcedureStepEndDate", "PerformedProcedureStepEndTime")
CHARACTER_SET = "SpecificCharacterSet"
UNICODE = "ISO_IR 192"
#: How deep sequences may be nested; the standard nests four.
MAX_DEPTH = 16


@dataclass(frozen=True)
class Requirement:
    """One row of table F.7.2-1: the type of an attribute in N-CREATE for the SCP, and whether N-SET may change it."""

    keyword: str
    on_create: str
    may_be_set: bool = False


#: Attributes outside this table are of type 3 and may be set: dose, film, billing.
TABLE_F_7_2_1 = (
    Requirement(SCHEDULED_STEPS, "1"),
    Requirement("PatientName", "2"),
    Requirement("PatientID", "2"),
    Requirement("PatientBirthDate", "2"),
    Requirement("PatientSex", "2"),
    Requirement("ReferencedPatientSequence", "2"),
    Requirement("AdmissionID", "3"),
    Requirement("IssuerOfAdmissionIDSequence", "3"),
    Requirement("ServiceEpisodeID", "3"),
    Requirement("IssuerOfServiceEpisodeIDSequence", "3"),
    Requirement("ServiceEpisodeDescription", "3"),
    Requirement("PerformedProcedureStepID", "1"),
    Requirement("PerformedStationAETitle", "1"),
    Requirement("PerformedStationName", "2"),
    Requirement("PerformedLocation", "2"),
    Requirement("PerformedProcedureStepStartDate", "1"),
    Requirement("PerformedProcedureStepStartTime", "1"),
    Requirement(STATUS, "1", may_be_set=True),
    Requirement("PerformedProcedureStepDescription", "2", may_be_set=True),
    Requirement("PerformedProcedureTypeDescription", "2", may_be_set=True),
    Requirement("ProcedureCodeSequence", "2", may_be_set=True),
    Requirement("PerformedProcedureStepEndDate", "2", may_be_set=True),
    Requirement("PerformedProcedureStepEndTime", "2", may_be_set=True),
    Requirement("CommentsOnThePerformedProcedureStep", "3", may_be_set=True),
    Requirement("PerformedProcedureStepDiscontinuationReasonCodeSequence", "3", may_be_set=True),
    Requirement("Modality", "1"),
    Requirement("StudyID", "2"),
    Requirement("PerformedProtocolCodeSequence", "2", may_be_set=True),
    Requirement(SERIES, "2", may_be_set=True),
)
#: Not part of the report: the command names the instance, and the character set is only how the text is encoded.
IGNORED = frozenset({"SOPClassUID", "SOPInstanceUID", CHARACTER_SET})
#: Without these even a lenient N-CREATE is refused.
INDISPENSABLE = frozenset({STATUS, SCHEDULED_STEPS})
REQUIRED = tuple(row.keyword for row in TABLE_F_7_2_1 if row.on_create == "1")
FIXED = frozenset(row.keyword for row in TABLE_F_7_2_1 if not row.may_be_set)
DATES_AND_TIMES: dict[str, Callable[[str], date | time]] = {
    "PerformedProcedureStepStartDate": vr.parse_da,
    "PerformedProcedureStepStartTime": vr.parse_tm,
    "PerformedProcedureStepEndDate": vr.parse_da,
    "PerformedProcedureStepEndTime": vr.parse_tm,
}
#: The attributes of the dose, each in its own unit.
DOSE = (
    "ImageAndFluoroscopyAreaDoseProduct",
    "EntranceDose",
    "EntranceDoseInmGy",
    "TotalNumberOfExposures",
    "TotalTimeOfFluoroscopy",
    "DistanceSourceToDetector",
)


class AttributeFault(Enum):
    """What can be wrong with an attribute; each has a status in PS3.7 annex C."""

    MISSING = "is missing"
    WITHOUT_VALUE = "has no value"
    INVALID = "has an invalid value"
    UNKNOWN = "cannot be set"


@dataclass
class ReportRefused(Exception):
    """The report is refused because of a fault in these attributes; without any, in all of them."""

    fault: AttributeFault
    keywords: tuple[str, ...]

    def __str__(self) -> str:
        return f"{', '.join(self.keywords) or 'Every attribute'} {self.fault.value}"

    @property
    def tags(self) -> list[int]:
        """The tags of the attributes; an unknown keyword has none."""
        return [tag for keyword in self.keywords if (tag := tag_for_keyword(keyword)) is not None]


# Reading --------------------------------------------------------------------------------------------------------------


def decode_report(received: Dataset, character_set: Any = None) -> tuple[Dataset, list[str]]:
    """Return the data set in Unicode without its unreadable elements, and the keywords of those.

    `character_set` is the Specific Character Set of the N-CREATE, for an N-SET that has none.
    """
    unreadable: list[str] = []
    character_set = received.get(CHARACTER_SET) or character_set
    if CHARACTER_SET not in received and character_set:
        received.SpecificCharacterSet = character_set
    return _decoded(received, unreadable, character_set, MAX_DEPTH), unreadable


def _decoded(received: Dataset, unreadable: list[str], character_set: Any, depth: int) -> Dataset:
    decoded = Dataset()
    for tag in received.keys():  # noqa: SIM118 - iterating over the elements would decode them, and one may fail
        try:
            decoded.add(_decoded_element(received, tag, unreadable, character_set, depth))
        except UNREADABLE:
            unreadable.append(keyword_for_tag(tag) or str(tag))
    return decoded


def _decoded_element(received: Dataset, tag: Any, unreadable: list[str], character_set: Any, depth: int) -> DataElement:
    """Return one element in Unicode; raise one of UNREADABLE if it cannot be stored as JSON and read again."""
    if character_set:  # pydicom would decode raw text in the default repertoire
        is_implicit, is_little_endian = received.original_encoding
        received.set_original_encoding(is_implicit, is_little_endian, convert_encodings(character_set))
    raw = received[tag]
    if raw.VR == "SQ":
        if not depth:
            raise ValueError("too deep")
        items = [_decoded(item, unreadable, character_set, depth - 1) for item in raw.value]
        return DataElement(tag, "SQ", Sequence(items))
    alone = Dataset()
    alone.add(raw)
    if character_set:
        alone.SpecificCharacterSet = character_set
    alone.decode()
    element: DataElement = alone[tag]
    if element.VR == "PN":  # pydicom writes an empty name as JSON that it cannot read
        names = element.value if isinstance(element.value, MultiValue) else [element.value]
        element = DataElement(tag, "PN", [str(name) for name in names if name])
    stored = Dataset()
    stored.add(element)
    Dataset.from_json(stored.to_json_dict()).to_json_dict()
    return element


def to_json(report: Dataset) -> str:
    """Return a decoded report as DICOM JSON (PS3.18 Annex F), which is in UTF-8."""
    in_utf_8 = {"00080005": {"vr": "CS", "Value": [UNICODE]}}
    return json.dumps({**report.to_json_dict(), **in_utf_8}, ensure_ascii=True, separators=(",", ":"))


def from_json(text: str) -> Dataset:
    """Return the report that `to_json` has written."""
    return Dataset.from_json(text)


def text_of(report: Dataset, keyword: str) -> str:
    """Return the value as text, without control characters and surrounding spaces; empty without a value."""
    value = report.get(keyword)
    return "" if value is None else _clean(str(value))


def items_of(report: Dataset, keyword: str) -> list[Dataset]:
    """Return the items of a sequence; none if it is absent, empty or not a sequence."""
    value = report.get(keyword)
    return list(value) if isinstance(value, Sequence) else []


def _clean(text: str) -> str:
    return vr.CONTROL_CHARACTERS.sub("", text).strip()


def status_of(report: Dataset) -> str:
    """Return the status in capitals, which some modalities do not use; empty without one."""
    return text_of(report, STATUS).upper()


def scheduled_steps(report: Dataset) -> list[ScheduledStep]:
    """Return the scheduled steps that the report names, each once."""
    steps = [
        ScheduledStep(
            text_of(item, "StudyInstanceUID"),
            text_of(item, "AccessionNumber"),
            text_of(item, "RequestedProcedureID"),
            text_of(item, "ScheduledProcedureStepID"),
        )
        for item in items_of(report, SCHEDULED_STEPS)
    ]
    return list(dict.fromkeys(steps))


def fields_of(report: Dataset) -> dict[str, Any]:
    """Return the fields of PerformedProcedureStep that the report gives; a text may be too long for its column."""
    series = items_of(report, SERIES)
    return {
        "status": status_of(report),
        "performed_procedure_step_id": text_of(report, "PerformedProcedureStepID"),
        "start_date": _date_or_time(report, "PerformedProcedureStepStartDate"),
        "start_time": _date_or_time(report, "PerformedProcedureStepStartTime"),
        "end_date": _date_or_time(report, "PerformedProcedureStepEndDate"),
        "end_time": _date_or_time(report, "PerformedProcedureStepEndTime"),
        "station_ae_title": text_of(report, "PerformedStationAETitle"),
        "station_name": text_of(report, "PerformedStationName"),
        "location": text_of(report, "PerformedLocation"),
        "modality": text_of(report, "Modality"),
        "series": len(series),
        "images": sum(len(items_of(each, "ReferencedImageSequence")) for each in series),
        "dose": "\n".join(f"{keyword}: {text}" for keyword in DOSE if (text := text_of(report, keyword))),
        "discontinuation_reason": _discontinuation_reason(report),
        "patient_id": text_of(report, "PatientID"),
        "operators": _operators(series),
        "data_set": to_json(report),
    }


def _date_or_time(report: Dataset, keyword: str) -> date | time | None:
    try:
        return DATES_AND_TIMES[keyword](text_of(report, keyword))
    except ValueError:
        return None


def _operators(series: list[Dataset]) -> str:
    found = []
    for each in series:
        value = each.get("OperatorsName")
        found += list(value) if isinstance(value, list | MultiValue) else [value]
    return "; ".join(dict.fromkeys(_clean(str(name)) for name in found if name))


def _discontinuation_reason(report: Dataset) -> str:
    """Return the first reason as `meaning (value scheme)`; what it lacks is left out."""
    reasons = items_of(report, "PerformedProcedureStepDiscontinuationReasonCodeSequence")
    if not reasons:
        return ""
    meaning, value, scheme = (
        text_of(reasons[0], keyword) for keyword in ("CodeMeaning", "CodeValue", "CodingSchemeDesignator")
    )
    code = " ".join(filter(None, (value, scheme)))
    return f"{meaning} ({code})" if meaning and code else meaning or code


def patient_of_report(report: Dataset) -> PatientIdentity:
    """Return the patient whom the modality says it has imaged."""
    of_family = family_name(text_of(report, "PatientName"))
    return PatientIdentity(text_of(report, "PatientID"), text_of(report, "PatientBirthDate"), of_family)


# Checking -------------------------------------------------------------------------------------------------------------


def accept_unreadable(keywords: list[str], *, strict: bool) -> list[str]:
    """Return the keywords of elements that cannot be read, to flag them, or raise ReportRefused."""
    if strict and keywords:
        raise ReportRefused(AttributeFault.INVALID, tuple(keywords))
    return keywords


def accept_creation(report: Dataset, *, strict: bool) -> list[str]:
    """Check an N-CREATE; return the keywords to flag, or raise ReportRefused."""
    absent = [keyword for keyword in REQUIRED if keyword not in report]
    if absent and (strict or not INDISPENSABLE.isdisjoint(absent)):
        to_blame = absent if strict else sorted(INDISPENSABLE.intersection(absent))
        raise ReportRefused(AttributeFault.MISSING, tuple(to_blame))
    if not status_of(report):
        raise ReportRefused(AttributeFault.WITHOUT_VALUE, (STATUS,))
    if status_of(report) != ItemStatus.IN_PROGRESS:
        raise ReportRefused(AttributeFault.INVALID, (STATUS,))
    empty = [keyword for keyword in REQUIRED if keyword in report and not report.get(keyword)]
    if any(not text_of(item, "StudyInstanceUID") for item in items_of(report, SCHEDULED_STEPS)):
        empty.append("StudyInstanceUID")
    return list(dict.fromkeys([*absent, *_faulty(report, empty, strict=strict)]))


def apply_change(stored: Dataset, changes: Dataset, *, strict: bool) -> tuple[Dataset, list[str]]:
    """Apply an N-SET to the stored report; return it with the keywords that were ignored. Raise ReportRefused."""
    if IGNORED.issuperset(element.keyword for element in changes):
        raise ReportRefused(AttributeFault.MISSING, ())  # an empty N-SET must be a mistake
    if STATUS in changes and not status_of(changes):
        raise ReportRefused(AttributeFault.WITHOUT_VALUE, (STATUS,))
    if STATUS in changes and status_of(changes) not in STEP_STATUSES:
        raise ReportRefused(AttributeFault.INVALID, (STATUS,))
    requested = [element for element in changes if element.keyword not in IGNORED]
    # Only attributes that the N-CREATE has created may be set (PS3.4 section F.7.2.2.2).
    unknown = [element.keyword for element in requested if element.keyword in FIXED or element.tag not in stored]
    if strict and unknown:
        raise ReportRefused(AttributeFault.UNKNOWN, tuple(unknown))
    ignored = [
        element.keyword for element in requested if element.keyword in FIXED and stored.get(element.tag) != element
    ]
    combined = Dataset()
    combined.update(stored)
    combined.update({element.tag: element for element in requested if element.keyword not in FIXED})
    return combined, ignored


def accept_end(combined: Dataset, *, strict: bool) -> list[str]:
    """Check the end of a step; return the keywords to flag, or raise ReportRefused. A step that goes on passes."""
    if status_of(combined) not in FINAL:
        return []
    missing = [keyword for keyword in (*END, SERIES) if not combined.get(keyword)]
    return list(dict.fromkeys(_faulty(combined, missing, strict=strict)))


def _faulty(report: Dataset, without_value: list[str], *, strict: bool) -> list[str]:
    """Return the keywords without a value and those with an invalid date or time; raise ReportRefused if strict."""
    invalid = [
        keyword for keyword in DATES_AND_TIMES if text_of(report, keyword) and _date_or_time(report, keyword) is None
    ]
    if strict and without_value:
        raise ReportRefused(AttributeFault.WITHOUT_VALUE, tuple(without_value))
    if strict and invalid:
        raise ReportRefused(AttributeFault.INVALID, tuple(invalid))
    return [*without_value, *invalid]


def has_end(report: Dataset) -> bool:
    """Return whether both the date and the time of the end are given and can be read."""
    return all(_date_or_time(report, keyword) is not None for keyword in END)


def with_end(combined: Dataset, received_at: Mapping[str, str]) -> Dataset:
    """Return the report; if it is final and has no readable end, with the moment of receipt as its end.

    `received_at` is keyword of END → value. Both are replaced even if only one cannot be read: the modality's date with
    the time of our clock would be a moment that nobody has measured.
    """
    if status_of(combined) not in FINAL or has_end(combined):
        return combined
    ended = Dataset()
    ended.update(combined)
    for keyword in END:
        ended.pop(keyword, None)  # both data sets share the element: setting its value would change `combined`, too
        setattr(ended, keyword, received_at[keyword])
    return ended
