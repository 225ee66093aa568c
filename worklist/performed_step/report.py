"""Owns what a modality's report of its work may say and what is read from it (PS3.4 Annex F, table F.7.2-1). Pure.

A report that is refused loses the fact that a woman was imaged; one that is tolerated costs nothing. So little is
refused: what else is wrong is flagged, for a person to look at, unless the modality is a strict one.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
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
from core.contract import ItemStatus
from worklist.query.person_names import search_form

STATUS = "PerformedProcedureStepStatus"
SCHEDULED_STEPS = "ScheduledStepAttributesSequence"
SERIES = "PerformedSeriesSequence"
END = ("PerformedProcedureStepEndDate", "PerformedProcedureStepEndTime")
FINAL = frozenset({ItemStatus.COMPLETED, ItemStatus.DISCONTINUED})
STATES = FINAL | {ItemStatus.IN_PROGRESS}
CHARACTER_SET = "SpecificCharacterSet"
UNICODE = "ISO_IR 192"
#: Sequences in sequences; the standard has four.
MAX_DEPTH = 16
NHS_NUMBER = re.compile(r"[0-9]{3}[ -]?[0-9]{3}[ -]?[0-9]{4}")


@dataclass(frozen=True)
class Requirement:
    """One row of table F.7.2-1: the SCP's type in N-CREATE, and whether N-SET may change it."""

    keyword: str
    on_create: str
    may_be_set: bool = False


#: What is not here is of type 3 and may be set: dose, film, billing.
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
#: In the data set itself they are noise: the command says which instance it is.
NOISE = frozenset({"SOPClassUID", "SOPInstanceUID", CHARACTER_SET})
#: Without these nothing can be made of an N-CREATE, however lenient one is.
NEVER_ABSENT = frozenset({STATUS, SCHEDULED_STEPS})
REQUIRED = tuple(row.keyword for row in TABLE_F_7_2_1 if row.on_create == "1")
FIXED = frozenset(row.keyword for row in TABLE_F_7_2_1 if not row.may_be_set)
DATES_AND_TIMES: dict[str, Callable[[str], date | time]] = {
    "PerformedProcedureStepStartDate": vr.parse_da,
    "PerformedProcedureStepStartTime": vr.parse_tm,
    "PerformedProcedureStepEndDate": vr.parse_da,
    "PerformedProcedureStepEndTime": vr.parse_tm,
}
#: What a machine says of the dose, in the units of these attributes.
DOSE = (
    "ImageAndFluoroscopyAreaDoseProduct",
    "EntranceDose",
    "EntranceDoseInmGy",
    "TotalNumberOfExposures",
    "TotalTimeOfFluoroscopy",
    "DistanceSourceToDetector",
)


class AttributeFault(Enum):
    """What can be wrong with an attribute; the statuses are PS3.7 annex C's."""

    MISSING = "is missing"
    WITHOUT_VALUE = "has no value"
    INVALID = "has a value that it may not have"
    UNKNOWN = "is none that can be set"


@dataclass
class ReportRefused(Exception):
    """A report that is refused, and the attributes to blame."""

    fault: AttributeFault
    keywords: tuple[str, ...]

    def __str__(self) -> str:
        return f"{', '.join(self.keywords)} {self.fault.value}"

    @property
    def tags(self) -> list[int]:
        """The tags of the attributes."""
        return [tag for keyword in self.keywords if (tag := tag_for_keyword(keyword)) is not None]


@dataclass(frozen=True)
class ScheduledStep:
    """One item of the ScheduledStepAttributesSequence: what it says which worklist item was worked on."""

    study_instance_uid: str = ""
    accession_number: str = ""
    requested_procedure_id: str = ""
    scheduled_procedure_step_id: str = ""

    @property
    def names_nothing(self) -> bool:
        """Whether the machine has made the study's UID itself and knows of no order."""
        return not (self.accession_number or self.requested_procedure_id or self.scheduled_procedure_step_id)


# Reading --------------------------------------------------------------------------------------------------------------


def readable(received: Dataset, character_set: Any = None) -> tuple[Dataset, list[str]]:
    """The data set in Unicode, without the elements that cannot be read, and the keywords of those.

    `character_set` is that of the N-CREATE, for an N-SET that does not say in which one it is.
    """
    lost: list[str] = []
    terms = received.get(CHARACTER_SET) or character_set
    if CHARACTER_SET not in received and terms:
        received.SpecificCharacterSet = terms
    return _readable(received, lost, terms, MAX_DEPTH), lost


def _readable(received: Dataset, lost: list[str], terms: Any, depth: int) -> Dataset:
    found = Dataset()
    for tag in received.keys():  # noqa: SIM118 - to go through the elements reads them, and one may not be readable
        try:
            found.add(_read(received, tag, lost, terms, depth))
        except Exception:  # noqa: BLE001 - whatever pydicom says of a value that is none: it costs this element only
            lost.append(keyword_for_tag(tag) or str(tag))
    return found


def _read(received: Dataset, tag: Any, lost: list[str], terms: Any, depth: int) -> DataElement:
    """One element in Unicode; an exception of whatever kind where it cannot be kept as JSON and read from there."""
    if terms:  # pydicom would take each raw text for one of the default repertoire
        implicit, little = received.original_encoding
        received.set_original_encoding(implicit, little, convert_encodings(terms))
    raw = received[tag]
    if raw.VR == "SQ":
        if not depth:
            raise ValueError("too deep")
        return DataElement(tag, "SQ", Sequence([_readable(item, lost, terms, depth - 1) for item in raw.value]))
    alone = Dataset()
    alone.add(raw)
    if terms:
        alone.SpecificCharacterSet = terms
    alone.decode()
    element: DataElement = alone[tag]
    if element.VR == "PN":  # of an empty name pydicom makes JSON that it cannot read
        names = element.value if isinstance(element.value, MultiValue) else [element.value]
        element = DataElement(tag, "PN", [str(name) for name in names if name])
    kept = Dataset()
    kept.add(element)
    again = Dataset.from_json(kept.to_json_dict())
    again.to_json_dict()
    return element


def to_json(report: Dataset) -> str:
    """A readable one as DICOM JSON (PS3.18 Annex F), which is in UTF-8."""
    return json.dumps({**report.to_json_dict(), **_unicode()}, ensure_ascii=True, separators=(",", ":"))


def _unicode() -> dict[str, Any]:
    return {"00080005": {"vr": "CS", "Value": [UNICODE]}}


def from_json(text: str) -> Dataset:
    """What to_json has written."""
    return Dataset.from_json(text)


def text_of(report: Dataset, keyword: str) -> str:
    """The value as text, without control characters and the spaces around it; empty for none."""
    value = report.get(keyword)
    return "" if value is None else _clean(str(value))


def items_of(report: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence; none where it is absent, empty, or was sent as something else."""
    value = report.get(keyword)
    return list(value) if isinstance(value, Sequence) else []


def _clean(text: str) -> str:
    """Without what no text may hold and no database keeps."""
    return vr.CONTROL_CHARACTERS.sub("", text).strip()


def status_of(report: Dataset) -> str:
    """In capitals, as some machines do not write it; empty where there is none."""
    return text_of(report, STATUS).upper()


def scheduled_steps(report: Dataset) -> list[ScheduledStep]:
    """What the machine says that it worked on; no two alike."""
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
    """The fields of PerformedProcedureStep that are read from the data set, each cut to what it can hold."""
    series = items_of(report, SERIES)
    return {
        "status": status_of(report),
        "performed_procedure_step_id": text_of(report, "PerformedProcedureStepID")[:16],
        "start_date": _value(report, "PerformedProcedureStepStartDate"),
        "start_time": _value(report, "PerformedProcedureStepStartTime"),
        "end_date": _value(report, "PerformedProcedureStepEndDate"),
        "end_time": _value(report, "PerformedProcedureStepEndTime"),
        "station_ae_title": text_of(report, "PerformedStationAETitle")[:16],
        "station_name": text_of(report, "PerformedStationName")[:16],
        "location": text_of(report, "PerformedLocation")[:16],
        "modality": text_of(report, "Modality")[:16],
        "series": len(series),
        "images": sum(len(items_of(each, "ReferencedImageSequence")) for each in series),
        "dose": "\n".join(f"{keyword}: {text}" for keyword in DOSE if (text := text_of(report, keyword))),
        "discontinuation_reason": _reason(report)[:200],
        "patient_id": text_of(report, "PatientID")[:64],
        "operators": "; ".join(dict.fromkeys(_operators(series)))[:640],
        "data_set": to_json(report),
    }


def _value(report: Dataset, keyword: str) -> date | time | None:
    try:
        return DATES_AND_TIMES[keyword](text_of(report, keyword))
    except ValueError:
        return None


def _operators(series: Iterable[Dataset]) -> Iterator[str]:
    for each in series:
        names = each.get("OperatorsName")
        values = names if isinstance(names, list | tuple) or hasattr(names, "append") else [names]
        yield from (_clean(str(name)) for name in values if name)


def _reason(report: Dataset) -> str:
    for code in items_of(report, "PerformedProcedureStepDiscontinuationReasonCodeSequence"):
        meaning, value = text_of(code, "CodeMeaning"), text_of(code, "CodeValue")
        scheme = text_of(code, "CodingSchemeDesignator")
        coded = " ".join(filter(None, (value, scheme)))
        return f"{meaning} ({coded})" if meaning and coded else meaning or coded
    return ""


@dataclass(frozen=True)
class PatientIdentity:
    """Who somebody is said to be; what is empty is not said. `birth_date` as DA, `family_name` in plain letters."""

    patient_id: str = ""
    birth_date: str = ""
    family_name: str = ""

    def contradicts(self, other: "PatientIdentity") -> bool:
        """Whether they are two. Without a Patient ID by what else is said."""
        if self.patient_id:
            return not is_same_patient(self.patient_id, other.patient_id)
        pairs = ((self.birth_date, other.birth_date), (self.family_name, other.family_name))
        return any(one and another and not _is_cut(one, another) for one, another in pairs)


def patient_of_report(report: Dataset) -> PatientIdentity:
    """Who a modality says that it has imaged."""
    name = text_of(report, "PatientName")
    return PatientIdentity(text_of(report, "PatientID"), text_of(report, "PatientBirthDate"), _family_name(name))


def patient_of_item(patient_id: str, birth_date: date, name: str) -> PatientIdentity:
    """Who an item is about."""
    return PatientIdentity(patient_id, vr.format_da(birth_date), _family_name(name))


def _family_name(name: str) -> str:
    return search_form(name.partition("=")[0]).partition("^")[0].strip()


def _is_cut(one: str, other: str) -> bool:
    """Machines cut off what is too long for them."""
    return one.startswith(other) or other.startswith(one)


def is_same_patient(one: str, other: str) -> bool:
    """Whether two Patient IDs are one woman's. Spaces and dashes in an NHS number do not count; to give no Patient ID
    is to say nothing about who it is."""
    return not one or not other or _plain(one) == _plain(other)


def _plain(patient_id: str) -> str:
    return re.sub("[ -]", "", patient_id) if NHS_NUMBER.fullmatch(patient_id) else patient_id


# Judging --------------------------------------------------------------------------------------------------------------


def accept_creation(report: Dataset, *, strict: bool) -> list[str]:
    """The keywords to flag in an N-CREATE; ReportRefused where it is refused."""
    absent = _absent(report)
    if absent and (strict or not NEVER_ABSENT.isdisjoint(absent)):
        raise ReportRefused(AttributeFault.MISSING, tuple(absent if strict else sorted(NEVER_ABSENT & set(absent))))
    if not status_of(report):
        raise ReportRefused(AttributeFault.WITHOUT_VALUE, (STATUS,))
    if status_of(report) != ItemStatus.IN_PROGRESS:
        raise ReportRefused(AttributeFault.INVALID, (STATUS,))
    return list(dict.fromkeys([*absent, *_flagged(_unusual(report, _empty(report)), strict=strict)]))


def accept_change(stored: Dataset, changes: Dataset, *, strict: bool) -> tuple[Dataset, list[str]]:
    """What an N-SET makes of the stored data set, and the keywords of what it may not set; ReportRefused if refused."""
    if NOISE.issuperset(element.keyword for element in changes):
        raise ReportRefused(AttributeFault.MISSING, (STATUS,))  # it says nothing at all, which nobody means to
    if STATUS in changes and not status_of(changes):
        raise ReportRefused(AttributeFault.WITHOUT_VALUE, (STATUS,))
    if STATUS in changes and status_of(changes) not in STATES:
        raise ReportRefused(AttributeFault.INVALID, (STATUS,))
    if strict and (unknown := [element.keyword for element in changes if not _may_be_set(element, stored)]):
        raise ReportRefused(AttributeFault.UNKNOWN, tuple(unknown))
    ignored = [
        element.keyword for element in changes if element.keyword in FIXED and stored.get(element.tag) != element
    ]
    combined = Dataset()
    combined.update(stored)
    combined.update({element.tag: element for element in changes if element.keyword not in FIXED | NOISE})
    return combined, ignored


def accept_end(combined: Dataset, *, strict: bool) -> list[str]:
    """The keywords of what a final state lacks; ReportRefused where a strict modality leaves it out. [] while it is not
    final."""
    if status_of(combined) not in FINAL:
        return []
    lacking = [keyword for keyword in (*END, SERIES) if not combined.get(keyword)]
    return _flagged(_unusual(combined, lacking), strict=strict)


def _absent(report: Dataset) -> list[str]:
    return [keyword for keyword in REQUIRED if keyword not in report]


def _empty(report: Dataset) -> list[str]:
    empty = [keyword for keyword in REQUIRED if keyword in report and not report.get(keyword)]
    unnamed = [item for item in items_of(report, SCHEDULED_STEPS) if not text_of(item, "StudyInstanceUID")]
    return [*empty, *(["StudyInstanceUID"] if unnamed else [])]


def _unusual(report: Dataset, without_value: list[str]) -> tuple[tuple[AttributeFault, list[str]], ...]:
    nonsense = [keyword for keyword in DATES_AND_TIMES if text_of(report, keyword) and _value(report, keyword) is None]
    return (AttributeFault.WITHOUT_VALUE, without_value), (AttributeFault.INVALID, nonsense)


def _flagged(found: Iterable[tuple[AttributeFault, list[str]]], *, strict: bool) -> list[str]:
    flagged: list[str] = []
    for fault, keywords in found:
        if keywords and strict:
            raise ReportRefused(fault, tuple(keywords))
        flagged += keywords
    return list(dict.fromkeys(flagged))


def _may_be_set(element: DataElement, stored: Dataset) -> bool:
    """Only what was created may be set (PS3.4 section F.7.2.2.2)."""
    return element.keyword in NOISE or (element.keyword not in FIXED and element.tag in stored)


def ended_now(combined: Dataset, now: Mapping[str, str]) -> Dataset:
    """With the moment of receipt where a final report does not say when it ended; `now` is keyword → value of END."""
    if status_of(combined) in FINAL:
        for keyword in END:
            if _value(combined, keyword) is None:
                setattr(combined, keyword, now[keyword])
    return combined
